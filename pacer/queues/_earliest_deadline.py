"""The most pressing first."""

from __future__ import annotations

import sys
from collections.abc import Callable

import attrs

from pacer._validation import optional_seconds, positive
from pacer.protocols import JobFacts

# Later than any time, and yet a number that every store can hold.
_BEHIND_ALL = sys.float_info.max


@attrs.frozen
class EarliestDeadline:
    """The job that expires first is next; a deadline is what `expires=` says, the time by which it has to have started.

    Formula: `key = expires_at`; without one `created_at + patience`, or behind all jobs with one, in order of arrival,
    if there is no `patience`. Among jobs that wait at the same time and take equally long, no other order makes the
    largest lateness smaller (Jackson's rule, 1955): if all of them can start in time in any order, they do in this one.

    Not under lasting overload: the most pressing job may be one that is as good as lost, and the time that it takes
    makes others late too. Jobs that have expired leave by themselves; to take in no more than can be served is the
    queue's part (`MaxWait`). Without `patience`, jobs without a deadline starve while jobs with one keep coming.

    State: none.

    Args:
        patience: Seconds after its enqueueing at which a job without `expires` counts as due, above 0; None (default)
            puts such jobs behind all that expire.
    """

    patience: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive)
    )

    def initial_state(self) -> None:
        """There is no state."""
        return

    def place(self, state: None, job: JobFacts, expected: Callable[[], float]) -> tuple[float, None]:
        """An earlier deadline makes the key smaller."""
        if job.expires_at is not None:
            return job.expires_at, None
        return _BEHIND_ALL if self.patience is None else job.created_at + self.patience, None

    def started(self, state: None, job: JobFacts, sort_key: float) -> None:
        """Nothing to learn."""
        return
