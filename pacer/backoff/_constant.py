"""The same delay after every failure."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import not_negative, seconds
from pacer.protocols import Failure


@attrs.frozen
class ConstantBackoff:
    """Every failure is followed by the same delay.

    Not for long outages: the number of futile calls grows with their length.

    Args:
        seconds: The delay, 0 or more.
    """

    seconds: float = attrs.field(converter=seconds, validator=not_negative)

    def delay(self, failure: Failure, random: Random) -> float:
        """The delay, whatever the count."""
        return self.seconds
