"""Metrics of queues for Prometheus.

    metrics = Metrics()
    metrics.watch(scheduler)
    app.mount("/metrics", metrics.app)

Counters and histograms tell what this process did; gauges are read from the store when they are asked for, and speak
for all processes. Labels are the queue and the task, never a job.

Needs the `prometheus` extra.
"""

from pacer import _extras

with _extras.needed("prometheus"):
    from pacer.prometheus._metrics import Metrics as Metrics

__all__ = ["Metrics"]
