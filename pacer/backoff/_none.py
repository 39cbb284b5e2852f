"""No backoff."""

from __future__ import annotations

from random import Random

import attrs

from pacer.protocols import Failure


@attrs.frozen
class NoBackoff:
    """Failures are followed by no delay.

    Not for an upstream that gets slower or stricter when it is asked again at once.
    """

    def delay(self, failure: Failure, random: Random) -> float:
        """Always 0."""
        return 0.0
