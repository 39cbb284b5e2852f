"""Backoff policies: how long to wait after the n-th failure in a row?"""

from pacer.backoff._constant import ConstantBackoff as ConstantBackoff
from pacer.backoff._exponential import ExponentialBackoff as ExponentialBackoff
from pacer.backoff._none import NoBackoff as NoBackoff

__all__ = ["ConstantBackoff", "ExponentialBackoff", "NoBackoff"]
