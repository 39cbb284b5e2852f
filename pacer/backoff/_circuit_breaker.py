"""Leave an upstream alone that is down, and knock once before all come back."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import positive, seconds, whole
from pacer.backoff._inner import a_policy, most_running
from pacer.backoff._none import NoBackoff
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class CircuitBreaker:
    """After so many failures in a row the queue is held, then a single job is tried before the others may follow.

    A queue's failures in a row say in which of three states it is (Michael Nygard, "Release It!", 2007):

    - Closed, below `failures`: after each failure the inner policy's delay, and as many jobs at once as ever.
    - Open, when `failures` is reached: nothing starts for `open_for` seconds. Jobs that were running go on.
    - Half-open, after that: jobs start one at a time, once all that ran before have ended. A success closes the
      circuit; a failure opens it again for `open_for` seconds. A probe that ends without either (cancelled, thrown out
      by a crash, throttled with a time to wait) decides nothing, and the next job is the probe.

    A throttle without a time counts as a failure, here as for every queue.

    Failures of parallel jobs that started before the last failure was known count once, and none of them opens or
    closes the circuit late.

    For a queue's backoff. Not for the retries of a job: these hold nobody else back, and know no probe. Not for a queue
    of jobs that fail of their own fault: bad input opens the circuit as well as an upstream that is down.

    Args:
        policy: Delays below the threshold; `NoBackoff()` by default.
        failures: Failures in a row that open the circuit, 1 or more; 5 by default.
        open_for: Seconds for which it stays open, above 0; 30 by default.

    Raises:
        ValueError: For numbers outside of these bounds.
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(factory=NoBackoff, validator=a_policy)
    failures: int = attrs.field(default=5, validator=whole(1), kw_only=True)
    open_for: float = attrs.field(default=30.0, converter=seconds, validator=positive, kw_only=True)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """`open_for` if the circuit is open, else the inner policy's delay."""
        return self.policy.delay(failure, random) if failure.count < self.failures else self.open_for

    def most_running(self, failures: int) -> int | None:
        """1 until the circuit is closed, else as the inner policy."""
        return most_running(self.policy, failures) if failures < self.failures else 1
