from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fibonacci_backoff import FibonacciBackoff
from last_durations import LastDurations
from pause_per_key import PausePerKey
from round_robin import RoundRobin
from start_interval import StartInterval

from pacer import BoundedQueue, JobRecord, Outcome, OutcomeKind, Scheduler
from pacer.protocols import PacingPolicy
from pacer.testing import (
    BACKOFF_CHECKS,
    ESTIMATOR_CHECKS,
    ORDER_CHECKS,
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


@pytest.mark.parametrize("check", ORDER_CHECKS, ids=lambda check: check.__name__)
def test_round_robin_keeps_each_promise(check: Callable[[Any], None]) -> None:
    check(RoundRobin())


@pytest.mark.parametrize("check", ESTIMATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("count", [5, 100])
def test_last_durations_keeps_each_promise(
    check: Callable[[Any], None], count: int
) -> None:
    check(LastDurations(60, count))


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


def test_round_robin_serves_the_keys_in_turn() -> None:
    served: list[str] = []

    async def work(key: str) -> None:
        served.append(key)

    async def scenario() -> None:
        queue = BoundedQueue(50, order=RoundRobin())
        async with Scheduler(queue=queue) as scheduler:
            await scheduler.pause()
            for key in "aaabbc":
                await scheduler.options(key=key).enqueue(work, key)
            await scheduler.resume()
            await scheduler.drain()

    run_virtual(scenario)
    assert served == ["a", "b", "c", "a", "b", "a"]


def test_last_durations_promises_what_it_has_seen() -> None:
    estimator, job = LastDurations(), JobRecord(id="1", task="work")
    state, success = estimator.initial_state(), Outcome(OutcomeKind.SUCCEEDED)
    for duration in range(1, 10):
        state = estimator.observed(state, job, float(duration), success)
    found = estimator.predict(state, job)
    assert found.mean == 5
    assert found.quantile(0.5) == 5
    assert found.quantile(0.1) < 2
    assert found.quantile(0.9) > 8
