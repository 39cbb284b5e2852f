"""What a condition is shown of a queue, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from pacer._job import Estimate, JobState
from pacer._validation import finite, whole
from pacer._views import Status

ENDED_SHOWN = 100
"""So many of the jobs that ended last in a state are looked at."""


@attrs.frozen(kw_only=True)
class EndedJob:
    """A job that has ended, without arguments and result.

    Attributes:
        id: Its id.
        task: The name of its function.
        state: How it ended.
        ended_at: When, on the store's clock.
        error: Why it did not succeed, in one line.
    """

    id: str
    task: str
    state: JobState
    ended_at: float
    error: str


@attrs.frozen(kw_only=True)
class Look:
    """A queue at one moment, as conditions see it. Times are seconds on the store's clock.

    Attributes:
        now: The moment.
        status: As `Scheduler.status` gives it, over all processes; but `status.estimate` is None.
        forecast: Gives that estimate; `Look.estimate` asks it.
        refused: Jobs that the queue has refused in this process since the last look.
        retry_after: Seconds that the last refused were told to wait; None if none were.
        ended: Of the states that a condition names in `states`: jobs that have ended since the alert was last told,
            the last first, at most 100 of each.
    """

    now: float
    status: Status
    forecast: Callable[[], Estimate | None] = lambda: None
    refused: int = 0
    retry_after: float | None = None
    ended: Sequence[EndedJob] = ()

    @property
    def estimate(self) -> Estimate | None:
        """Time until a job enqueued now would start; None if no time can be named. Worked out each time it is asked."""
        return self.forecast()


@attrs.frozen(kw_only=True)
class Finding:
    """What a condition has found to be wrong.

    Attributes:
        text: What is wrong, for people, in one line.
        since: When it began, on the store's clock.
        firing: Whether it is bad enough to be told. False: it is watched until it is, or is over.
        lasts: Whether it goes on until it is over, which is then told, too. False: it has happened, and that is all.
        count: How often it has happened so far, as jobs that were refused; 1 or more if it fires.
        fields: The same for machines: plain data by name.
        memory: A number that the condition wants to see again at the next look.
    """

    text: str = attrs.field(validator=attrs.validators.instance_of(str))
    since: float = attrs.field(validator=finite)
    firing: bool = True
    lasts: bool = True
    count: int = attrs.field(default=1, validator=whole(0))
    fields: Mapping[str, str | float | None] = attrs.field(factory=dict)
    memory: float = 0.0


class Condition(Protocol):
    """Says whether something is wrong with a queue. It waits for nothing, reads no clock and remembers nothing.

    One more name is looked for, and may be left out: `states`, the final states whose jobs it wants to see in
    `Look.ended`.
    """

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        """What is wrong now; None if nothing is. `before` is what it found at the last look, some seconds ago."""


def duration(value: float) -> str:
    """Seconds for people: to the second, or to the minute if it is long."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
