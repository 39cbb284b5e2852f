"""One process's share of the work: dispatch, run, settle."""

from __future__ import annotations

import math

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from pacer import events
from pacer._arrivals import announce_arrivals
from pacer._claims import Claims
from pacer._errors import NotRunningError, TakenOverError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer._runner import Runner
from pacer._settler import Settler
from pacer._signals import Announcer, Pulse, Pulses
from pacer._tasks import TaskRegistry
from pacer._troubles import STORE_RETRY, Troubles
from pacer._upcoming import LEAST_SLEEP, Upcoming
from pacer.protocols import Codec, Ledger

# A slot lets the event loop do other things at least this often, even if its jobs never wait for anything.
LONGEST_RUN_WITHOUT_YIELD = 0.001


@attrs.define(eq=False)
class Worker:
    """A fixed number of slots, each of which takes a job, runs it and settles it, over and over.

    A job runs in its slot's own task, inside a cancel scope that is renewed only after it has been used to cancel one.

    With 0 slots it runs none, and cares for the queue as all do: it says which tasks there are, so that their jobs
    wait for a worker, takes out what has expired, and takes over from workers that are gone.
    """

    ledger: Ledger
    codec: Codec
    registry: TaskRegistry
    announce: Announcer
    slots: int
    changed: Pulse = attrs.field(init=False, factory=Pulse)
    """Fired when a job has started or ended here, or has left the queue."""
    ended: Pulses = attrs.field(init=False, factory=Pulses)
    """By job: fired when a run of it has ended here, or it has left the queue."""
    _closed: bool = attrs.field(init=False, default=False)
    _active: int = attrs.field(init=False, default=0)
    _lost: set[JobRecord] = attrs.field(init=False, factory=set)
    """Jobs that are ended here because the store said that they are somebody else's."""
    _expiring: Pulse = attrs.field(init=False, factory=Pulse)
    _yielded_at: float = attrs.field(init=False, default=-math.inf)
    troubles: Troubles = attrs.field(init=False)
    runner: Runner = attrs.field(init=False)
    _claims: Claims = attrs.field(init=False)
    _upcoming: Upcoming = attrs.field(init=False)
    _settler: Settler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.troubles = Troubles(self.ledger, self.announce)
        self._claims = Claims(self.ledger, self.registry, self.troubles, self.changed, self._retire)
        self._upcoming = Upcoming(self.ledger.now)
        self.runner = Runner(self.ledger, self.codec, self.registry, self.announce)
        self._settler = Settler(self.ledger, self.codec, self.registry, self.announce, self.troubles)

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self, task_group: anyio.abc.TaskGroup, *, guest: bool = False) -> None:
        """Take over what a crash has left, then begin to work. A guest does neither."""
        self.ledger.watch(self._others_changed, self._ended_elsewhere)
        if guest:
            return
        for risk in self.ledger.risks:
            self.announce(events.StoreAtRisk(self.ledger.now(), risk))
        await self._recover()
        for _ in range(self.slots):
            self._active += 1
            task_group.start_soon(self._slot)
        task_group.start_soon(self._watch_expiry)
        if self.ledger.heartbeat is not None:
            task_group.start_soon(self._heartbeat, self.ledger.heartbeat)

    async def stop(self, grace: float) -> None:
        """Take no more jobs; give those that run `grace` seconds to end, and give back those that have not begun."""
        self._claims.stop()
        with anyio.move_on_after(grace):
            await self.withdraw()
            while self._active:
                await self.changed.next().wait()

    def close(self) -> None:
        """The end: whoever still waits for a job or for room is woken, and told by `check_open`."""
        self._closed = True
        self.changed.fire()
        self.ended.fire_all()

    def check_open(self) -> None:
        """Raises NotRunningError if what somebody waits for can no longer happen here."""
        if self._closed:
            msg = "the scheduler has stopped; start it again to wait for its jobs or to add to them"
            raise NotRunningError(msg)

    @property
    def rules(self) -> Rules:
        """What decides now."""
        return self.ledger.rules

    @property
    def working(self) -> bool:
        """Whether jobs are being taken."""
        return self._active > 0 and not self._claims.stopping

    def wake(self) -> None:
        """Something has changed that may let a job start sooner."""
        self._claims.wake()

    def _others_changed(self) -> None:
        announce_arrivals(self)
        self.wake()
        self.changed.fire()

    def _ended_elsewhere(self, job_id: str | None) -> None:
        if job_id is None:
            self.ended.fire_all()
        else:
            self.ended.fire(job_id)
        self.changed.fire()

    async def _slot(self) -> None:
        try:
            while await self._work():
                pass
        finally:
            self._active -= 1
            self.changed.fire()

    async def _work(self) -> bool:
        """Run jobs one after the other. True: a job was cancelled, begin anew; False: no more jobs are to be taken."""
        unfinished = None
        try:
            with anyio.CancelScope() as scope:
                while (unfinished := await self._next()) is not None:
                    outcome = await self.runner.run(unfinished, scope)
                    if scope.cancel_called:  # its function returned all the same
                        break
                    ended, unfinished = unfinished, None
                    await self._settle(ended, outcome, scope)
                    await self._let_others_run()
            if unfinished is None:
                return False
            if scope.cancelled_caught:
                outcome = Outcome(OutcomeKind.IGNORED, error="cancelled while running")
            ended, unfinished = unfinished, None
            with anyio.CancelScope() as scope:
                await self._settle(ended, outcome, scope)
            return True
        except anyio.get_cancelled_exc_class():
            await self._give_back(unfinished)
            raise

    async def _let_others_run(self) -> None:
        if self.ledger.poll is not None:  # each job has waited for the ledger
            return
        now = self.ledger.now()
        if now - self._yielded_at >= LONGEST_RUN_WITHOUT_YIELD:
            await anyio.lowlevel.checkpoint()
            self._yielded_at = self.ledger.now()

    # -- dispatch ----------------------------------------------------------------------------------------------------

    async def _next(self) -> JobRecord | None:
        """The next job that may start, as soon as it may; None when no more are to be taken."""
        while (record := await self._claims.take()) is not None:
            if await self._may_begin(record):
                if record not in self._lost:
                    return record
                await self._let_go(record, begun=False)
        return None

    async def _may_begin(self, record: JobRecord) -> bool:
        """Wait for its time, if it was claimed ahead of the clock; meanwhile others may claim."""
        if record.started_at is None or record.started_at <= self.ledger.now():
            return True
        if self._claims.stopping:
            await self._settler.give_back([record], begun=False)
            return False
        return await self._upcoming.reached(record)

    async def withdraw(self, until: float = math.inf) -> None:
        """Give back the jobs that have not begun and were to start up to this time: they may not any more."""
        withdrawn = [*self._upcoming.take_back(until), *self._claims.take_back(until)]
        if not withdrawn:
            return
        while not await self._settler.give_back(withdrawn, begun=False):
            if self._claims.stopping:  # their leases will run out instead
                return
            await anyio.sleep(STORE_RETRY)
        for record in withdrawn:
            self.forget(record)

    async def _retire(self, error: TakenOverError) -> None:
        """Take no more jobs, and give back those that have not begun; those that run here are ended as usual."""
        self._claims.stop()
        self.announce(events.QueueTakenOver(self.ledger.now(), error.queue, str(error)))
        await self.withdraw()

    # -- settle ------------------------------------------------------------------------------------------------------

    async def _settle(self, record: JobRecord, outcome: Outcome, scope: anyio.CancelScope) -> None:
        """Write down how the run ended, however long the store takes to accept it, and tell everybody.

        `scope` is one around this call, which nobody cancels any more.
        """
        if record in self._lost and outcome.kind is OutcomeKind.IGNORED:
            await self._let_go(record, begun=not outcome.unused)
            return
        settled = await self._settler.settle(record, outcome, scope)
        # A start that was not used may be the next one's, which the last claim did not know.
        self.forget(record, ran=not outcome.unused)
        if settled is not None:
            await self.withdraw(math.inf if settled.queue.paused else settled.queue.hold_until)

    async def _let_go(self, record: JobRecord, *, begun: bool) -> None:
        """A job is left to others that was not ours any more. Should it be ours all the same, it has not failed."""
        taken = record.state is not JobState.RUNNING  # in memory, what others make of it is seen here
        if not taken:
            await self._settler.give_back([record], begun=begun)
        if taken or record.state is JobState.RUNNING:
            self._settler.refused(record)
        self.forget(record)

    def forget(self, record: JobRecord, *, ran: bool = False) -> None:
        """Wake those who wait for this job or for room, and drop what only this job needed."""
        if self.runner.local_calls and record.state.final:
            self.runner.local_calls.pop(record.id, None)
        if record.expires_at is not None and record.state is JobState.QUEUED:
            self.expires()  # it is back in the queue
        self._lost.discard(record)
        self.ended.fire(record.id)
        if ran and record.state is not JobState.QUEUED:
            self._claims.run_ended()
        else:
            self.wake()
        self.changed.fire()

    # -- when the process stops, or another one has -----------------------------------------------------------------

    async def _give_back(self, record: JobRecord | None) -> None:
        """At shutdown: what runs in this slot, and what no slot has begun."""
        if record is not None:
            await self._settler.give_back([record], begun=True)
        not_begun = [*self._claims.take_back_all(), *self._upcoming.take_back()]
        if not_begun:
            await self._settler.give_back(not_begun, begun=False)

    def _held(self) -> list[JobRecord]:
        return [*self._claims, *self._upcoming, *self.runner.running, *self._settler.unsettled]

    async def _heartbeat(self, interval: float) -> None:
        """Keep the leases of running jobs, hear of cancellations, and take over from workers that are gone."""
        while True:
            await anyio.sleep(interval)
            try:
                held = self._held()
                beat = await self.ledger.beat(held)
                await self._recover()
            except Exception as error:
                self.troubles.store_failed("heartbeat", error)
                continue
            still_held = set(self._held())
            for record in (one for one in held if one in still_held):
                if record.id in beat.cancel:
                    self._cancel(record)
                elif record.id in beat.lost:
                    self._lost.add(record)
                    self.runner.break_off(record)

    def cancel(self, job_id: str) -> None:
        """Cancel the job if it runs here, or is about to. The store knows of it."""
        for record in self._held():
            if record.id == job_id:
                self._cancel(record)

    def _cancel(self, record: JobRecord) -> None:
        record.cancel_requested = True  # it does not begin, if it has not yet
        self.runner.break_off(record)

    def expires(self) -> None:
        """A job waits that will not wait for ever."""
        self._expiring.fire()

    async def _watch_expiry(self) -> None:
        """Take jobs out of the queue at the time after which they are of no use, even if nothing starts then."""
        while True:
            changed, wait = self._expiring.next(), math.inf if self.ledger.heartbeat is None else self.ledger.heartbeat
            try:
                expired = await self.ledger.expire()
                for record in expired.jobs:
                    self.announce(events.JobExpired(self.ledger.now(), record.id, record.task))
                    self.forget(record)
                if expired.next is not None:
                    wait = min(wait, max(expired.next - self.ledger.now(), LEAST_SLEEP))
            except Exception as error:
                self.troubles.store_failed("expire", error)
                wait = STORE_RETRY
            with anyio.move_on_after(wait):
                await changed.wait()

    async def _recover(self) -> None:
        recovered = await self.ledger.recover(self.registry.names, self.slots)
        for record in recovered:
            self.announce(events.JobRecovered(self.ledger.now(), record.id, record.task, record.state))
            self.forget(record)
