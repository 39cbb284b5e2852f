"""A limit to the share of retries among all runs."""

from __future__ import annotations

from random import Random

import attrs

from pacer._validation import not_negative, share
from pacer.backoff._inner import a_policy, most_running
from pacer.protocols import BackoffPolicy, Failure


@attrs.frozen
class RetryBudget:
    """The delays of another policy while retries are few beside the successes; when they are many, it gives up.

    Formula: give up if `retries + 1 > share * successes + at_least`, with the queue's `retries` and `successes` of the
    recent past, which fade to 1/e in 60 s. So if every retry of a queue has this budget, any W seconds see at most
    `share * (S + N) + at_least * (1 + W / 60)` of them, where N jobs succeed in these seconds and S is what counted as
    recent successes when they began. While an upstream is well, nearly every failure is retried; in an outage the
    successes stay away, and instead of multiplying the load the retries fall to about `at_least` a minute. The idea and
    the share of 20 % are those of Finagle's RetryBudget (Twitter, 2016), which counts requests instead of successes,
    for 10 s, and allows 10 retries a second without any.

    For the retries of jobs. All of a queue draw on one budget, and a `Retry` without one uses it up for the others. Not
    for a queue's backoff, where giving up means no delay. Not for jobs that must not be lost in an outage: those that
    find the budget used up have failed. Hold the queue instead, with `CircuitBreaker` or `ExponentialBackoff`.

    Args:
        policy: The policy that says how long the delays are.
        share: Retries for each success, above 0 and at most 1; 0.2 by default.
        at_least: Retries that are allowed without any success, 0 or more; 10 by default. With less than 1 nothing is
            retried before there have been successes.

    Raises:
        ValueError: For numbers outside of these bounds.
        TypeError: If `policy` is none.
    """

    policy: BackoffPolicy = attrs.field(validator=a_policy)
    share: float = attrs.field(default=0.2, validator=share, kw_only=True)
    at_least: float = attrs.field(default=10.0, validator=not_negative, kw_only=True)

    def delay(self, failure: Failure, random: Random) -> float | None:
        """The inner policy's delay; None when the budget is used up."""
        if failure.retries + 1 > self.share * failure.successes + self.at_least:
            return None
        return self.policy.delay(failure, random)

    def most_running(self, failures: int) -> int | None:
        """As the inner policy."""
        return most_running(self.policy, failures)
