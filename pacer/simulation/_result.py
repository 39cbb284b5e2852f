"""What a simulation has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from pacer.simulation._samples import Spread
from pacer.simulation._timeline import Timeline

EventKind = Literal["arrived", "refused", "dropped", "expired", "started", "succeeded", "throttled", "failed", "ended"]


@attrs.frozen
class Happening:
    """One thing that happened to one job.

    Attributes:
        at: When, in seconds from the start of the run.
        what: "arrived" (and was let in), "refused", "dropped", "expired", "started", how a run ended ("succeeded",
            "throttled", "failed"), or "ended" for a job that has failed for good.
        job: Its number in the order of arrival, from 0.
        client: The name of the client.
    """

    at: float
    what: EventKind
    job: int
    client: str


@attrs.frozen
class Promises:
    """How true the estimates were that receipts would have shown.

    Attributes:
        count: How many were looked at.
        covered: Share of them whose 80 % interval held the start.
        median_error: Median distance between expected and actual start, in seconds.
        median_wait: Median of the actual waits until the start, in seconds.
    """

    count: int
    covered: float
    median_error: float
    median_wait: float


@attrs.frozen(kw_only=True)
class Totals:
    """What became of the jobs of one client, or of all.

    Attributes:
        arrived: Jobs that arrived.
        entered: Jobs that the queue took.
        refused: Jobs that found it full, or could never have started.
        dropped: Jobs that were pushed out by newer ones.
        expired: Jobs that had waited too long.
        succeeded: Jobs that succeeded.
        failed: Jobs that failed for good.
        unfinished: Jobs that still waited or ran at the end.
        asked: Requests that reached the upstream.
        throttled: Requests that were answered 429.
        errors: Requests that ended in an error.
        work: What the jobs that succeeded have used, by dimension.
        wait: Seconds from the arrival of jobs that succeeded to the start of the run that did.
        turnaround: Seconds from the arrival of jobs that succeeded to their end.
    """

    arrived: int
    entered: int
    refused: int
    dropped: int
    expired: int
    succeeded: int
    failed: int
    unfinished: int
    asked: int
    throttled: int
    errors: int
    work: Mapping[str, float]
    wait: Spread
    turnaround: Spread

    @property
    def throttled_share(self) -> float:
        """Share of the requests that were answered 429."""
        return self.throttled / self.asked if self.asked else 0.0


@attrs.frozen(kw_only=True)
class Result(Totals):
    """What a simulation has found, over all clients. Equal for equal parts, workload, upstream and seed.

    Attributes:
        seed: The seed of the run.
        makespan: Seconds from 0 to the last thing that happened, or to `until` if jobs were left.
        oracle_makespan: Seconds after which an oracle that knows the limits had sent as many jobs as succeeded in the
            run. It sends each job that has come into the queue as soon as all limits admit it and no outage lasts.
        utilisation: `oracle_makespan` as a share of the time after which the run had sent them (of the whole run, if
            jobs were left over at its end). 1: no schedule could have been faster. 0 if nothing succeeded.
        fairness: Jain's index over keys (over clients if there are no keys): 1 is the same for all, 1/n is all for one.
            What is compared is how many jobs succeeded for each a second, while it had any waiting or running.
        clients: The figures of each client, by its name.
        timeline: What happened when.
        promises: How true estimates were; None unless `estimates` asked for them.
        happenings: The first things that happened, as many as `keep` asked for.
        stuck: Why jobs still waited when nothing could happen any more; None if none did.
        faults: What parts did wrong, one line each, the first of each kind.
    """

    seed: int
    makespan: float
    oracle_makespan: float
    utilisation: float
    fairness: float
    clients: Mapping[str, Totals] = attrs.field(repr=False)
    timeline: Timeline = attrs.field(repr=False)
    promises: Promises | None
    happenings: Sequence[Happening] = attrs.field(repr=False)
    stuck: str | None
    faults: Sequence[str]

    @property
    def goodput(self) -> float:
        """Jobs that succeeded a second, over the whole run."""
        return self.succeeded / self.makespan if self.makespan else 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain data for `json.dumps`, goodput and the share of 429s included."""
        return attrs.asdict(self) | {"goodput": self.goodput, "throttled_share": self.throttled_share}
