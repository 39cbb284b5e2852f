"""Random delays that grow from the delay before instead of from the count."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import positive, seconds
from pacer.backoff._maximum import not_below_initial
from pacer.protocols import Failure


@attrs.frozen
class DecorrelatedJitter:
    """The delay is uniform between the first delay and three times the delay before, up to a maximum.

    Formula: `min(maximum, U(initial, 3 * previous))`, with `previous = initial` at the first failure: the "decorrelated
    jitter" of AWS ("Exponential Backoff And Jitter", Marc Brooker, 2015). It is a policy and not a wrapper, because
    there is nothing in the formula that another policy could say: the delays grow by their own random walk.
    `failure.previous` is what really followed the failure before; if something around this policy made it longer (a
    Retry-After) or shorter, it counts as no more than `maximum` and no less than `initial`.

    Every delay is between `initial` and `maximum`. The cap comes after the dice, as in the original. So, unlike with
    the other jitters, there is a crowd at the maximum: with 15 and 300 s a share of 11 % of the fourth delays, 28 % of
    the sixth and 36 % of the eighth are exactly 300 s.

    Not for many clients in a long outage, for that reason: take `FullJitter(ExponentialBackoff(...))`.

    Args:
        initial: The smallest delay in seconds, above 0.
        maximum: The largest delay in seconds, at least `initial`; 300 by default.

    Raises:
        ValueError: For numbers outside of these bounds.
    """

    initial: float = attrs.field(converter=seconds, validator=positive)
    maximum: float = attrs.field(
        default=300.0, converter=seconds, validator=[positive, not_below_initial], kw_only=True
    )

    def delay(self, failure: Failure, random: Random) -> float:
        """A random step from the delay before."""
        previous = min(max(failure.previous, self.initial), self.maximum)
        return min(self.maximum, random.uniform(self.initial, 3 * previous))
