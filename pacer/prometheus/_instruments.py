"""Counters and histograms: what the processes that are scraped did."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram

OUTCOMES = (
    *("succeeded", "failed", "rescheduled", "cancelled", "expired", "dropped"),
    *("released", "recovered", "stale", "dead", "lost"),
)
"""What can become of a job, or of one run of it."""

VERDICTS = ("early", "inside", "late")
"""Where a start was, seen from the interval that had been promised."""

_QUEUE = ("queue",)
_TASK = ("queue", "task")


@attrs.frozen(eq=False)
class Instruments:
    """All of them, in one registry. Those of a queue or task are there from its first event on, at 0."""

    enqueued: Counter
    retried: Counter
    refused: Counter
    start_delay: Histogram
    duration: Histogram
    outcomes: Counter
    throttles: Counter
    holds: Counter
    forecast_error: Histogram
    forecasts: Counter
    results_dropped: Counter
    store_failures: Counter
    part_faults: Counter
    read_failures: Counter

    def know_queue(self, queue: str) -> None:
        """Show a queue before anything happens in it: what has never been 0 cannot be seen to grow."""
        for counter in (self.refused, self.holds, self.read_failures):
            counter.labels(queue)
        for verdict in VERDICTS:
            self.forecasts.labels(queue, verdict)

    def know_task(self, queue: str, task: str) -> None:
        """Show a task before anything happens to its jobs."""
        for counter in (self.enqueued, self.retried, self.throttles, self.results_dropped):
            counter.labels(queue, task)
        for outcome in OUTCOMES:
            self.outcomes.labels(queue, task, outcome)


def made_in(registry: CollectorRegistry, waits: Sequence[float], durations: Sequence[float]) -> Instruments:
    """New ones, registered there."""

    def counter(name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, labels, registry=registry)

    def histogram(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, labels, registry=registry, buckets=buckets)

    return Instruments(
        enqueued=counter("pacer_jobs_enqueued_total", "Jobs that came into the queue.", _TASK),
        retried=counter(
            "pacer_jobs_retried_total", "Jobs that somebody had enqueued again after they had ended.", _TASK
        ),
        refused=counter("pacer_jobs_refused_total", "Jobs that the queue had no room for.", _QUEUE),
        start_delay=histogram(
            "pacer_job_start_delay_seconds", "Time from when a job was ready to start until it started.", _TASK, waits
        ),
        duration=histogram(
            "pacer_job_run_duration_seconds",
            "Time that one run of a job took, by how it ended: succeeded, failed, throttled or cancelled.",
            (*_TASK, "outcome"),
            durations,
        ),
        outcomes=counter(
            "pacer_job_outcomes_total", f"What became of jobs: {', '.join(OUTCOMES)}.", (*_TASK, "outcome")
        ),
        throttles=counter("pacer_job_throttles_total", "Runs that the upstream sent back.", _TASK),
        holds=counter(
            "pacer_queue_holds_total", "Times that the queue was held, by a backoff or as the upstream said.", _QUEUE
        ),
        forecast_error=histogram(
            "pacer_forecast_error_seconds",
            "Distance of a start from the middle of the interval that had been promised for it.",
            _QUEUE,
            waits,
        ),
        forecasts=counter(
            "pacer_forecasts_judged_total",
            "Starts that had been promised, by where they were: early, inside the interval or late.",
            (*_QUEUE, "verdict"),
        ),
        results_dropped=counter(
            "pacer_results_dropped_total", "Results of jobs that could not be written to the store.", _TASK
        ),
        store_failures=counter(
            "pacer_store_failures_total",
            "Things that the store could not do and that are tried again.",
            (*_QUEUE, "action"),
        ),
        part_faults=counter(
            "pacer_part_faults_total", "Answers of a strategy that could not be used.", (*_QUEUE, "part")
        ),
        read_failures=counter(
            "pacer_status_read_failures_total", "Readings of the queue's status that failed or took too long.", _QUEUE
        ),
    )
