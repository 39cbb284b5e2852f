"""A policy is arithmetic: its tests need no event loop, no clock and no scheduler."""

from random import Random

from pacer.backoff import ExponentialBackoff
from pacer.protocols import Failure


def test_our_settings_wait_ten_minutes_in_all_before_the_sixth_call() -> None:
    policy = ExponentialBackoff(20, maximum=300, after=1)
    delays = [policy.delay(Failure(count), Random(0)) for count in range(1, 6)]
    assert delays == [20, 40, 80, 160, 300]
    assert sum(delays) == 600
