"""What Prometheus is told of a queue."""

from __future__ import annotations

import anyio
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from scraping import scraped

from pacer import AlreadyRunningError, BoundedQueue, QueueFullError, Retry, Scheduler, Throttled
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause
from pacer.prometheus import Metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def watched(metrics: Metrics, **parts: object) -> Scheduler:
    scheduler = Scheduler(**{"observers": (), **parts})  # type: ignore[arg-type]
    metrics.watch(scheduler)
    return scheduler


async def work(seconds: float = 1.0) -> None:
    await anyio.sleep(seconds)


async def fail() -> None:
    await anyio.sleep(3)
    raise OSError("no route")


WORK, FAIL = f"{__name__}.work", f"{__name__}.fail"


async def test_gauges_show_the_queue_as_it_is_at_the_scrape(metrics: Metrics) -> None:
    async with watched(metrics, queue=BoundedQueue(5), pacing=FixedPause(10), name="llm") as scheduler:
        for _ in range(3):
            await scheduler.enqueue(work)
        await anyio.sleep(0.5)
        busy = await scraped(metrics.app)
        await anyio.sleep(1)
        pausing = await scraped(metrics.app)
        await scheduler.pause()
        paused = await scraped(metrics.app)
    assert busy["pacer_jobs_waiting"] == {("llm",): 2}
    assert busy["pacer_jobs_running"] == {("llm",): 1}
    assert busy["pacer_jobs_oldest_waiting_age_seconds"][("llm",)] == pytest.approx(0.5)
    assert busy["pacer_queue_capacity"] == {("llm",): 5}
    assert busy["pacer_queue_concurrency"] == {("llm",): 1}
    assert "pacer_queue_next_start_seconds" not in busy  # it depends on the end of the job that runs
    assert pausing["pacer_jobs_running"] == {("llm",): 0}
    assert pausing["pacer_queue_next_start_seconds"][("llm",)] == pytest.approx(9.5)
    assert pausing["pacer_queue_paused"] == {("llm",): 0}
    assert paused["pacer_queue_paused"] == {("llm",): 1}
    assert "pacer_queue_wait_estimate_seconds" in pausing
    assert "pacer_queue_wait_estimate_seconds" not in paused


async def test_a_job_that_is_to_start_later_is_old_and_not_late(metrics: Metrics) -> None:
    async with watched(metrics, pacing=FixedPause(1000), name="llm") as scheduler:
        await scheduler.options(delay=100).enqueue(work)
        await anyio.sleep(90)
        delayed = await scraped(metrics.app)
        await scheduler.pause()
        await anyio.sleep(90)
        late = await scraped(metrics.app)
    old, ready = "pacer_jobs_oldest_waiting_age_seconds", "pacer_jobs_longest_ready_seconds"
    assert (delayed[old][("llm",)], delayed[ready][("llm",)]) == (pytest.approx(90), 0)
    assert (late[old][("llm",)], late[ready][("llm",)]) == (pytest.approx(180), pytest.approx(80))


async def test_histograms_show_how_long_jobs_waited_and_ran(metrics: Metrics) -> None:
    async with watched(metrics, pacing=FixedPause(10)) as scheduler:
        await scheduler.enqueue(work, 20.0)
        await scheduler.enqueue(work, 2.0)
        await scheduler.drain()
        found = await scraped(metrics.app)
    assert found["pacer_job_start_delay_seconds_count"] == {("default", WORK): 2}
    assert found["pacer_job_start_delay_seconds_sum"][("default", WORK)] == pytest.approx(30)
    assert found["pacer_job_run_duration_seconds_sum"][("default", WORK, "succeeded")] == pytest.approx(22)
    buckets = found["pacer_job_run_duration_seconds_bucket"]
    assert buckets[("default", WORK, "succeeded", "2.5")] == 1
    assert buckets[("default", WORK, "succeeded", "20.0")] == 2


async def test_what_becomes_of_jobs_is_counted(metrics: Metrics) -> None:
    answers = iter([Throttled(30), OSError("away"), None])

    async def troubled() -> None:
        await anyio.sleep(2)
        if answer := next(answers):
            raise answer

    parts = {"backoff": ConstantBackoff(5), "queue": BoundedQueue(2)}
    async with watched(metrics, **parts) as scheduler:
        retry = Retry(attempts=2, backoff=ConstantBackoff(1))
        await scheduler.options(retry=retry).enqueue(troubled)
        await scheduler.drain()
        await scheduler.enqueue(fail)
        await scheduler.drain()
        await scheduler.pause()
        cancelled = await scheduler.enqueue(work)
        await scheduler.cancel(cancelled.job_id)
        await scheduler.options(expires=1).enqueue(work)
        await scheduler.enqueue(work)
        with pytest.raises(QueueFullError):
            await scheduler.enqueue(work)
        await anyio.sleep(2)
        found = await scraped(metrics.app)
    name = f"{__name__}.test_what_becomes_of_jobs_is_counted.<locals>.troubled"
    outcomes = {key[1:]: value for key, value in found["pacer_job_outcomes_total"].items() if value}
    assert outcomes == {
        (name, "rescheduled"): 1,
        (name, "succeeded"): 1,
        (FAIL, "failed"): 1,
        (WORK, "cancelled"): 1,
        (WORK, "expired"): 1,
    }
    assert found["pacer_job_throttles_total"][("default", name)] == 1
    assert found["pacer_queue_holds_total"] == {("default",): 3}
    assert found["pacer_jobs_refused_total"] == {("default",): 1}
    assert found["pacer_jobs_enqueued_total"] == {("default", name): 1, ("default", FAIL): 1, ("default", WORK): 3}
    runs = found["pacer_job_run_duration_seconds_sum"]
    assert runs[("default", name, "throttled")] == pytest.approx(2)
    assert runs[("default", name, "failed")] == pytest.approx(2)
    assert runs[("default", FAIL, "failed")] == pytest.approx(3)


