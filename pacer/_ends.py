"""What the end of a run changes: the queue's state, and what becomes of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from pacer._errors import Throttled
from pacer._guard import FALLBACK_WAIT
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind, Retry
from pacer._snapshot import QueueState
from pacer.protocols import Failure, JobFacts

if TYPE_CHECKING:
    from pacer._rules import Rules

# A throttled queue is held at least this long: "retry after 0" may not spin. If neither the upstream nor the backoff
# policy names a time, the upstream, which has just said "too many", is not asked again at once.
LEAST_THROTTLE_HOLD = 0.001
UNNAMED_THROTTLE_HOLD = 1.0


@attrs.frozen
class Fate:
    """What becomes of a job.

    Attributes:
        state: Its new state.
        ready_at: When it may start again, for `queued`.
        error: One line for people.
        failures: Its failures so far.
        throttles: Its throttles so far.
        first_failed_at: When it failed first; None if it never has.
        retry_delay: Seconds that follow its last failure.
    """

    state: JobState
    ready_at: float
    error: str
    failures: int
    throttles: int
    first_failed_at: float | None
    retry_delay: float

    @classmethod
    def of(cls, job: JobRecord, state: JobState, error: str) -> Fate:
        """A new state for a job whose counters stay what they are."""
        return cls(state, job.ready_at, error, job.failures, job.throttles, job.first_failed_at, job.retry_delay)

    def apply(self, job: JobRecord) -> None:
        """Make the record say so, as far as it is the rules' to say."""
        job.state, job.error = self.state, self.error
        job.failures, job.throttles = self.failures, self.throttles
        job.first_failed_at, job.retry_delay = self.first_failed_at, self.retry_delay


def settle(
    rules: Rules, state: QueueState, now: float, job: JobRecord, outcome: Outcome, running: int, retry: Retry | None
) -> tuple[QueueState, Fate, Outcome]:
    """A run has ended: see `Rules.settle`."""
    started_at = now if job.started_at is None else job.started_at
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            state = _end_streak(state, started_at)
            fate = Fate.of(job, JobState.SUCCEEDED, outcome.error)
        case OutcomeKind.FAILED:
            state, hold = _count_failure(rules, state, now, started_at, outcome)
            outcome = attrs.evolve(outcome, hold=hold)
            fate = _after_failure(rules, state, now, job, outcome, retry)
        case OutcomeKind.THROTTLED:
            state, outcome = _throttle(rules, state, now, started_at, outcome)
            fate = _after_throttle(rules, job, outcome)
        case OutcomeKind.IGNORED:
            end = JobState.CANCELLED if job.cancel_requested else JobState.FAILED
            fate = Fate.of(job, end, outcome.error)
    if rules.guard.pace_lost:
        rules.guard.pace_lost = False
        state = _hold(state, now + FALLBACK_WAIT, f"{type(rules.pacing).__name__} gave no usable answer")
    state = state.after_run(
        now,
        rules.give_back(state.pacing, state.paced(now), job, outcome, running),
        _estimator_after(rules, state, job, outcome, max(0.0, now - started_at)),
        succeeded=fate.state is JobState.SUCCEEDED,
        failed=fate.state is JobState.FAILED,
        retried=fate.state is JobState.QUEUED and outcome.kind is OutcomeKind.FAILED,
        throttled=outcome.kind is OutcomeKind.THROTTLED,
    )
    return state, fate, outcome


def recovered(rules: Rules, job: JobRecord, runnable: bool) -> Fate:
    """What becomes of a job whose worker is gone: see `Rules.recover`."""
    if not runnable:
        return Fate.of(job, JobState.STALE, "its worker is gone and nobody else can run it")
    if job.state is JobState.QUEUED:
        return Fate.of(job, JobState.QUEUED, job.error)
    if rules.on_crash == "stale":
        return Fate.of(job, JobState.STALE, "interrupted by a crash")
    if job.recoveries >= rules.max_recoveries:
        return Fate.of(job, JobState.DEAD, f"interrupted by {job.recoveries + 1} crashes")
    return Fate.of(job, JobState.QUEUED, "interrupted by a crash")


