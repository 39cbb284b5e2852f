"""One client's queue during a run: jobs come in, are started, asked of the upstream, and settled."""

from __future__ import annotations

import math
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Literal

import attrs

from pacer._errors import QueueFullError
from pacer._job import JobState, Outcome, OutcomeKind
from pacer._upcoming import LEAST_SLEEP
from pacer.protocols import When
from pacer.simulation._arrivals import Arrival
from pacer.simulation._client import Client
from pacer.simulation._distributions import Constant
from pacer.simulation._ledger import TASK, VirtualLedger
from pacer.simulation._simulated_job import SimulatedJob, Source
from pacer.simulation._tally import Tally

if TYPE_CHECKING:
    from pacer.simulation._run import Run


@attrs.define(eq=False)
class Station:
    """What a running scheduler is to its jobs, in the same order and with the same arithmetic."""

    client: Client
    run: Run
    random: Random
    slots: int
    ledger: VirtualLedger
    tally: Tally = attrs.field(factory=Tally)
    outside: deque[tuple[float, SimulatedJob]] = attrs.field(init=False, factory=deque)
    """Jobs that wait for room in a full queue, and until when."""
    next: When | None = attrs.field(init=False, default=None)
    """When the first waiting job may start, as of the last look."""
    _wake_at: float = attrs.field(init=False, default=math.nan)
    _stirred: bool = attrs.field(init=False, default=False)
    _lead: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lead = self.client.lead != Constant(0.0)

    # -- in ----------------------------------------------------------------------------------------------------------

    def arrive(self, arrival: Arrival, source: Source) -> None:
        """Somebody enqueues a job."""
        run = self.run
        job = self.record(run.number, arrival, source)
        run.number += 1
        self.tally.arrived += 1
        run.recording.add("arrived", run.now)
        if not self.ledger.check_possible(job, run.now):
            self._turn_away(job)
        elif self.outside or not self._enter(job):
            self._wait_outside(job)

    def record(self, number: int, arrival: Arrival, source: Source) -> SimulatedJob:
        """A new job."""
        return SimulatedJob(
            str(number),
            TASK,
            key=arrival.key,
            priority=arrival.priority,
            cost=arrival.cost,
            retry=self.client.retry,
            expires=self.client.expires,
            arrival=arrival,
            source=source,
            number=number,
        )

    def _enter(self, job: SimulatedJob) -> bool:
        run, now = self.run, self.run.now
        try:
            position, dropped = self.ledger.enter(job, now)
        except QueueFullError:
            return False
        for one in dropped:
            self._gone(one, "dropped")
        self.tally.entered += 1
        run.entered(self, job, position)
        if job.expires_at is not None:
            run.at(job.expires_at, self.expire)
        self.stir()
        return True

    def _wait_outside(self, job: SimulatedJob) -> None:
        timeout = self.ledger.rules.queue.wait_timeout
        if timeout == 0:
            self._turn_away(job)
            return
        until = math.inf if timeout is None else self.run.now + timeout
        self.outside.append((until, job))
        if until < math.inf:
            self.run.at(until, self.give_up)

    def give_up(self) -> None:
        """The first of those who wait for room may have waited long enough."""
        while self.outside and self.outside[0][0] <= self.run.now:
            self._turn_away(self.outside.popleft()[1])

    def _turn_away(self, job: SimulatedJob) -> None:
        self.tally.refused += 1
        self.run.happened("refused", job, self)
        self.run.follow(job)

    def _let_in(self) -> None:
        while self.outside and self._enter(self.outside[0][1]):
            self.outside.popleft()

    def expire(self) -> None:
        """The time to start of some waiting jobs may be over."""
        expired = self.ledger.take_expired(self.run.now)
        for one in expired:
            self._gone(one, "expired")
        if expired:
            self.stir()

    def _gone(self, job: SimulatedJob, how: Literal["dropped", "expired"]) -> None:
        """A waiting job has left for good."""
        self.tally.dropped += how == "dropped"
        self.tally.expired += how == "expired"
        self.run.gone(self, job, how)

    # -- start -------------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """Something has changed: look, at the end of this moment, whether jobs may start."""
        if not self._stirred:
            self._stirred = True
            self.run.stirred.append(self)

    def wake(self) -> None:
        """The time has come at which a job was to start."""
        if self._wake_at == self.run.now:
            self._wake_at = math.nan
            self.stir()

    def dispatch(self) -> None:
        """Start what may start now, as far as there are slots."""
        self._stirred = False
        ledger, now = self.ledger, self.run.now
        while ledger.running < self.slots:
            found = ledger.start(now)
            if isinstance(found, When):
                self._sleep(found, now)
                break
            self._begin(found)
        if self.outside:
            self._let_in()

    def _sleep(self, when: When, now: float) -> None:
        self.next = when
        if when.at == math.inf:
            self._wake_at = math.nan
            return
        # As the worker of a scheduler sleeps, to the last bit.
        self.sleep_until(now + max(when.at - now, LEAST_SLEEP))

    def sleep_until(self, at: float) -> None:
        """Look again then, unless something changes before."""
        if at != self._wake_at:
            self._wake_at = at
            self.run.at(at, self.wake)

    def _begin(self, job: SimulatedJob) -> None:
        self.run.started(self, job)
        if self._lead:
            lead = self.client.lead.draw(self.random)
            self.run.at(self.run.now + lead, self._ask, job)
        else:
            self._ask(job)

    def _ask(self, job: SimulatedJob) -> None:
        run = self.run
        self.tally.asked += 1
        run.recording.add("asked", run.now)
        seconds, outcome = run.upstream.ask(run.now, job.arrival)
        run.at(run.now + seconds, self.end, job, outcome, run.now)

    # -- end ---------------------------------------------------------------------------------------------------------

    def end(self, job: SimulatedJob, outcome: Outcome, asked_at: float) -> None:
        run, now, tally = self.run, self.run.now, self.tally
        run.upstream.answered()
        started_at = now if job.started_at is None else job.started_at
        self.ledger.end(job, now, outcome, job.retry)
        kind = outcome.kind
        if kind is OutcomeKind.THROTTLED:
            tally.throttled += 1
        elif kind is OutcomeKind.FAILED:
            tally.errors += 1
        if job.state is JobState.FAILED:
            tally.failed += 1
        elif job.state is JobState.SUCCEEDED:
            tally.succeeded += 1
            tally.wait.add(started_at - job.arrival.at)
            tally.turnaround.add(now - job.arrival.at)
            used = job.cost if job.arrival.used is None else job.arrival.used
            for name, amount in used.items():
                tally.work[name] = tally.work.get(name, 0.0) + amount
        run.ended(self, job, kind, asked_at)
        self.stir()
