"""What is compared: candidates on one workload, in front of one upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from pacer.simulation import Client, Upstream, Workload


@attrs.frozen
class Candidate:
    """One choice of parts.

    Attributes:
        name: What tables and pictures call it.
        clients: One scheduler, or several of the same kind that know nothing of each other.
        settings: What was chosen, as text, by key.
    """

    name: str
    clients: Sequence[Client]
    settings: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Comparison:
    """All that a comparison needs.

    Attributes:
        workload: The jobs, the same for all candidates.
        upstream: The service at the other end.
        candidates: One or more.
        settings: How workload and upstream were written.
        seed: Of the first run; the others take the seeds that follow.
        repeat: Runs of each candidate.
        until: Seconds after which a run ends; None: when all jobs have ended.
        start: Time of day at the beginning, aware; None: 1970-01-01 in UTC.
        estimates: So many estimates of each run are held against what happened; 0: none.
        tolerated: Share of requests that may be answered 429 for a candidate to be recommended.
    """

    workload: Workload
    upstream: Upstream
    candidates: Sequence[Candidate]
    settings: Mapping[str, str]
    seed: int = 0
    repeat: int = 1
    until: float | None = None
    start: datetime | None = None
    estimates: int = 0
    tolerated: float = 0.01
