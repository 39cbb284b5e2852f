"""What a job costs."""

from __future__ import annotations

from pacer._job import Outcome
from pacer.protocols import JobFacts

# Sums of costs such as 0.1 are rounded; a job that fits but for that fits. In requests.
ROUNDING = 1e-6


def requests(job: JobFacts) -> float:
    """In requests; 1 unless the job says otherwise."""
    return job.cost.get("requests", 1.0)


def not_used(job: JobFacts, now: float, outcome: Outcome, charged: float) -> float:
    """Seconds by which a theoretical arrival time goes back at the end of a job that was charged so many.

    Jobs that were given a start after this one, until `now`, may have found a bucket that was full without it: what
    flowed over since is not given back a second time.
    """
    if not outcome.unused or job.started_at is None:
        return 0.0
    return max(0.0, charged - max(0.0, now - job.started_at))
