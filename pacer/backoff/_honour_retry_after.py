"""Delays that are never shorter than the upstream asked for."""

from __future__ import annotations

from random import Random

import attrs

from pacer.backoff._inner import a_policy, most_running
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class HonourRetryAfter:
    """The delay of another policy, or what the upstream asked for if that is longer.

    Formula, with v the delay of the inner policy: `max(v, retry_after)`; v if the upstream did not say. A Retry-After
    (RFC 9110, section 10.2.3) is a floor: jitter belongs inside, where it cannot undercut the time that the upstream
    named, as in `HonourRetryAfter(FullJitter(ExponentialBackoff(1)))`. None, with which the inner policy gives up,
    stays None: that an upstream names a time is no reason to go on.

    Not needed for throttles: the time of a 429, of a 503 that names one, or of `Throttled(retry_after)` holds the queue
    whatever the backoff. It is for failures that name a time all the same, such as a 500 with Retry-After. Not enough
    for many clients that were all told the same time: they come back together.

    Args:
        policy: The policy that says how long the delay is otherwise.

    Raises:
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(validator=a_policy)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """The longer of the inner policy's delay and the upstream's."""
        delay = self.policy.delay(failure, random)
        if delay is None or failure.retry_after is None:
            return delay
        return max(delay, failure.retry_after)

    def most_running(self, failures: int) -> int | None:
        """As the inner policy."""
        return most_running(self.policy, failures)
