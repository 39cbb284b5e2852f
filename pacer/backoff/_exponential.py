"""Delays that grow geometrically with each failure in a row."""

from __future__ import annotations

import math
from random import Random

import attrs

from pacer._validation import one_or_more, positive, seconds, whole
from pacer.backoff._maximum import not_below_initial
from pacer.protocols import Failure


@attrs.frozen
class ExponentialBackoff:
    """The delay doubles with each failure in a row, up to a maximum.

    Formula, with n the number of failures in a row: 0 for `n < after`, else
    `min(initial * factor**(n - after), maximum)`. `ExponentialBackoff(15, maximum=300, after=2)` gives
    0, 15, 30, 60, 120, 240, 300, 300, ... The exponent is clamped, so no count overflows.

    Not for many clients of one upstream without jitter: they come back together.

    Args:
        initial: The first delay in seconds, above 0.
        maximum: The largest delay in seconds, at least `initial`; 300 by default.
        factor: Growth from one delay to the next, 1 or more; 2 by default.
        after: The failure in a row at which delays begin, 1 or more; 1 by default (from the first).
    """

    initial: float = attrs.field(converter=seconds, validator=positive)
    maximum: float = attrs.field(
        default=300.0, converter=seconds, validator=[positive, not_below_initial], kw_only=True
    )
    factor: float = attrs.field(default=2.0, validator=one_or_more, kw_only=True)
    after: int = attrs.field(default=1, validator=whole(1), kw_only=True)

    def delay(self, failure: Failure, random: Random) -> float:
        """The delay after `failure.count` failures in a row."""
        doublings = failure.count - self.after
        if doublings < 0:
            return 0.0
        if self.factor == 1 or doublings < math.log(self.maximum / self.initial, self.factor):
            return min(self.initial * self.factor**doublings, self.maximum)
        return self.maximum
