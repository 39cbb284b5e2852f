"""A limit in every window of a length, counted at the completion of jobs."""

from __future__ import annotations

from functools import cached_property
from typing import TypedDict

import attrs

from pacer._job import Outcome
from pacer._validation import positive, seconds, whole
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import ROUNDING, requests
from pacer.pacing._log import Log, is_over, noted, room_at
from pacer.protocols import NOW, JobFacts, When


class CompletionLog(TypedDict):
    """What `CompletionWindow` keeps."""

    completed: Log
    running: float


@attrs.frozen
class CompletionWindow(Combinable):
    """At most `limit` requests in any half-open window of `per` seconds, wherever in its run a job is counted.

    The sliding log, counted at the end: a job starts if it, all that run, and all that completed in the last `per`
    seconds make no more than `limit` together. Running jobs may all complete at the next moment, so they count in
    full. This bounds completions in any window, and more: the upstream may count a request at any moment between the
    start and the end of its job, another moment for each, and still never sees more than `limit` in a window. That
    makes it the choice where a request reaches the upstream an unknown time after its job's start. The cost of a job
    is its `"requests"`, 1 by default; a run that was broken off (cancelled, lost in a crash) counts like any other,
    because its request may have arrived.

    With jobs of S seconds the rate is at most `limit / (per + S)`: the price of being safe.

    Not for using up a limit that is counted at the start: `SlidingWindow` is faster there. Not for limits of many
    hundreds: each completion writes the whole log.

    State: `completed`, the times of completions in the window with a running sum of their costs, at most
    `2 * limit + 1` pairs (half of that where no job costs less than 1), and `running`, the cost of what runs.

    Args:
        limit: Requests in a window, 1 or more.
        per: Length of the window in seconds, above 0.
    """

    limit: int = attrs.field(validator=whole(1))
    per: float = attrs.field(converter=seconds, validator=positive)

    starts_ahead = True

    @cached_property
    def _reason(self) -> str:
        return f"limit of {self.limit} in any {self.per:g} s, completed and running"

    def rested(self, state: CompletionLog, now: float) -> bool:
        """Whether the window is empty."""
        return is_over(state["completed"], now, self.per)

    def rate_limit(self, state: CompletionLog, now: float) -> float:
        """`limit / per`: starts of cost 1 a second if jobs take no time. How long they take is not for it to know."""
        return self.limit / self.per

    def initial_state(self) -> CompletionLog:
        """Nothing has completed, nothing runs."""
        return {"completed": [], "running": 0.0}

    def earliest(self, state: CompletionLog, now: float, job: JobFacts, running: int) -> When:
        """When enough completions have left the window; after an end if what runs leaves no room."""
        cost = requests(job)
        if cost > self.limit:
            return When(float("inf"), reason=f"its cost of {cost:g} requests is above the limit of {self.limit}")
        busy = state["running"] if running else 0.0
        if busy + cost > self.limit + ROUNDING:
            return When(float("inf"), True, self._reason)
        at = room_at(state["completed"], busy + cost, self.limit, self.per)
        return NOW if at <= now else When(at, False, self._reason)

    def started(self, state: CompletionLog, now: float, job: JobFacts, running: int) -> CompletionLog:
        """It counts from now on."""
        busy = state["running"] if running else 0.0
        return {"completed": state["completed"], "running": busy + requests(job)}

    def ended(self, state: CompletionLog, now: float, job: JobFacts, outcome: Outcome, running: int) -> CompletionLog:
        """It goes on counting for `per` seconds, unless it has not begun."""
        cost = requests(job)
        busy = max(0.0, state["running"] - cost) if running else 0.0
        if outcome.unused:
            return {"completed": state["completed"], "running": busy}
        return {"completed": noted(state["completed"], now, cost, self.per), "running": busy}
