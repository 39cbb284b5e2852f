"""The task that enqueues the jobs of a scheduler's schedules when their time has come.

Every process that knows a schedule does so. The queue keeps the last time of each; whoever changes that first, in the
transaction that adds the job, has enqueued it, and the others see that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextvars import Context

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from pacer import events
from pacer._errors import ImpossibleJobError, NotEncodableError, QueueFullError, TakenOverError
from pacer._intake import Intake
from pacer._job import JobRecord
from pacer._options import JobOptions
from pacer._periodic._timetable import Schedule
from pacer._runner import one_line
from pacer._troubles import STORE_RETRY
from pacer.protocols import Ledger

# A time that is longer ago than this has been missed.
GRACE = 60.0
# So many of the times that were missed are made up for at most, the last ones.
MOST_MADE_UP = 1000
# The wall clock may be set, and timers are late.
LONGEST_SLEEP = 60.0
LEAST_SLEEP = 0.001
# A last time that is further ahead than this was on a clock that was wrong, or it is this one which is; if it stays
# there for so long, it was that one.
AHEAD = 86_400.0
SETTLED = 3600.0


@attrs.frozen
class Step:
    """What a schedule wants now.

    Attributes:
        at: The time to pass to.
        enqueues: Whether a job is enqueued for it.
        missed: The first and the last time for which none is; None if there are no such.
    """

    at: float
    enqueues: bool
    missed: tuple[float, float] | None


def steps(schedule: Schedule, last: float, now: float) -> Sequence[Step]:
    """What is to be done now, in this order, if `last` was the last time; nothing if none is due."""
    plan, first = schedule.plan, schedule.plan.next(last)
    if now < first:
        return ()
    made_up = MOST_MADE_UP if schedule.missed == "all" else 1
    *before, newest = plan.due(last, now, made_up + 1)
    if schedule.missed == "skip" and now - newest > GRACE:
        return [Step(newest, enqueues=False, missed=(first, newest))]
    if schedule.missed != "all":
        return [Step(newest, enqueues=True, missed=(first, before[0]) if before else None)]
    if len(before) < made_up:
        return [Step(at, enqueues=True, missed=None) for at in (*before, newest)]
    too_old, oldest, *others = *before, newest
    missed = Step(oldest, enqueues=True, missed=(first, too_old))
    return [missed, *(Step(at, enqueues=True, missed=None) for at in others)]


@attrs.define(eq=False)
class _Place:
    """How far one schedule is, as this process knows."""

    schedule: Schedule
    last: float | None = None
    next: float = -math.inf
    refused: float | None = None
    """The time for which the queue had no room when it was tried first."""
    ahead_since: float | None = None
    """Since when its last time has been far ahead, on the store's clock."""

    def move(self, last: float | None) -> None:
        self.last, self.next = last, -math.inf if last is None else self.schedule.plan.next(last)

    def stays_ahead(self, ledger: Ledger) -> bool:
        """Whether its last time has been far ahead for long: that of a clock which was wrong then, and is not now."""
        now = ledger.now()
        if self.last is None or self.last <= self.schedule.plan.now(ledger) + AHEAD:
            self.ahead_since = None
        elif self.ahead_since is None:
            self.ahead_since = now
        return self.ahead_since is not None and now - self.ahead_since >= SETTLED


