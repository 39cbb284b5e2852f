"""The rules: every decision that is made about a queue, as pure functions of facts.

May this job enter? Which may start, and when? What does this outcome change? Stores apply the answers atomically;
the forecast rolls the same answers forward; nothing else decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Literal

import attrs

from pacer._admission import last_start, refusal
from pacer._ends import Fate, recovered, settle
from pacer._errors import ImpossibleJobError, QueueFullError
from pacer._guard import Guard
from pacer._job import JobRecord, Outcome, OutcomeKind, Retry
from pacer._numbers import Number, changed_numbers, numbers_of, with_numbers
from pacer._promises import kept, promised
from pacer._snapshot import QueueState, Snapshot, Stance
from pacer.protocols import (
    NOW,
    BackoffPolicy,
    DurationEstimator,
    Durations,
    JobFacts,
    JobQueue,
    PacingPolicy,
    When,
)

OnCrash = Literal["rerun", "stale"]

_PAUSED = When(math.inf, on_event=True, reason="paused by hand", by_hand=True)
INTERRUPTED = Outcome(OutcomeKind.IGNORED)
UNUSED = Outcome(OutcomeKind.IGNORED, unused=True)
EXPIRED = "it had not started by the time after which it is of no use"


@attrs.frozen(eq=False)
class Rules:
    """The parts of one queue, and the decisions that follow from them."""

    queue: JobQueue
    pacing: PacingPolicy[Any]
    backoff: BackoffPolicy
    estimator: DurationEstimator[Any]
    concurrency: int = 1
    max_throttles: int = 50
    max_recoveries: int = 3
    on_crash: OnCrash = "rerun"
    calibrated: bool = True
    """Whether forecasts learn from what has come of the earlier ones."""
    random: Random = attrs.field(factory=Random)
    guard: Guard = attrs.field(factory=Guard)
    recipe: Rules | None = attrs.field(default=None, repr=False)
    """The rules as they were given, if these have numbers that a person has set."""
    _tuned: list[tuple[Mapping[str, float], Rules]] = attrs.field(init=False, factory=list, repr=False)
    """The numbers that were set last, and the rules with them."""

    def initial(self) -> QueueState:
        """The state of a queue that has never run a job."""
        return QueueState(self.pacing.initial_state(), self.estimator.initial_state(), self.queue.order.initial_state())

    def on_clock(self, epoch: float) -> Rules:
        """The same rules for a clock that showed 0 at this Unix time: some policies speak of the calendar."""
        move = getattr(self.pacing, "on_clock", None)
        return self if move is None else attrs.evolve(self, pacing=move(epoch))

    # -- numbers that a person has set ---------------------------------------------------------------------------------

    def tuned(self, state: QueueState) -> Rules:
        """The same with the numbers of their parts that a person has set."""
        numbers = state.numbers
        if self.recipe is not None:
            return self.recipe.tuned(state)
        if not numbers:
            return self
        known = self._tuned[0] if self._tuned else None  # looked at once: a store's thread asks, too
        if known is None or (known[0] is not numbers and known[0] != numbers):
            rules, problems = with_numbers(self, numbers)
            for problem in problems:
                self.guard.note(QueueState, "numbers", problem)
            known = (numbers, rules)
            self._tuned[:] = [known]
        return known[1]

    def set_numbers(self, state: QueueState, numbers: Mapping[str, float | None]) -> QueueState:
        """The state after a person has set numbers of the parts, by path; None: that of the recipe.

        Raises:
            ValueError: There is no such number, or it cannot be this one.
        """
        return attrs.evolve(state, numbers=changed_numbers(self.recipe or self, state.numbers, numbers))

    def numbers(self, state: QueueState) -> list[Number]:
        """All that can be set, as they are now."""
        now = numbers_of(self.tuned(state))
        return [Number(path, now[path], recipe) for path, recipe in numbers_of(self.recipe or self).items()]

    # -- in ----------------------------------------------------------------------------------------------------------

    def check_possible(self, job: JobFacts, now: float) -> None:
        """Raises ImpossibleJobError for a job that could not start even on an idle queue that has never run one."""
        when = self._pace(self.pacing.initial_state(), now, job, 0)
        if when is not None and when.never:
            raise ImpossibleJobError(when.reason)

    def admit(
        self,
        jobs: Sequence[JobRecord],
        waiting: int,
        snapshot: Callable[[], Snapshot],
        position: Callable[[float], int] | None = None,
    ) -> int:
        """May all of these jobs enter? Returns how many of the oldest have to leave for them.

        `snapshot` and `position` are called only if the answer depends on a forecast; see `last_start`.

        Raises:
            QueueFullError: They may not; it says when there is expected to be room for them.
        """
        admission = self.guard.admission(
            self.queue,
            lambda: self.queue.admit(len(jobs), waiting, lambda: last_start(self, snapshot(), jobs, position)),
        )
        if not admission.accepted:
            raise refusal(self, snapshot(), jobs, admission)
        return min(admission.drop, waiting)

    def refusal(self, snapshot: Snapshot, jobs: Sequence[JobFacts]) -> QueueFullError:
        """The error for jobs that find no room: when is there expected to be enough of it?"""
        return refusal(self, snapshot, jobs)

    def place(self, state: QueueState, job: JobFacts) -> tuple[float, QueueState]:
        """Where the job stands among the waiting ones, smaller is sooner; and the state after it has come in."""
        order = self.queue.order
        try:
            answer, placed = order.place(state.order, job, lambda: self.predict(state, job).mean)
            key = self.guard.sort_key(order, answer)
        except Exception as error:
            self.guard.note(order, "place", error)
            key = None
        if key is None:
            return job.created_at, state  # in order of arrival, and not before jobs whose keys are times
        return key, state if placed is state.order else attrs.evolve(state, order=placed)

    def promised(
        self, state: QueueState, job: JobRecord, position: int, snapshot: Callable[[], Snapshot]
    ) -> QueueState:
        """The state after a job has come in at this position; now and then one is noted with a promise."""
        return promised(self, state, job, position, snapshot)

    # -- start -------------------------------------------------------------------------------------------------------

    @property
    def starts_ahead(self) -> bool:
        """Whether start times may be given out ahead of the clock; see `PacingPolicy`."""
        return bool(getattr(self.pacing, "starts_ahead", False))

    def next_start(self, state: Stance, now: float, job: JobFacts, running: int) -> When:
        """When may this job start? The latest of what pause, concurrency, holds and pace say."""
        if state.paused:
            return _PAUSED
        if running >= self.concurrency:
            return When(math.inf, on_event=True, reason=f"{running} of {self.concurrency} running")
        if state.failures and running:
            most = self._most_running(state.failures)
            if most is not None and running >= most:
                reason = f"{state.failures} failures in a row: {most} at a time until one succeeds"
                return When(math.inf, on_event=True, reason=reason)
        pace = self._pace(state.pacing, now, job, running) or self._without_pace(running)
        if pace.on_event and running == 0 and pace.at == math.inf and not pace.by_hand:
            # Nothing runs, so nothing will end: waiting for that would be for ever.
            self.guard.note(self.pacing, "earliest", "waits for a job to end while none runs")
            pace = NOW
        if state.hold_until > now and state.hold_until > pace.at:
            return When(state.hold_until, reason=state.hold_reason)
        return pace

    def _pace(self, state: Any, now: float, job: JobFacts, running: int) -> When | None:
        """What the pacing policy says; None if that cannot be used."""
        try:
            when = self.pacing.earliest(state, now, job, running)
            # The usual answers, without a detour: a forecast asks thousands of times.
            if when is NOW or (type(when) is When and type(when.at) is float and when.at == when.at):
                return when
            return self.guard.when(self.pacing, when)
        except Exception as error:
            self.guard.no_when(self.pacing, error)
            return None

    def _most_running(self, failures: int) -> int | None:
        ask = getattr(self.backoff, "most_running", None)
        return None if ask is None else self.guard.most_running(self.backoff, lambda: ask(failures))

    def _without_pace(self, running: int) -> When:
        """For a policy that gives no usable answer: one job at a time, and `settle` holds the queue after each."""
        if running == 0:
            return NOW
        return When(math.inf, on_event=True, reason=f"{type(self.pacing).__name__} gave no usable answer")

    def start(self, state: QueueState, now: float, job: JobRecord, running: int) -> QueueState:
        """The job starts now, beside `running` others."""
        order = self.queue.order
        try:
            placed = order.started(state.order, job, job.sort_key)
        except Exception as error:
            self.guard.note(order, "started", error)
        else:
            if placed is not state.order:
                state = attrs.evolve(state, order=placed)
        if job.promised_high is not None:
            state = kept(state, now, job)
        waited = max(0.0, now - max(job.ready_at, job.created_at))
        return state.after_start(now, self.charge(state.pacing, now, job, running), waited)

    def charge(self, pacing: Any, now: float, job: JobFacts, running: int) -> Any:
        """The pacing policy's state after the job has started."""
        try:
            return self.pacing.started(pacing, now, job, running)
        except Exception as error:
            self.guard.note(self.pacing, "started", error)
            return pacing

    def end_hold(self, state: QueueState, now: float) -> QueueState:
        """The state after a person has ended the hold after failures, or the one that the upstream asked for.

        Failures in a row are still counted: the next one holds the queue again, for longer. A pause that was to follow
        the hold begins now.
        """
        if state.hold_until <= now:
            return state
        state = attrs.evolve(state, hold_until=now)
        change = getattr(self.pacing, "hold_ended", None)
        if change is None:
            return state
        try:
            return state.with_pacing(change(state.pacing, state.paced(now)))
        except Exception as error:
            self.guard.note(self.pacing, "hold_ended", error)
            return state

    def set_rate(self, state: QueueState, now: float, rate: float | None) -> QueueState:
        """The state after a person has set the rate at which jobs start; None is that of the recipe.

        Raises:
            TypeError: The pacing policy has none that can be set.
            ValueError: It cannot be this one.
        """
        change = getattr(self.pacing, "with_rate", None)
        if change is None:
            msg = f"set_rate: the rate of {self.pacing!r} cannot be set; take ManualPace, or add `& ManualPace(...)`"
            raise TypeError(msg)
        return state.with_pacing(change(state.pacing, now, rate))

    def rate_limit(self, state: QueueState, now: float) -> float | None:
        """Starts a second that the pacing policy lets there be in the long run; None if it is not about a rate."""
        ask = getattr(self.pacing, "rate_limit", None)
        if ask is None:
            return None
        try:
            rate = ask(state.pacing, state.paced(now))
            return None if rate is None or not 0 <= rate < math.inf else float(rate)
        except Exception as error:
            self.guard.note(self.pacing, "rate_limit", error)
            return None

    # -- end ---------------------------------------------------------------------------------------------------------

    def settle(
        self,
        state: QueueState,
        now: float,
        job: JobRecord,
        outcome: Outcome,
        running: int,
        retry: Retry | None,
    ) -> tuple[QueueState, Fate, Outcome]:
        """A run has ended, beside `running` others still running.

        Returns the new state, what becomes of the job, and the outcome with the queue's hold filled in.
        """
        return settle(self, state, now, job, outcome, running, retry)

    def finish(self, state: QueueState, now: float, job: JobFacts, outcome: Outcome, running: int) -> QueueState:
        """Tell the pacing policy of the end of a run, and nobody else.

        With the outcome `INTERRUPTED` for a run that was broken off (shutdown, or the crash of its worker), and with
        `UNUSED` for one that had not begun.
        """
        return state.with_pacing(self.give_back(state.pacing, state.paced(now), job, outcome, running))

    def give_back(self, pacing: Any, now: float, job: JobFacts, outcome: Outcome, running: int) -> Any:
        """The pacing policy's state after a run of the job has ended."""
        try:
            return self.pacing.ended(pacing, now, job, outcome, running)
        except Exception as error:
            self.guard.note(self.pacing, "ended", error)
            return pacing

    def recover(self, job: JobRecord, runnable: bool) -> Fate:
        """What becomes of a job whose worker is gone? `runnable`: some live worker knows its function."""
        return recovered(self, job, runnable)

    def predict(self, state: QueueState, job: JobFacts) -> Durations:
        """How long a run of this job will take."""
        return self.guard.durations(self.estimator, lambda: self.estimator.predict(state.estimator, job))
