"""While all goes well: a shorter way through a run, for as long as nothing happens that needs the longer one."""

from __future__ import annotations

import math
from array import array
from collections import deque
from heapq import heappop, heappush
from typing import Any, ClassVar, Final

import attrs

from pacer._job import ONE_REQUEST, Outcome
from pacer._snapshot import RECENT
from pacer._upcoming import LEAST_SLEEP
from pacer.queues import Fifo
from pacer.queues._bounded import BoundedQueue
from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Constant
from pacer.simulation._ledger import TASK
from pacer.simulation._run import MOST_STEPS, Run
from pacer.simulation._simulated_job import Source
from pacer.simulation._station import Station
from pacer.simulation._timeline import FOLD
from pacer.simulation._upstream import OK


@attrs.define(eq=False)
class PlainJob:
    """What strategies may know of a job that is like all others: one request, without a key."""

    task: ClassVar[str] = TASK
    key: ClassVar[None] = None
    cost: ClassVar[Any] = ONE_REQUEST
    expires_at: ClassVar[None] = None

    number: int
    arrival: Arrival
    created_at: float
    started_at: float = math.nan
    """Not yet, while it waits."""

    @property
    def id(self) -> str:
        """As a job's record has it."""
        return str(self.number)

    @property
    def priority(self) -> int:
        """Its arrival's."""
        return self.arrival.priority

    @property
    def ready_at(self) -> float:
        """It has no delay."""
        return self.created_at


@attrs.define(eq=False)
class _Queue:
    """What `Rules.next_start` asks of a queue's state: in calm times only the pace changes, and that in place."""

    pacing: Any
    paused: bool = False
    failures: int = 0
    hold_until: float = 0.0
    hold_reason: str = ""


NOBODY: Final = Arrival(math.inf)
_End = tuple[float, int, PlainJob, Outcome]


def calm(run: Run, station: Station, source: Source) -> bool:
    """Whether a run may begin on the shorter way: one client, first come, first served, and nothing to be kept.

    What the estimator would learn is left out there. Nobody asks it: no estimates are wanted, and neither this queue
    nor this order looks at durations.
    """
    queue = station.ledger.rules.queue
    return (
        len(run.stations) == 1
        and run.keep == 0
        and run.promises is None
        and source.after is None
        and type(queue) is BoundedQueue
        and type(queue.order) is Fifo
        and station.client.expires is None
        and station.client.lead == Constant(0.0)
    )


