"""The last step of the data path: how a run ended is written down and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import attrs

from pacer import events
from pacer._errors import LeaseLostError, NotEncodableError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer._runner import one_line
from pacer._signals import Announcer
from pacer._tasks import TaskRegistry
from pacer._troubles import STORE_RETRY, Troubles
from pacer.protocols import Codec, Ledger, Settled


@attrs.define(eq=False)
class Settler:
    """Hands back to the store the jobs that this process has claimed: with an outcome, or unfinished."""

    ledger: Ledger
    codec: Codec
    registry: TaskRegistry
    announce: Announcer
    troubles: Troubles
    unsettled: set[JobRecord] = attrs.field(init=False, factory=set)
    """Jobs that have ended, which the store has not taken yet."""

    async def settle(self, record: JobRecord, outcome: Outcome, scope: anyio.CancelScope) -> Settled | None:
        """Write down how the run ended, however long the store takes to accept it, and tell everybody.

        `scope` is one around this call, which nobody cancels any more. None: the store refused it, for the job is
        somebody else's now.
        """
        if outcome.kind is OutcomeKind.SUCCEEDED:
            outcome = self._encode_result(record, outcome)
        try:
            settled = await self._insist(record, outcome, scope)
        finally:
            self.unsettled.discard(record)
        if settled is not None:
            self._announce_end(settled, outcome)
        return settled

    async def _insist(self, record: JobRecord, outcome: Outcome, scope: anyio.CancelScope) -> Settled | None:
        while True:
            # What a store has written must be told too, so a stop waits for the answer, but not for another try.
            scope.shield = self.ledger.poll is not None
            try:
                return await self.ledger.settle(record, outcome, self._retry_of(record))
            except LeaseLostError:
                self.refused(record)
                return None
            except Exception as error:
                self.troubles.store_failed("settle", error)
            finally:
                scope.shield = False
            self.unsettled.add(record)
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
        self.troubles.report_faults()

    def refused(self, record: JobRecord) -> None:
        """Tell that the outcome of a run did not count, for the job is somebody else's."""
        self.announce(events.OutcomeRefused(self.ledger.now(), record.id, record.task))

    async def give_back(self, unfinished: Sequence[JobRecord], *, begun: bool) -> bool:
        """No outcome, no attempt spent: they are run again by whoever is next. False: the store has failed.

        Not `begun`: their functions have not been called.
        """
        with anyio.CancelScope(shield=True):
            try:
                await self.ledger.release(unfinished, begun=begun)
            except Exception as error:  # its lease will run out instead
                self.troubles.store_failed("release", error)
                return False
        for one in unfinished:
            if one.state is JobState.QUEUED:
                self.announce(events.JobReleased(self.ledger.now(), one.id, one.task))
            elif one.state is JobState.CANCELLED:
                self.announce(events.JobCancelled(self.ledger.now(), one.id, one.task))
        return True