def _estimator_after(rules: Rules, state: QueueState, job: JobFacts, outcome: Outcome, duration: float) -> Any:
    if outcome.kind is OutcomeKind.IGNORED:
        return state.estimator
    return rules.guard.state(
        rules.estimator,
        "observed",
        state.estimator,
        lambda: rules.estimator.observed(state.estimator, job, duration, outcome),
    )


def _known_before(state: QueueState, started_at: float) -> bool:
    """Whether the job started before the last failure was known; then its end says nothing new of the streak."""
    return state.last_failed_at is not None and started_at < state.last_failed_at


def _end_streak(state: QueueState, started_at: float) -> QueueState:
    if state.failures and not _known_before(state, started_at):
        return attrs.evolve(state, failures=0, last_delay=0.0)
    return state


def _count_failure(
    rules: Rules, state: QueueState, now: float, started_at: float, outcome: Outcome
) -> tuple[QueueState, float]:
    """One more failure in a row, unless parallel jobs failed of the same cause. Returns the hold in seconds."""
    if _known_before(state, started_at):
        return state, 0.0
    count = state.failures + 1
    first = state.first_failed_at if state.failures else now
    failure = _failure(rules, state, now, count, state.last_delay, first, outcome)
    hold = rules.guard.delay(rules.backoff, lambda: rules.backoff.delay(failure, rules.random)) or 0.0
    state = attrs.evolve(state, failures=count, first_failed_at=first, last_failed_at=now, last_delay=hold)
    reason = f"backoff of {hold:g} s after {count} failure{'s' * (count > 1)} in a row"
    return _hold(state, now + hold, reason), hold


def _failure(
    rules: Rules, state: QueueState, now: float, count: int, previous: float, first: float, outcome: Outcome
) -> Failure:
    return Failure(count, previous, now - first, _named_wait(rules, outcome), *state.recent(now))


def _named_wait(rules: Rules, outcome: Outcome) -> float | None:
    """Seconds that the upstream asked to wait, as far as that can be meant; None if it did not."""
    return rules.guard.delay(Throttled, lambda: outcome.retry_after)


def _hold(state: QueueState, until: float, reason: str) -> QueueState:
    if until <= state.hold_until:
        return state
    return attrs.evolve(state, hold_until=until, hold_reason=reason)


def _after_failure(
    rules: Rules, state: QueueState, now: float, job: JobRecord, outcome: Outcome, retry: Retry | None
) -> Fate:
    failures = job.failures + 1
    first = now if job.first_failed_at is None else job.first_failed_at
    delay = None
    if retry is not None and failures < retry.attempts and not job.cancel_requested:
        failure = _failure(rules, state, now, failures, job.retry_delay, first, outcome)
        delay = rules.guard.delay(retry.backoff, lambda: retry.backoff.delay(failure, rules.random))
    if delay is None:
        return Fate(JobState.FAILED, job.ready_at, outcome.error, failures, job.throttles, first, 0.0)
    return Fate(JobState.QUEUED, now + delay, outcome.error, failures, job.throttles, first, delay)


def _throttle(
    rules: Rules, state: QueueState, now: float, started_at: float, outcome: Outcome
) -> tuple[QueueState, Outcome]:
    if outcome.retry_after is None:
        state, hold = _count_failure(rules, state, now, started_at, outcome)
        outcome = attrs.evolve(outcome, hold=hold)
        if getattr(rules.pacing, "slows_on_throttle", False):
            return state, outcome
        reason = f"throttled by the upstream, which did not say for how long: {UNNAMED_THROTTLE_HOLD:g} s"
        return _hold(state, now + UNNAMED_THROTTLE_HOLD, reason), outcome
    hold = _named_wait(rules, outcome) or 0.0
    reason = f"upstream said wait {hold:g} s"
    return _hold(state, now + max(hold, LEAST_THROTTLE_HOLD), reason), outcome


def _after_throttle(rules: Rules, job: JobRecord, outcome: Outcome) -> Fate:
    fate = Fate.of(job, JobState.QUEUED, outcome.error)
    throttles = job.throttles + 1
    if job.cancel_requested:
        fate = Fate.of(job, JobState.CANCELLED, outcome.error)
    elif throttles > rules.max_throttles:
        fate = Fate.of(job, JobState.FAILED, f"throttled {throttles} times, last: {outcome.error or 'no reason given'}")
    return attrs.evolve(fate, throttles=throttles)
