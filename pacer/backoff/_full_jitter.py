"""Delays anywhere between nothing and what another policy says."""

from __future__ import annotations

from random import Random

import attrs

from pacer.backoff._inner import a_policy, most_running
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class FullJitter:
    """The delay is uniform between 0 and that of another policy, so that clients that failed together part.

    Formula, with v the delay of the inner policy: `U(0, v)`; the mean is v/2. It is the "full jitter" of AWS
    ("Exponential Backoff And Jitter", Marc Brooker, 2015). v is capped before the dice are thrown, so no delay is above
    the inner policy's maximum, and none is more likely than another: there is no crowd at the maximum. None, with which
    the inner policy gives up, stays None, and 0 stays 0.

    Not around `HonourRetryAfter`: jitter would undercut the time that the upstream named. Put that outside:
    `HonourRetryAfter(FullJitter(ExponentialBackoff(1)))`. Not where the upstream needs some rest after every failure:
    a delay may be close to 0; `EqualJitter` keeps half of it. Not for one client alone: there is nobody to part from.

    Args:
        policy: The policy that says how long the delay may be.

    Raises:
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(validator=a_policy)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """A random share of the inner policy's delay."""
        longest = self.policy.delay(failure, random)
        return None if longest is None else random.uniform(0.0, longest)

    def most_running(self, failures: int) -> int | None:
        """As the inner policy."""
        return most_running(self.policy, failures)
