"""A pause after each job."""

from __future__ import annotations

from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import not_negative, seconds
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class FixedPause(Combinable):
    """No job starts sooner than `seconds` after the last one ended, however it ended.

    Formula: `earliest = last_end + seconds`, where a hold that the backoff policy imposes at `last_end` is waited out
    first: `earliest = last_end + hold + seconds`. With one job at a time a window of W seconds sees at most
    `1 + floor(W / seconds)` starts, fewer by what the jobs themselves take.

    Not for using up a rate: while a job runs the upstream's allowance goes unused. Use `TokenBucket` there.

    It names no `rate_limit`: how many jobs a second that makes depends on how long they run, and on how many at once.

    State: the time from which the pause counts, or None before the first job.

    Args:
        seconds: Length of the pause, 0 or more.
    """

    seconds: float = attrs.field(converter=seconds, validator=not_negative)

    @cached_property
    def _reason(self) -> str:
        return f"pause of {self.seconds:g} s after the last job"

    def initial_state(self) -> float | None:
        """No job has ended yet, so the first one starts at once."""
        return None

    def earliest(self, state: float | None, now: float, job: JobFacts, running: int) -> When:
        """When the pause is over."""
        if state is None or state + self.seconds <= now:
            return NOW
        return When(state + self.seconds, False, self._reason)

    def started(self, state: float | None, now: float, job: JobFacts, running: int) -> float | None:
        """A start costs nothing; the end counts."""
        return state

    def ended(self, state: float | None, now: float, job: JobFacts, outcome: Outcome, running: int) -> float:
        """The pause counts from here, or from the end of the hold."""
        if outcome.unused and state is not None:
            return state
        end = now + outcome.hold
        return end if state is None else max(state, end)

    def hold_ended(self, state: float | None, now: float) -> float | None:
        """The pause counts from here if it was to count from a later end of the hold."""
        return None if state is None else min(state, now)
