"""What a job costs."""

from __future__ import annotations

from pacer.protocols import JobFacts

# Sums of costs such as 0.1 are rounded; a job that fits but for that fits. In requests.
ROUNDING = 1e-6


def requests(job: JobFacts) -> float:
    """In requests; 1 unless the job says otherwise."""
    return job.cost.get("requests", 1.0)
