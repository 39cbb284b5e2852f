"""Gauges: the state of a queue over all processes, as its status says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs
from prometheus_client.core import GaugeMetricFamily

from pacer._views import Status
from pacer.prometheus._watching import Watching


@attrs.frozen
class _Gauge:
    """One number of a status; None where it does not exist just now, which is shown as no sample."""

    name: str
    text: str
    read: Callable[[Status], float | None]


def _estimate(bound: str) -> Callable[[Status], float | None]:
    return lambda status: None if status.estimate is None else getattr(status.estimate, bound)


_GAUGES = (
    _Gauge("pacer_jobs_waiting", "Jobs that wait.", lambda status: status.pending),
    _Gauge("pacer_jobs_running", "Jobs that run, in all processes.", lambda status: status.running),
    _Gauge(
        "pacer_jobs_oldest_waiting_age_seconds",
        "Age of the job that has waited longest, delays included; 0 if none waits.",
        lambda status: status.oldest_waiting_seconds or 0.0,
    ),
    _Gauge(
        "pacer_jobs_longest_ready_seconds",
        "Time for which the job that has waited longest could have started, delays left out; 0 if none could.",
        lambda status: status.ready_seconds or 0.0,
    ),
    _Gauge("pacer_queue_capacity", "Jobs that may wait.", lambda status: status.capacity),
    _Gauge(
        "pacer_queue_concurrency", "Jobs that may run at once, in all processes.", lambda status: status.concurrency
    ),
    _Gauge("pacer_queue_paused", "1 while a person has paused the queue.", lambda status: status.paused),
    _Gauge(
        "pacer_queue_hold_seconds",
        "Time for which no job starts because of a backoff or of what the upstream said; 0 without.",
        lambda status: status.hold_seconds,
    ),
    _Gauge(
        "pacer_queue_failures_in_a_row", "Failures that the backoff counts.", lambda status: status.failures_in_a_row
    ),
    _Gauge(
        "pacer_queue_next_start_seconds",
        "Time until a job that waits now could start; no sample if that depends on an event.",
        lambda status: status.next_start_seconds,
    ),
    _Gauge(
        "pacer_queue_rate_limit_per_second",
        "Jobs a second that start at most in the long run; no sample if the pace is not about a rate.",
        lambda status: status.rate_limit,
    ),
    _Gauge(
        "pacer_queue_numbers_by_hand",
        "Settings that a person has changed while the queue runs.",
        lambda status: len(status.numbers_by_hand),
    ),
    _Gauge(
        "pacer_queue_wait_estimate_seconds",
        "Expected time until a job enqueued now starts; no sample if no time can be named.",
        _estimate("seconds"),
    ),
    _Gauge(
        "pacer_queue_wait_estimate_low_seconds",
        "A 10 % chance that a job enqueued now starts sooner than this.",
        _estimate("low"),
    ),
    _Gauge(
        "pacer_queue_wait_estimate_high_seconds",
        "A 10 % chance that a job enqueued now starts later than this.",
        _estimate("high"),
    ),
    _Gauge(
        "pacer_queue_average_duration_seconds",
        "Expected duration of one job.",
        lambda status: status.average_duration,
    ),
)


_WORKING = _Gauge(
    "pacer_scheduler_working",
    "1 while this process takes jobs; 0 in one that only enqueues, or looks on.",
    lambda status: status.working,
)


def families(watched: Iterable[Watching]) -> Iterator[GaugeMetricFamily]:
    """All gauges, with a sample for each queue that could be read."""
    readings = [(one.queue, one.reading) for one in watched]
    for gauge in (*_GAUGES, _WORKING):
        family = GaugeMetricFamily(gauge.name, gauge.text, labels=("queue",))
        for queue, reading in readings:
            value = None if reading is None else gauge.read(reading)
            if value is not None:
                family.add_metric((queue,), float(value))
        yield family


def read_at_family(watched: Iterable[Watching]) -> GaugeMetricFamily:
    """When the other gauges were read."""
    family = GaugeMetricFamily(
        "pacer_status_read_timestamp_seconds", "When the queue's gauges were read, in Unix time.", labels=("queue",)
    )
    for one in watched:
        if one.reading is not None:
            family.add_metric((one.queue,), one.read_at)
    return family


def running_family(watched: Iterable[Watching]) -> GaugeMetricFamily:
    """Which of the schedulers run."""
    family = GaugeMetricFamily(
        "pacer_scheduler_running", "1 while the scheduler runs in this process.", labels=("queue",)
    )
    for one in watched:
        family.add_metric((one.queue,), float(one.started))
    return family
