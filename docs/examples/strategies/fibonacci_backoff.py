from random import Random

import attrs

from pacer.protocols import Failure


@attrs.frozen
class FibonacciBackoff:
    """Delays of 1, 1, 2, 3, 5, 8, ... times `unit` seconds, up to `maximum`."""

    unit: float
    maximum: float = 300.0

    def delay(self, failure: Failure, random: Random) -> float:
        before, delay = 0.0, self.unit
        # After a hundred it is far beyond any maximum.
        for _ in range(min(failure.count, 100) - 1):
            before, delay = delay, before + delay
        return min(delay, self.maximum)
