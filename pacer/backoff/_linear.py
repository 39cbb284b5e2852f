"""Delays that grow by the same amount with each failure in a row."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import not_negative, positive, seconds, whole
from pacer.backoff._maximum import not_below_initial
from pacer.protocols import Failure


@attrs.frozen
class LinearBackoff:
    """The delay grows by one step with each failure in a row, up to a maximum.

    Formula, with n the number of failures in a row: 0 for `n < after`, else
    `min(initial + step * (n - after), maximum)`. `LinearBackoff(10, maximum=45)` gives 10, 20, 30, 40, 45, 45, ...

    Not for long outages: the number of futile calls grows with the square root of their length, where that of an
    exponential grows with its logarithm. Not for many clients of one upstream without jitter: they come back together.

    Args:
        initial: The first delay in seconds, 0 or more.
        step: By how many seconds each delay is longer than the one before, above 0; as `initial` by default.
        maximum: The largest delay in seconds, at least `initial`; 300 by default.
        after: The failure in a row at which delays begin, 1 or more; 1 by default (from the first).

    Raises:
        ValueError: For numbers outside of these bounds.
    """

    initial: float = attrs.field(converter=seconds, validator=not_negative)
    step: float = attrs.field(
        default=attrs.Factory(lambda self: self.initial, takes_self=True),
        converter=seconds,
        validator=positive,
        kw_only=True,
    )
    maximum: float = attrs.field(
        default=300.0, converter=seconds, validator=[positive, not_below_initial], kw_only=True
    )
    after: int = attrs.field(default=1, validator=whole(1), kw_only=True)

    def delay(self, failure: Failure, random: Random) -> float:
        """The delay after `failure.count` failures in a row."""
        steps = failure.count - self.after
        return 0.0 if steps < 0 else min(self.initial + self.step * steps, self.maximum)
