"""Delays that double a few times and then grow evenly."""

from __future__ import annotations

import math
from random import Random

import attrs

from pacer._validation import positive, seconds, whole
from pacer.backoff._maximum import not_below_initial
from pacer.protocols import Failure


@attrs.frozen
class CappedDoublings:
    """The delay doubles so many times, then grows by the last of the doubled delays, up to a maximum.

    Formula, with n the number of failures in a row and d the doublings: `initial * 2**(n - 1)` for `n <= d + 1`, then
    `initial * 2**d * (n - d)`, and never more than `maximum`. `CappedDoublings(10, maximum=300, doublings=3)` gives
    10, 20, 40, 80, 160, 240, 300, 300, ... It is the schedule of Google Cloud Tasks, whose `min_backoff`, `max_backoff`
    and `max_doublings` are `initial`, `maximum` and `doublings` here (documentation of its RetryConfig). The exponent
    is clamped, so no count overflows.

    Not for many clients of one upstream without jitter: they come back together.

    Args:
        initial: The first delay in seconds, above 0.
        maximum: The largest delay in seconds, at least `initial`; 300 by default.
        doublings: How often the delay doubles, 0 or more; with 0 it grows evenly from the start.

    Raises:
        ValueError: For numbers outside of these bounds.
    """

    initial: float = attrs.field(converter=seconds, validator=positive)
    maximum: float = attrs.field(
        default=300.0, converter=seconds, validator=[positive, not_below_initial], kw_only=True
    )
    doublings: int = attrs.field(validator=whole(0), kw_only=True)

    def delay(self, failure: Failure, random: Random) -> float:
        """The delay after `failure.count` failures in a row."""
        doublings = min(failure.count - 1, self.doublings)
        if doublings >= math.log2(self.maximum / self.initial):
            return self.maximum
        doubled = self.initial * 2.0**doublings
        return min(doubled * (failure.count - doublings), self.maximum)
