"""The schedules of one scheduler, and how they are said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, ParamSpec, TypeVar

import attrs

from pacer._errors import TaskError
from pacer._options import JobOptions, OptionValues
from pacer._periodic._plans import Cron, Interval, Plan
from pacer._tasks import TaskRegistry, stable_name
from pacer.protocols import Ledger

P = ParamSpec("P")
G = TypeVar("G", bound=Callable[[], Any])

Missed = Literal["skip", "once", "all"]

# With its time, a name makes the id of a job, which may have 200 characters.
LONGEST_NAME = 160


@attrs.frozen(eq=False, kw_only=True)
class Schedule:
    """A function that is to be enqueued at certain times."""

    name: str
    task: str
    plan: Plan
    missed: Missed
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: JobOptions

    @property
    def key(self) -> str:
        """Under which name the queue keeps the last of its times."""
        return f"{self.plan.kind}:{self.name}"

    def job_id(self, at: datetime) -> str:
        """The job for this time: a name for people, which there cannot be twice."""
        return f"every:{self.name}:{self.said(at)}"

    def said(self, at: datetime) -> str:
        """One of its times."""
        return f"{at.replace(tzinfo=None).isoformat(timespec=self.plan.timespec)}Z"

    def seen(self, ledger: Ledger, last: float | None) -> PeriodicJob:
        """For people, with the last of its times."""
        plan = self.plan
        return PeriodicJob(
            name=self.name,
            task=self.task,
            when=str(plan),
            missed=self.missed,
            last=None if last is None else plan.utc(ledger, last),
            next=plan.utc(ledger, plan.next(plan.now(ledger) if last is None else last)),
        )


@attrs.frozen(kw_only=True)
class PeriodicJob:
    """A schedule as it stands.

    Attributes:
        name: Its name.
        task: The name of its function.
        when: Its times, for people: "every 60 s", "0 7 * * mon-fri (Europe/Berlin)".
        missed: What becomes of times at which no job could be enqueued.
        last: The last time for which a job was enqueued, or which was passed over; None before it was first seen.
        next: The time for which one is enqueued next.
    """

    name: str
    task: str
    when: str
    missed: Missed
    last: datetime | None
    next: datetime


@attrs.define(eq=False)
class Timetable:
    """All schedules of a scheduler, by name."""

    _registry: TaskRegistry
    schedules: dict[str, Schedule] = attrs.field(init=False, factory=dict)

    def register(self, function: Callable[..., Any]) -> None:
        """Make a task of the function, if it is none."""
        if self._registry.of(function) is None:
            self._registry.register(function, None, None, None)

    def add(self, every: Every, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """One more schedule. Raises TaskError."""
        task = self._registry.of(function)
        if task is None:
            msg = (
                f"every: {stable_name(function)} is not registered, so that no other process could run its jobs; put "
                "@scheduler.task on it"
            )
            raise TaskError(msg)
        _check_arguments(task.name, function, args, kwargs)
        name = task.name if every.name is None else every.name
        if not 1 <= len(name) <= LONGEST_NAME:
            msg = f"every: name must have 1 to {LONGEST_NAME} characters, got {len(name)}"
            raise ValueError(msg)
        if name in self.schedules:
            msg = f"every: there is a schedule {name!r} already; pass name= to tell them apart"
            raise TaskError(msg)
        self.schedules[name] = Schedule(
            name=name,
            task=task.name,
            plan=every.plan,
            missed=every.missed,
            function=function,
            args=args,
            kwargs=kwargs,
            options=every.options,
        )


@attrs.frozen(eq=False)
class Every:
    """Times at which a function is to be enqueued. Made by `Scheduler.every`: put it on a function, or use `call`."""

    _timetable: Timetable = attrs.field(repr=False)
    plan: Plan
    missed: Missed
    name: str | None
    options: JobOptions

    def __call__(self, function: G, /) -> G:
        """Enqueue this function at these times, without arguments. It becomes a task if it is none. Gives it back.

        Raises:
            TaskError: It needs arguments, or the name is taken.
        """
        self._timetable.register(function)
        self._timetable.add(self, function, (), {})
        return function

    def call(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Enqueue a registered task at these times, with these arguments: `scheduler.every(60).call(sweep, "tmp")`.

        Raises:
            TaskError: It is not registered or does not take these arguments, or the name is taken.
        """
        self._timetable.add(self, function, args, kwargs)


def plan_of(seconds: float | timedelta | None, cron: str | None, tz: str | None) -> Plan:
    """Raises ValueError if it is not one of both, or cannot be read."""
    if seconds is not None and cron is None:
        if tz is not None:
            msg = "every: tz goes with cron; an interval has no time zone"
            raise ValueError(msg)
        return Interval(seconds)
    if cron is None or seconds is not None:
        msg = "every: pass either seconds or cron, as in every(60) or every(cron='0 7 * * mon-fri')"
        raise ValueError(msg)
    return Cron(cron, "UTC" if tz is None else tz)


def options_of(options: OptionValues) -> JobOptions:
    """The options of all jobs of a schedule. Raises ValueError."""
    if options.get("job_id") is not None:
        msg = "every: job_id would be the same for all; the id of each job is made of the schedule's name and its time"
        raise ValueError(msg)
    return JobOptions(**options)


def _check_arguments(task: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are written in C do not say what they take
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        msg = f"every: {task} cannot be called like that: {error}; pass its arguments by every(...).call(function, ...)"
        raise TaskError(msg) from None
