"""A least time from start to start."""

from __future__ import annotations

from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import not_negative, seconds
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class MinInterval(Combinable):
    """No job starts sooner than `seconds` after the last one started, whatever it costs and however long it runs.

    Formula: `earliest = last_start + seconds`. A closed window of W seconds holds at most `1 + floor(W / seconds)`
    starts. A start that comes late pushes all later ones back: it is a distance, no rate. With one job at a time that
    takes S seconds, a cycle takes `max(S, seconds)`.

    Not for using up a rate of many starts a second: timers are late, and here that is never made up for. Use
    `TokenBucket` there.

    State: the time of the last start, or None before the first.

    Args:
        seconds: From start to start, 0 or more.
    """

    seconds: float = attrs.field(converter=seconds, validator=not_negative)

    starts_ahead = True

    @cached_property
    def _reason(self) -> str:
        return f"{self.seconds:g} s from start to start"

    def rate_limit(self, state: float | None, now: float) -> float | None:
        """Starts a second if none of them is late; None for an interval of 0, which limits nothing."""
        return 1.0 / self.seconds if self.seconds else None

    def initial_state(self) -> float | None:
        """No job has started yet, so the first one starts at once."""
        return None

    def earliest(self, state: float | None, now: float, job: JobFacts, running: int) -> When:
        """When the last start is long enough ago."""
        if state is None:
            return NOW
        at = state + self.seconds
        return NOW if at <= now else When(at, False, self._reason)

    def started(self, state: float | None, now: float, job: JobFacts, running: int) -> float:
        """The interval counts from here."""
        return now if state is None or now > state else state

    def ended(self, state: float, now: float, job: JobFacts, outcome: Outcome, running: int) -> float:
        """Nothing to learn: starts are what counts. One that was not used does not count if it was the last."""
        return state - self.seconds if outcome.unused and state == job.started_at else state
