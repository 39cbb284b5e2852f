"""Backoff policies: how long to wait after the n-th failure in a row?

Some are policies of their own, others wrap one: `HonourRetryAfter(FullJitter(ExponentialBackoff(1)))`.
"""

from pacer.backoff._capped_doublings import CappedDoublings as CappedDoublings
from pacer.backoff._circuit_breaker import CircuitBreaker as CircuitBreaker
from pacer.backoff._constant import ConstantBackoff as ConstantBackoff
from pacer.backoff._decorrelated_jitter import DecorrelatedJitter as DecorrelatedJitter
from pacer.backoff._equal_jitter import EqualJitter as EqualJitter
from pacer.backoff._exponential import ExponentialBackoff as ExponentialBackoff
from pacer.backoff._full_jitter import FullJitter as FullJitter
from pacer.backoff._give_up_after import GiveUpAfter as GiveUpAfter
from pacer.backoff._honour_retry_after import HonourRetryAfter as HonourRetryAfter
from pacer.backoff._linear import LinearBackoff as LinearBackoff
from pacer.backoff._none import NoBackoff as NoBackoff
from pacer.backoff._retry_budget import RetryBudget as RetryBudget

__all__ = [
    "CappedDoublings",
    "CircuitBreaker",
    "ConstantBackoff",
    "DecorrelatedJitter",
    "EqualJitter",
    "ExponentialBackoff",
    "FullJitter",
    "GiveUpAfter",
    "HonourRetryAfter",
    "LinearBackoff",
    "NoBackoff",
    "RetryBudget",
]
