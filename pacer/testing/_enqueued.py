"""Jobs that the code under test has enqueued, and which of them are meant by an assertion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

_LONGEST_VALUE = 60
_MOST_SHOWN = 10


@attrs.frozen(kw_only=True)
class EnqueuedJob:
    """A job as it was handed to the queue.

    Attributes:
        job_id: Its id.
        task: The name of its function.
        args: Its arguments, as the function gets them: written by the store's codec and read back.
        kwargs: Its keyword arguments, likewise.
        key: Its lane.
        priority: Its priority.
        unique: Its unique key.
        cost: What it was expected to use.
        delay: Seconds before which it was not to start.
        batch_id: The batch it is in.
        at: When, in seconds since the scheduler was started.
    """

    job_id: str
    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    key: str | None
    priority: int
    unique: str | None
    cost: Mapping[str, float]
    delay: float
    batch_id: str | None
    at: float

    def __str__(self) -> str:
        options = {
            "key": (self.key, None),
            "priority": (self.priority, 0),
            "unique": (self.unique, None),
            "delay": (self.delay, 0.0),
        }
        said = [f"{name}={value!r}" for name, (value, default) in options.items() if value != default]
        return " ".join([call_text(self.task, self.args, self.kwargs), *said])


def call_text(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The call as one would write it, shortened."""
    shown = [_short(value) for value in args] + [f"{name}={_short(value)}" for name, value in kwargs.items()]
    return f"{task}({', '.join(shown)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


@attrs.frozen(kw_only=True)
class Wanted:
    """The jobs that an assertion is about. None of a field: any value."""

    task: str | None
    function: Callable[..., Any] | None
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def matches(self, job: EnqueuedJob) -> bool:
        """Whether the job is one of them."""
        return not self.differences(job)

    def differences(self, job: EnqueuedJob) -> list[str]:
        """What tells the job from them, a phrase each."""
        if self.task is not None and job.task != self.task:
            return [f"task is {job.task}"]
        found = [
            f"{name} is {getattr(job, name)!r}, not {value!r}"
            for name, value in self.options.items()
            if getattr(job, name) != value
        ]
        return [*self._other_arguments(job), *found]

    def _other_arguments(self, job: EnqueuedJob) -> list[str]:
        if self.args is None and self.kwargs is None:
            return []
        got = self._bound(job.args, job.kwargs)
        if self.args is None:
            wanted: Mapping[str, Any] = self.kwargs or {}
            return [
                f"{name} is {_short(got[name])}, not {_short(value)}" if name in got else f"there is no {name}"
                for name, value in wanted.items()
                if name not in got or got[name] != value
            ]
        if got == self._bound(self.args, self.kwargs or {}):
            return []
        return [f"the arguments are {call_text('', job.args, job.kwargs)}"]

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments by name, so that it does not matter which way they were passed; defaults filled in."""
        if self.function is not None:
            try:
                bound = inspect.signature(self.function).bind(*args, **kwargs)
            except (TypeError, ValueError):  # no call of this function, or one without a signature
                pass
            else:
                bound.apply_defaults()
                return dict(bound.arguments)
        return {**{str(place): value for place, value in enumerate(args)}, **kwargs}

    def __str__(self) -> str:
        task = "any task" if self.task is None else self.task
        words = [] if self.args is None else [f"args={tuple(self.args)!r}"]
        words += [] if self.kwargs is None else [f"kwargs={dict(self.kwargs)!r}"]
        words += [f"{name}={value!r}" for name, value in self.options.items()]
        return f"{task} with {', '.join(words)}" if words else task


def listing(jobs: Sequence[EnqueuedJob], wanted: Wanted | None = None) -> str:
    """The jobs, a line each, with what tells them from the wanted ones."""
    if not jobs:
        return "Nothing was enqueued."
    lines = ["Enqueued were:"]
    for job in jobs[:_MOST_SHOWN]:
        differences = [] if wanted is None else wanted.differences(job)
        lines.append(f"  {job}" + (f"    <- {'; '.join(differences)}" if differences else ""))
    if len(jobs) > _MOST_SHOWN:
        lines.append(f"  and {len(jobs) - _MOST_SHOWN} more")
    return "\n".join(lines)
