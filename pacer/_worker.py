"""One process's share of the work: dispatch, run, settle."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from pacer import events
from pacer._arrivals import announce_arrivals
from pacer._errors import LeaseLostError, NotEncodableError, NotRunningError, TakenOverError
from pacer._guard import Guard
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer._next_claim import NextClaim
from pacer._rules import Rules
from pacer._runner import Runner, one_line
from pacer._signals import Announcer, Pulse, Pulses, Turn
from pacer._tasks import TaskRegistry
from pacer._upcoming import LEAST_SLEEP, Upcoming
from pacer.protocols import Codec, Ledger, Settled

# After the store has failed, and before it is asked again. A store that is away must not be hammered.
STORE_RETRY = 1.0
# A slot lets the event loop do other things at least this often, even if its jobs never wait for anything.
LONGEST_RUN_WITHOUT_YIELD = 0.001


@attrs.define(eq=False)
class Worker:
    """A fixed number of slots, each of which takes a job, runs it and settles it, over and over.

    The slots take turns at the front: exactly one waits for the next start time, the others queue up behind it. A job
    runs in its slot's own task, inside a cancel scope that is renewed only after it has been used to cancel a job.

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
    _turn: Turn = attrs.field(init=False, factory=Turn)
    _claimed: deque[JobRecord] = attrs.field(init=False, factory=deque)
    _idle: int = attrs.field(init=False, default=0)
    _closed: bool = attrs.field(init=False, default=False)
    _stopping: bool = attrs.field(init=False, default=False)
    _active: int = attrs.field(init=False, default=0)
    _unsettled: set[JobRecord] = attrs.field(init=False, factory=set)
    """Jobs that have ended, which the store has not taken yet."""
    _lost: set[JobRecord] = attrs.field(init=False, factory=set)
    """Jobs that are ended here because the store said that they are somebody else's."""
    _expiring: Pulse = attrs.field(init=False, factory=Pulse)
    _yielded_at: float = attrs.field(init=False, default=-math.inf)
    runner: Runner = attrs.field(init=False)
    _upcoming: Upcoming = attrs.field(init=False)
    _next_claim: NextClaim = attrs.field(init=False)
    _guard: Guard = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.runner = Runner(self.ledger, self.codec, self.registry, self.announce)
        self._upcoming = Upcoming(self.ledger.now)
        self._next_claim = NextClaim(self.ledger, ends_count=not self.rules.starts_ahead)
        self._guard = self.rules.guard  # one for all numbers that the rules may have

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
        self._stopping = True
        self.wake()
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
        return self._active > 0 and not self._stopping

    def wake(self) -> None:
        """Something has changed that may let a job start sooner."""
        self._next_claim.fire()

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
        while (record := await self._take()) is not None:
            if await self._may_begin(record):
                if record not in self._lost:
                    return record
                await self._let_go(record, begun=False)
        return None

    async def _may_begin(self, record: JobRecord) -> bool:
        """Wait for its time, if it was claimed ahead of the clock; meanwhile others may claim."""
        if record.started_at is None or record.started_at <= self.ledger.now():
            return True
        if self._stopping:
            await self._release([record], begun=False)
            return False
        return await self._upcoming.reached(record)

    async def withdraw(self, until: float = math.inf) -> None:
        """Give back the jobs that have not begun and were to start up to this time: they may not any more."""
        withdrawn = [*self._upcoming.take_back(until), *self._take_back_claimed(until)]
        if not withdrawn:
            return
        while not await self._release(withdrawn, begun=False):
            if self._stopping:  # their leases will run out instead
                return
            await anyio.sleep(STORE_RETRY)
        for record in withdrawn:
            self.forget(record)

    def _take_back_claimed(self, until: float) -> list[JobRecord]:
        """Those of them that no slot has taken yet, the claim having come back just now."""
        if not self._claimed:
            return []
        now = self.ledger.now()
        found = [one for one in self._claimed if one.started_at is not None and now < one.started_at <= until]
        self._claimed = deque(one for one in self._claimed if one not in found)
        return found

    async def _take(self) -> JobRecord | None:
        """The next job of those that have been claimed; None when no more are to be taken."""
        self._idle += 1
        try:
            while True:
                if await self._turn.take():
                    await self._at_the_front()
                if self._claimed:
                    return self._claimed.popleft()
                if self._stopping:
                    return None
        finally:
            self._idle -= 1

    async def _at_the_front(self) -> None:
        """Wait until there is a job for this slot, and perhaps for others."""
        try:
            while not self._claimed and not self._stopping:
                await self._next_claim.wait()
                if not self._stopping:
                    await self._claim()
        finally:
            others = len(self._claimed) - 1
            self._turn.call_out(others)
            self._turn.give()
        if others > 0 and self.ledger.poll is not None:
            # They begin in the same turn of the event loop; what they have to write then shares a commit.
            await anyio.lowlevel.checkpoint()

    async def _claim(self) -> None:
        if self.ledger.poll is not None:
            # Other jobs may have been settled by the same commit: their slots come in now, and one claim does for all.
            await anyio.lowlevel.checkpoint()
        self._next_claim.begins()
        limit = self._idle
        try:
            claimed = await self.ledger.claim(self.registry.names, limit)
        except TakenOverError as error:
            await self._retire(error)
            return
        except Exception as error:
            self.store_failed("claim", error)
            self._next_claim.failed(STORE_RETRY)
            return
        self.report_faults()
        if len(claimed.jobs) < limit:
            self._next_claim.not_before(claimed.next)
        if claimed.jobs:
            self._claimed.extend(claimed.jobs)
            self.changed.fire()

    async def _retire(self, error: TakenOverError) -> None:
        """Take no more jobs, and give back those that have not begun; those that run here are ended as usual."""
        self._stopping = True
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
        if outcome.kind is OutcomeKind.SUCCEEDED:
            outcome = self._encode_result(record, outcome)
        try:
            settled = await self._insist(record, outcome, scope)
        finally:
            self._unsettled.discard(record)
        if settled is not None:
            self._announce_end(settled, outcome)
        # A start that was not used may be the next one's, which the last claim did not know.
        self.forget(record, ran=not outcome.unused)
        if settled is not None:
            await self.withdraw(math.inf if settled.queue.paused else settled.queue.hold_until)

    async def _let_go(self, record: JobRecord, *, begun: bool) -> None:
        """A job is left to others that was not ours any more. Should it be ours all the same, it has not failed."""
        await self._release([record], begun=begun)
        if record.state is JobState.RUNNING:
            self.announce(events.OutcomeRefused(self.ledger.now(), record.id, record.task))
        self.forget(record)

    async def _insist(self, record: JobRecord, outcome: Outcome, scope: anyio.CancelScope) -> Settled | None:
        while True:
            # What a store has written must be told too, so a stop waits for the answer, but not for another try.
            scope.shield = self.ledger.poll is not None
            try:
                return await self.ledger.settle(record, outcome, self._retry_of(record))
            except LeaseLostError:
                self.announce(events.OutcomeRefused(self.ledger.now(), record.id, record.task))
                return None
            except Exception as error:
                self.store_failed("settle", error)
            finally:
                scope.shield = False
            self._unsettled.add(record)
            await anyio.sleep(STORE_RETRY)

    def _retry_of(self, record: JobRecord) -> Any:
        if record.retry is not None:
            return record.retry
        task = self.registry.named(record.task)
        return None if task is None else task.retry

    def _encode_result(self, record: JobRecord, outcome: Outcome) -> Outcome:
        try:
            result = self.codec.encode_result(record.task, outcome.result)
        except Exception as error:  # a codec of the user's may raise anything
            # The work is done and paid for; only its result cannot be kept.
            problem = str(error) if isinstance(error, NotEncodableError) else one_line(error)
            self.announce(events.ResultDropped(self.ledger.now(), record.id, record.task, problem))
            return attrs.evolve(outcome, result=None, error=f"result not kept: {problem}")
        return outcome if result is outcome.result else attrs.evolve(outcome, result=result)

    def _announce_end(self, settled: Settled, outcome: Outcome) -> None:
        """One event for the job, one more if the queue is now held."""
        job = settled.record
        now = self.ledger.now() if job.ended_at is None else job.ended_at
        attempt = job.failures if outcome.kind is OutcomeKind.FAILED else job.attempt
        match job.state:
            case JobState.SUCCEEDED:
                # A time of 0.0 is a time: clocks of tests start there.
                took = 0.0 if job.ended_at is None or job.started_at is None else job.ended_at - job.started_at
                self.announce(events.JobSucceeded(now, job.id, job.task, took))
            case JobState.CANCELLED:
                self.announce(events.JobCancelled(now, job.id, job.task))
            case JobState.QUEUED if outcome.kind is OutcomeKind.THROTTLED:
                self.announce(events.JobThrottled(now, job.id, job.task, outcome.error))
            case JobState.QUEUED:
                delay = max(0.0, job.ready_at - now)
                self.announce(events.JobRescheduled(now, job.id, job.task, attempt, job.error, delay))
            case _:
                self.announce(events.JobFailed(now, job.id, job.task, attempt, job.error))
        # A Retry-After holds the queue too, though it is no delay that the pause would come on top of.
        hold = settled.queue.hold_until - now if outcome.kind is OutcomeKind.THROTTLED else settled.hold
        if hold > 0:
            self.announce(events.QueueHeld(now, hold, settled.queue.hold_reason))
        self.report_faults()

    def forget(self, record: JobRecord, *, ran: bool = False) -> None:
        """Wake those who wait for this job or for room, and drop what only this job needed."""
        if self.runner.local_calls and record.state.final:
            self.runner.local_calls.pop(record.id, None)
        if record.expires_at is not None and record.state is JobState.QUEUED:
            self.expires()  # it is back in the queue
        self._lost.discard(record)
        self.ended.fire(record.id)
        if ran and record.state is not JobState.QUEUED:
            self._next_claim.run_ended()
        else:
            self.wake()
        self.changed.fire()

    # -- when the process stops, or another one has -----------------------------------------------------------------

    async def _give_back(self, record: JobRecord | None) -> None:
        """An unfinished job at shutdown: no outcome, no attempt spent; it is run again by whoever is next."""
        if record is not None:
            await self._release([record], begun=True)
        not_begun = [*self._claimed, *self._upcoming.take_back()]
        self._claimed.clear()
        if not_begun:
            await self._release(not_begun, begun=False)

    async def _release(self, unfinished: Sequence[JobRecord], *, begun: bool) -> bool:
        with anyio.CancelScope(shield=True):
            try:
                await self.ledger.release(unfinished, begun=begun)
            except Exception as error:  # its lease will run out instead
                self.store_failed("release", error)
                return False
        for one in unfinished:
            if one.state is JobState.QUEUED:
                self.announce(events.JobReleased(self.ledger.now(), one.id, one.task))
            elif one.state is JobState.CANCELLED:
                self.announce(events.JobCancelled(self.ledger.now(), one.id, one.task))
        return True

    def _held(self) -> list[JobRecord]:
        return [*self._claimed, *self._upcoming, *self.runner.running, *self._unsettled]

    async def _heartbeat(self, interval: float) -> None:
        """Keep the leases of running jobs, hear of cancellations, and take over from workers that are gone."""
        while True:
            await anyio.sleep(interval)
            try:
                held = self._held()
                beat = await self.ledger.beat(held)
                await self._recover()
            except Exception as error:
                self.store_failed("heartbeat", error)
                continue
            for record in held:
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
                self.store_failed("expire", error)
                wait = STORE_RETRY
            with anyio.move_on_after(wait):
                await changed.wait()

    async def _recover(self) -> None:
        recovered = await self.ledger.recover(self.registry.names, self.slots)
        for record in recovered:
            self.announce(events.JobRecovered(self.ledger.now(), record.id, record.task, record.state))
            self.forget(record)

    # -- what went wrong ---------------------------------------------------------------------------------------------

    def report_faults(self) -> None:
        """Tell of strategies that misbehaved since the last time."""
        if self._guard.faults:
            for fault in self._guard.take_faults():
                self.announce(events.PartMisbehaved(self.ledger.now(), fault.part, fault.question, fault.problem))

    def store_failed(self, action: str, error: Exception) -> None:
        """Tell of a failure after which the store is asked again."""
        self.announce(events.StoreFailed(self.ledger.now(), action, one_line(error), STORE_RETRY))
