from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fibonacci_backoff import FibonacciBackoff
from pause_per_key import PausePerKey
from start_interval import StartInterval

from pacer import Scheduler
from pacer.protocols import PacingPolicy
from pacer.testing import (
    BACKOFF_CHECKS,
    PACING_CHECKS,
    check_pacing_policy,
    run_virtual,
)


def test_start_interval_keeps_the_contract() -> None:
    check_pacing_policy(StartInterval(6))


@pytest.mark.parametrize("check", PACING_CHECKS, ids=lambda check: check.__name__)
def test_pause_per_key_keeps_each_promise(check: Callable[[Any], None]) -> None:
    check(PausePerKey(10))


@pytest.mark.parametrize("check", BACKOFF_CHECKS, ids=lambda check: check.__name__)
def test_fibonacci_backoff_keeps_each_promise(check: Callable[[Any], None]) -> None:
    check(FibonacciBackoff(15))


def starts(pacing: PacingPolicy[Any], keys: list[str]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []

    async def work(key: str) -> None:
        found.append((key, anyio.current_time()))
        await anyio.sleep(2)

    async def scenario() -> None:
        async with Scheduler(pacing=pacing) as scheduler:
            for key in keys:
                await scheduler.options(key=key).enqueue(work, key)
            await scheduler.drain()

    run_virtual(scenario)
    return found


def test_start_interval_counts_from_start_to_start() -> None:
    assert starts(StartInterval(6), ["a", "a", "a"]) == [("a", 0), ("a", 6), ("a", 12)]


def test_pause_per_key_lets_another_tenant_pass() -> None:
    assert starts(PausePerKey(10), ["a", "a", "b"]) == [("a", 0), ("b", 2), ("a", 12)]
