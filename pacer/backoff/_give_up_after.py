"""An end to retries."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import optional_seconds, positive, whole
from pacer.backoff._inner import a_policy, most_running
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class GiveUpAfter:
    """The delays of another policy, until so many attempts have failed or so much time has passed.

    With `attempts`, it gives up at the failure of that number, the first run counted: `attempts=1` never retries. With
    `seconds`, it gives up when the next attempt could not begin within that time after the first failure:
    `elapsed + delay > seconds`. So no delay reaches beyond `seconds`; a job that then has to wait for its turn may
    still start later. With both, whichever comes first; either of them may also be reached inside `policy`, or by
    `Retry(attempts=...)`.

    For the retries of a job. Not for a queue's backoff, where giving up means no delay: after so many failures in a row
    the queue would be held no longer.

    Args:
        policy: The policy that says how long the delays are until then.
        attempts: How many runs in all, 1 or more; None (default) for any number.
        seconds: The time since the first failure, above 0; None (default) for any time.

    Raises:
        ValueError: If both are None, or a number is outside of its bounds.
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(validator=a_policy)
    attempts: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1)), kw_only=True)
    seconds: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.attempts is None and self.seconds is None:
            msg = "GiveUpAfter: give attempts=, seconds=, or both"
            raise ValueError(msg)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """The inner policy's delay; None when it is time to give up."""
        if self.attempts is not None and failure.count >= self.attempts:
            return None
        delay = self.policy.delay(failure, random)
        if delay is None or (self.seconds is not None and failure.elapsed + delay > self.seconds):
            return None
        return delay

    def most_running(self, failures: int) -> int | None:
        """As the inner policy."""
        return most_running(self.policy, failures)