@attrs.define(eq=False)
class Ticker:
    """Enqueues the jobs of some schedules."""

    _intake: Intake
    _places: Sequence[_Place]
    _full: bool = attrs.field(init=False, default=False)

    @classmethod
    def of(cls, intake: Intake, schedules: Sequence[Schedule]) -> Ticker:
        """Raises what enqueueing one of them would raise, such as NotEncodableError and ImpossibleJobError."""
        ticker = cls(intake, [_Place(schedule) for schedule in schedules])
        for schedule in schedules:
            options = ticker._options(schedule, 0.0)
            intake.possible(options, schedule.function, schedule.args, schedule.kwargs)
        return ticker

    def start(self, task_group: anyio.abc.TaskGroup) -> None:
        """From now on."""
        if self._places:
            task_group.start_soon(self._run)

    async def _run(self) -> None:
        """Until the queue is taken over. A store that fails is asked again."""
        worker = self._intake.worker
        while True:
            changed = worker.changed.next()
            self._full = False
            try:
                wait = await self._round()
            except TakenOverError:
                return  # whoever took it over enqueues them
            except Exception as error:
                worker.troubles.store_failed("tick", error)
                wait = STORE_RETRY
            if self._full and worker.ledger.poll is not None:
                wait = min(wait, worker.ledger.poll)
            with anyio.move_on_after(max(LEAST_SLEEP, wait)):
                await (changed.wait() if self._full else anyio.sleep_forever())

    async def _round(self) -> float:
        """Go through all of them. Returns in how many seconds the next time comes."""
        ledger = self._intake.worker.ledger
        ticks: Mapping[str, float] | None = None
        wait = LONGEST_SLEEP
        for place in self._places:
            plan = place.schedule.plan
            if place.next <= plan.now(ledger) or place.stays_ahead(ledger):
                if ticks is None:
                    ticks = (await ledger.snapshot(0)).queue.ticks
                place.move(ticks.get(place.schedule.key))
                await self._catch_up(place)
            waits_for_room = self._full and place.refused is not None and place.next <= plan.now(ledger)
            if not waits_for_room:
                wait = min(wait, place.next - plan.now(ledger))
        return wait

    async def _catch_up(self, place: _Place) -> None:
        ledger, plan = self._intake.worker.ledger, place.schedule.plan
        if place.last is None or place.stays_ahead(ledger):
            await self._begin(place)
            return
        for step in steps(place.schedule, place.last, plan.now(ledger)):
            await anyio.lowlevel.checkpoint()  # there may be many
            if not await self._take(place, step):
                return

    async def _begin(self, place: _Place) -> None:
        """From now on: its first time is the next one."""
        worker, schedule, last = self._intake.worker, place.schedule, place.last
        now = round(schedule.plan.now(worker.ledger), 6)
        done = await self._intake.tick(schedule.key, last, now, [])
        place.move(now if done else None)
        if done and last is not None:
            was = schedule.said(schedule.plan.utc(worker.ledger, last))
            problem = f"{was} is far ahead of the clock, which was wrong then; it begins anew"
            worker.announce(events.PartMisbehaved(worker.ledger.now(), f"schedule {schedule.name}", "last", problem))

    async def _take(self, place: _Place, step: Step) -> bool:
        """Whether it is done, and was done here."""
        worker, schedule = self._intake.worker, place.schedule
        records, missed = list[JobRecord](), step.missed
        if step.enqueues:
            try:
                records.append(await self._fresh_record(schedule, step.at))
            except (ImpossibleJobError, NotEncodableError) as error:  # as after the limit was lowered by hand
                missed = (step.at if missed is None else missed[0], step.at)
                now, part = worker.ledger.now(), f"schedule {schedule.name}"
                worker.announce(events.PartMisbehaved(now, part, "enqueue", one_line(error)))
        try:
            done = await self._intake.tick(schedule.key, place.last, step.at, records)
        except QueueFullError as error:
            self._full = True
            if place.refused != step.at:
                place.refused = step.at
                worker.announce(events.QueueRefused(worker.ledger.now(), 1, error.capacity, error.retry_after))
            return False
        finally:
            worker.troubles.report_faults()
        place.refused = None
        place.move(step.at if done else None)  # if not, somebody else has done it
        if done and missed is not None:
            now, ago = worker.ledger.now(), schedule.plan.now(worker.ledger)
            since, until = (now - (ago - at) for at in missed)
            worker.announce(events.TicksMissed(now, schedule.name, since, until))
        return done

    async def _fresh_record(self, schedule: Schedule, at: float) -> JobRecord:
        """With an id that no other time has: where the clock on the wall was set back, intervals come to one again."""
        record, number = self._record(schedule, at), 1
        if schedule.plan.comes_again:
            wanted = record.id
            while await self._intake.worker.ledger.job(record.id) is not None:
                number += 1
                record.id = f"{wanted}-{number}"
        return record

    def _record(self, schedule: Schedule, at: float) -> JobRecord:
        options, function = self._options(schedule, at), schedule.function
        # Not in the context of this task, which goes back to whatever started the scheduler: a trace, maybe.
        record, _ = Context().run(self._intake.made, options, function, schedule.args, schedule.kwargs)
        return record

    def _options(self, schedule: Schedule, at: float) -> JobOptions:
        return attrs.evolve(schedule.options, job_id=schedule.job_id(schedule.plan.utc(self._intake.worker.ledger, at)))