async def test_counters_are_there_at_0_before_anything_can_make_them_grow(metrics: Metrics) -> None:
    """A counter that appears with 1 has not grown as far as Prometheus can see: an alert would miss the first."""
    async with watched(metrics) as scheduler:
        idle = await scraped(metrics.app)
        await scheduler.enqueue(work)
        queued = await scraped(metrics.app)
    assert idle["pacer_jobs_refused_total"] == {("default",): 0}
    assert idle["pacer_forecasts_judged_total"][("default", "late")] == 0
    assert queued["pacer_job_outcomes_total"][("default", WORK, "dead")] == 0


async def test_no_label_names_a_job(metrics: Metrics) -> None:
    async with watched(metrics) as scheduler:
        for number in range(20):
            await scheduler.options(job_id=f"job-{number}", key=f"tenant-{number}").enqueue(work)
        before = await scraped(metrics.app)
        await scheduler.drain()
        after = await scraped(metrics.app)
    shown = str(before) + str(after)
    assert "job-" not in shown
    assert "tenant-" not in shown


async def test_several_schedulers_share_one_registry(metrics: Metrics) -> None:
    async with watched(metrics, name="llm") as llm, watched(metrics, name="mail") as mail:
        await llm.pause()
        await llm.enqueue(work)
        await mail.wait(await mail.enqueue(work))
        found = await scraped(metrics.app)
    assert found["pacer_jobs_waiting"] == {("llm",): 1, ("mail",): 0}
    assert found["pacer_jobs_enqueued_total"] == {("llm", WORK): 1, ("mail", WORK): 1}


async def test_a_process_that_only_enqueues_runs_but_does_not_work(metrics: Metrics) -> None:
    async with watched(metrics, worker_concurrency=0):
        found = await scraped(metrics.app)
    assert found["pacer_scheduler_running"] == {("default",): 1}
    assert found["pacer_scheduler_working"] == {("default",): 0}


async def test_a_scheduler_that_is_started_again_goes_on_counting(metrics: Metrics) -> None:
    scheduler = watched(metrics)
    for _ in range(2):
        async with scheduler:
            await scheduler.wait(await scheduler.enqueue(work))
        stopped = await scraped(metrics.app)
        assert stopped["pacer_scheduler_running"] == {("default",): 0}
        assert "pacer_jobs_waiting" not in stopped  # nobody knows
    assert stopped["pacer_job_outcomes_total"][("default", WORK, "succeeded")] == 2
    async with scheduler:
        assert (await scraped(metrics.app))["pacer_scheduler_running"] == {("default",): 1}


async def test_a_scheduler_can_only_be_watched_before_it_starts_and_under_a_name_of_its_own(metrics: Metrics) -> None:
    async with Scheduler() as running:
        with pytest.raises(AlreadyRunningError, match="watch it before it starts"):
            metrics.watch(running)
    metrics.watch(running)
    with pytest.raises(ValueError, match="'default' is watched already"):
        metrics.watch(Scheduler())


def test_a_registry_has_room_for_one_metrics(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="one Metrics for all schedulers"):
        Metrics(metrics.registry)


def test_nothing_is_registered_until_somebody_asks_for_it() -> None:
    before = {family.name for family in REGISTRY.collect()}
    assert not [name for name in before if name.startswith("pacer")]
    Metrics(CollectorRegistry())
    assert {family.name for family in REGISTRY.collect()} == before


def test_buckets_can_be_chosen_and_must_grow() -> None:
    metrics = Metrics(CollectorRegistry(), wait_buckets=[1, 60], duration_buckets=[0.5])
    assert metrics.duration_buckets == [0.5]
    for wrong in ([], [0, 1], [2, 1], [1, 1], [float("nan")], [1, float("inf")]):
        with pytest.raises(ValueError, match="Metrics: wait_buckets must be numbers above 0"):
            Metrics(CollectorRegistry(), wait_buckets=wrong)
    with pytest.raises(ValueError, match="read_timeout must be a finite number above 0"):
        Metrics(CollectorRegistry(), read_timeout=0)