@attrs.define(eq=False)
class Calm:
    """A run of plain jobs that all succeed. The first thing that is otherwise hands over to the longer way.

    The decisions are the rules' own, asked one by one as a forecast asks them; what falls away is the ledger, which
    keeps records for things that do not happen here: retries, holds, cancellations, expiry.
    """

    run: Run
    station: Station
    source: Source
    state: _Queue = attrs.field(init=False)
    waiting: deque[PlainJob] = attrs.field(init=False, factory=deque)
    ends: list[_End] = attrs.field(init=False, factory=list)
    upcoming: Arrival = attrs.field(init=False, default=NOBODY)
    number: int = attrs.field(init=False, default=0)
    recent: tuple[float, float] = attrs.field(init=False, default=(0.0, 0.0))
    wake: float = attrs.field(init=False, default=math.inf)
    waits: array[float] = attrs.field(init=False, factory=lambda: array("d"))
    turnarounds: array[float] = attrs.field(init=False, factory=lambda: array("d"))

    def __attrs_post_init__(self) -> None:
        self.state = _Queue(self.station.ledger.rules.initial().pacing)

    def go(self) -> None:
        """As far as it is calm; the rest is left to `Run.go`."""
        self._go()
        self._flush()
        self._hand_over()

    def _go(self) -> None:  # noqa: C901, PLR0915 - it is the hot loop: a call here costs as much as a line
        run, state, ends, waiting = self.run, self.state, self.ends, self.waiting
        rules, ask, upstream = self.station.ledger.rules, run.upstream.ask, run.upstream
        next_start, charge, give_back, guard = rules.next_start, rules.charge, rules.give_back, rules.guard
        slots, capacity, until = self.station.slots, rules.queue.capacity, run.until
        oracle_entered, oracle_succeeded = run.oracle.entered, run.oracle.succeeded
        arrivals, waits, turnarounds = self.source.arrivals, self.waits, self.turnarounds
        recorded = run.recording.fresh
        arrived, entered, asked = recorded["arrived"], recorded["entered"], recorded["asked"]
        succeeded, left = recorded["succeeded"], recorded["left"]
        recent, recent_at = 0.0, 0.0
        arrival = next(arrivals, NOBODY)
        at = arrival.at
        wake, number, steps = math.inf, 0, 0
        while steps < MOST_STEPS:
            now = min(at, wake, ends[0][0]) if ends else min(at, wake)
            if now > until or now == math.inf:
                break
            run.now = now
            while ends and ends[0][0] == now:
                _, _, job, outcome = ends[0]
                if outcome is not OK or guard.pace_lost:
                    break
                heappop(ends)
                upstream.in_flight -= 1
                state.pacing = give_back(state.pacing, now, job, OK, len(ends))
                recent = recent * math.exp((recent_at - now) / RECENT) + 1
                recent_at = now
                succeeded.append(now)
                left.append(now)
                oracle_succeeded(now)
                started_at, arrived_at = job.started_at, job.arrival.at
                waits.append(started_at - arrived_at)
                turnarounds.append(now - arrived_at)
                run.last_asked, run.last_at = started_at, now
            if ends and ends[0][0] == now:
                break
            while at == now:
                if len(waiting) >= capacity or arrival.key is not None or arrival.cost is not ONE_REQUEST:
                    break
                waiting.append(PlainJob(number, arrival, now))
                run.last_at = now
                number += 1
                arrived.append(now)
                entered.append(now)
                oracle_entered(now, arrival)
                arrival = next(arrivals, NOBODY)
                at = arrival.at if arrival.at > now else now
            if at == now:
                break
            wake = math.inf
            steps += 1
            while waiting and len(ends) < slots:
                job = waiting[0]
                when = next_start(state, now, job, len(ends))
                if when.at > now:
                    wake = now + max(when.at - now, LEAST_SLEEP)
                    break
                waiting.popleft()
                job.started_at = now
                state.pacing = charge(state.pacing, now, job, len(ends))
                asked.append(now)
                seconds, outcome = ask(now, job.arrival)
                heappush(ends, (now + seconds, job.number, job, outcome))
                steps = 0
            if wake == math.inf and waiting and len(ends) < slots and when.never:
                break
            if len(waits) >= FOLD or len(arrived) >= FOLD:
                self._flush()
        self.upcoming, self.number, self.recent, self.wake = arrival, number, (recent, recent_at), wake

    def _flush(self) -> None:
        """Count what has been noted."""
        self.run.recording.fold()
        tally = self.station.tally
        tally.succeeded += len(self.waits)
        tally.wait.extend(self.waits)
        tally.turnaround.extend(self.turnarounds)
        del self.waits[:], self.turnarounds[:]

    def _hand_over(self) -> None:
        """Make of it what the longer way would have made."""
        run, station, ledger, tally = self.run, self.station, self.station.ledger, self.station.tally
        present = len(self.waiting) + len(self.ends)
        run.number, run.present = self.number, present
        tally.arrived = tally.entered = self.number
        tally.asked = tally.succeeded + len(self.ends)
        tally.lane.done, tally.lane.present = tally.succeeded, present
        if tally.succeeded:
            tally.work["requests"] = float(tally.succeeded)
        ledger.carry_on(self.state.pacing, self.number, tally.succeeded, self.recent)
        for when, _, job, outcome in sorted(self.ends, key=lambda end: end[:2]):
            record = station.record(job.number, job.arrival, self.source)
            ledger.adopt(record, job.created_at, job.started_at)
            run.at(when, station.end, record, outcome, job.started_at)
        for job in self.waiting:
            ledger.adopt(station.record(job.number, job.arrival, self.source), job.created_at, None)
        if self.upcoming is not NOBODY:
            run.expect(self.upcoming, self.source)
        if run.now < self.wake < math.inf and run.last_at < run.now:
            # Nothing has changed since it was asked when to start; asked again it would round that time anew.
            station.sleep_until(self.wake)
        elif present:
            run.at(run.now, station.stir)
