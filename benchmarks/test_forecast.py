"""How true the estimates on receipts are, on a recorded hour of requests to an LLM service, in virtual time.

The trace is read from `../shared/traces` beside the repository: `azure_llm_2023_code.csv` of the Azure Public Dataset
(2023, CC-BY 4.0). It is not part of the project; without it this benchmark is skipped.

Nothing is known of how long the recorded requests took, so a job is taken to last 0.5 s and 0.03 s for each token it
generated, times a log-normal factor of mean 1 (sigma 0.3) drawn from a fixed seed: the figures are the same each time.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import anyio
import attrs
import pytest

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, QueueFullError, Receipt, Scheduler
from pacer._job import Estimate
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage, WindowedQuantile
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.protocols import DurationEstimator, PacingPolicy
from pacer.testing import run_virtual

TRACE = Path(__file__).parents[2] / "shared" / "traces" / "azure_llm_2023_code.csv"
SEED = 20_231_116
SIGMA = 0.3
TINY = 1e-6


@attrs.frozen
class Request:
    """One row of the trace: seconds since the first, and how long its job takes."""

    at: float
    duration: float


@attrs.frozen
class Promise:
    """One receipt, what the in-app queue would have said in its place, and what came true."""

    receipt: Receipt[Any]
    plain: float
    mean: float
    """The same with the mean of all durations so far in place of the moving average."""
    learned: int
    """How many jobs had ended by then."""
    actual: float

    @property
    def estimate(self) -> Estimate:
        assert self.receipt.estimate is not None
        return self.receipt.estimate

    @property
    def covered(self) -> bool:
        return self.estimate.low - TINY <= self.actual <= self.estimate.high + TINY


@attrs.frozen
class Setting:
    """The parts of one scheduler, and the pause that the plain formula adds to each job."""

    make: Callable[[], Scheduler]
    pause: float = 0.0


def reference(estimator: DurationEstimator[Any]) -> Scheduler:
    return Scheduler(
        queue=BoundedQueue(50),
        pacing=FixedPause(10),
        backoff=ExponentialBackoff(15, maximum=300, after=2),
        estimator=estimator,
    )


def parallel(pacing: PacingPolicy[Any], slots: int, estimator: DurationEstimator[Any]) -> Scheduler:
    return Scheduler(queue=BoundedQueue(200), pacing=pacing, concurrency=slots, estimator=estimator)


AVERAGE, WINDOW = MovingAverage(initial=60, weight=0.2), WindowedQuantile()
SETTINGS = {
    "reference: pause 10 s, 1 slot": Setting(lambda: reference(AVERAGE), pause=10),
    "reference, WindowedQuantile": Setting(lambda: reference(WINDOW), pause=10),
    "unpaced, 4 slots": Setting(lambda: parallel(Unpaced(), 4, AVERAGE)),
    "unpaced, 4 slots, WindowedQuantile": Setting(lambda: parallel(Unpaced(), 4, WINDOW)),
    "3 a second, 4 slots, WindowedQuantile": Setting(lambda: parallel(TokenBucket(rate=3), 4, WINDOW), pause=1 / 3),
    "3 a second, 20 slots, WindowedQuantile": Setting(lambda: parallel(TokenBucket(rate=3), 20, WINDOW), pause=1 / 3),
}


def read_trace(count: int) -> list[Request]:
    random, requests, first = Random(SEED), [], None
    with TRACE.open(newline="") as file:
        for row in islice(csv.DictReader(file), count):
            # The trace has seven digits after the point, datetime takes six.
            at = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
            first = at if first is None else first
            noise = random.lognormvariate(-(SIGMA**2) / 2, SIGMA)
            requests.append(Request(at - first, (0.5 + 0.03 * int(row["GeneratedTokens"])) * noise))
    return requests


async def replay(setting: Setting, requests: Sequence[Request]) -> list[Promise]:
    """Enqueue at the recorded times; requests that find the queue full are turned away."""
    started: dict[str, float] = {}
    made: list[tuple[Receipt[Any], float, float, int, float]] = []
    average, total, learned = 60.0, 0.0, 0
    async with setting.make() as scheduler:

        @scheduler.task(name="work")
        async def work(name: str, duration: float) -> None:
            nonlocal average, total, learned
            started[name] = anyio.current_time()
            await anyio.sleep(duration)
            average = 0.8 * average + 0.2 * duration
            total += duration
            learned += 1

        for number, request in enumerate(requests):
            await anyio.sleep_until(request.at)
            name = str(number)
            try:
                receipt = await scheduler.options(job_id=name).enqueue(work, name, request.duration)
            except QueueFullError:
                continue
            place = receipt.position or 0
            plain, mean = (
                place * (average + setting.pause),
                place * ((total / learned if learned else 60.0) + setting.pause),
            )
            made.append((receipt, plain, mean, learned, anyio.current_time()))
        await scheduler.drain()
        assert (await scheduler.status()).succeeded == len(made) == len(started) == learned
    return [Promise(*said, started[said[0].job_id] - at) for *said, at in made]


def percent(found: Iterable[bool]) -> float:
    answers = list(found)
    return 100 * sum(answers) / len(answers) if answers else math.nan


def judge(promises: Sequence[Promise], requests: int) -> Figures:
    """Shares in percent, times in seconds; of those that waited, for what starts at once is easy to foretell.

    `plain` is the in-app queue's formula, `mean` the same with a plain mean. `covered_warm` leaves out promises that
    were made before 20 jobs had ended, when durations were hardly known.
    """
    waited = [promise for promise in promises if promise.actual > TINY]
    return {
        "refused": requests - len(promises),
        "waited": len(waited),
        "median_wait": median(promise.actual for promise in waited),
        "covered": percent(promise.covered for promise in waited),
        "sooner": percent(promise.actual < promise.estimate.low - TINY for promise in waited),
        "later": percent(promise.actual > promise.estimate.high + TINY for promise in waited),
        "covered_warm": percent(promise.covered for promise in waited if promise.learned >= 20),
        "median_width": median(promise.estimate.high - promise.estimate.low for promise in waited),
        "median_error": median(abs(promise.estimate.seconds - promise.actual) for promise in waited),
        "median_error_plain": median(abs(promise.plain - promise.actual) for promise in waited),
        "median_error_mean": median(abs(promise.mean - promise.actual) for promise in waited),
    }


def run(setting: Setting, requests: Sequence[Request]) -> Figures:
    promises = run_virtual(replay, setting, requests)
    assert all(math.isfinite(promise.estimate.high) for promise in promises)
    return judge(promises, len(requests))


@pytest.mark.skipif(
    not TRACE.exists(), reason=f"the trace is not there: {'/'.join(TRACE.parts[-3:])} beside the project"
)
def test_the_estimates_of_receipts(contest: Contest) -> None:
    requests = read_trace(contest.size(9000, 200))
    contest.run(
        f"estimates on receipts, {len(requests)} requests of a recorded hour",
        {name: partial(run, setting, requests) for name, setting in SETTINGS.items()},
        rounds=1,
        ratios=False,
    )
