"""Delays between half of what another policy says and all of it."""

from __future__ import annotations

from random import Random

import attrs

from pacer.backoff._inner import a_policy, most_running
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class EqualJitter:
    """The delay is uniform between half of another policy's delay and all of it.

    Formula, with v the delay of the inner policy: `v/2 + U(0, v/2)`; the mean is 3v/4. It is the "equal jitter" of AWS
    ("Exponential Backoff And Jitter", Marc Brooker, 2015). v is capped before the dice are thrown, so no delay is above
    the inner policy's maximum, and there is no crowd at it. None, with which the inner policy gives up, stays None, and
    0 stays 0.

    Not around `HonourRetryAfter`: jitter would undercut the time that the upstream named; put that outside. Not for the
    soonest recovery among many clients: AWS found it the slowest of its jitters, with about as many calls as
    `FullJitter`.

    Args:
        policy: The policy that says how long the delay may be.

    Raises:
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(validator=a_policy)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """Half of the inner policy's delay, and a random share of the other half."""
        longest = self.policy.delay(failure, random)
        return None if longest is None else longest / 2 + random.uniform(0.0, longest / 2)

    def most_running(self, failures: int) -> int | None:
        """As the inner policy."""
        return most_running(self.policy, failures)
