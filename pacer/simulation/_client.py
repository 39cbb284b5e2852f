"""One of those who share an upstream."""

from __future__ import annotations

import attrs

from pacer import Scheduler
from pacer._job import Retry
from pacer._validation import not_negative, optional_seconds, positive
from pacer.simulation._arrivals import Workload
from pacer.simulation._distributions import Constant, Distribution, distribution


def _scheduler(instance: object, attribute: attrs.Attribute[Scheduler], value: object) -> None:
    if not isinstance(value, Scheduler):
        msg = f"Client: scheduler must be a Scheduler, which names the parts to try, got {value!r}"
        raise TypeError(msg)


@attrs.frozen
class Client:
    """A scheduler in front of the upstream, and what its jobs are like.

    Args:
        scheduler: Whose parts are tried: queue, pacing, backoff, estimator, concurrency, max_throttles. It is not run,
            and its store is not touched. If it has a seed of its own, its jitter is drawn from that.
        name: What the result calls it; by default "client 1" and so on.
        share: Weight with which it gets jobs of the common workload, 0 or more; 1 by default.
        workload: Jobs of its own; None (default): it gets its share of the common workload.
        retry: When a failed job of its is tried again; never by default.
        expires: Seconds by which a job has to have started; None (default): it may wait for ever.
        lead: Seconds from the start of a job until its request reaches the upstream, a number or a distribution; 0 by
            default.
    """

    scheduler: Scheduler = attrs.field(validator=_scheduler)
    name: str = attrs.field(default="", kw_only=True)
    share: float = attrs.field(default=1.0, validator=not_negative, kw_only=True)
    workload: Workload | None = attrs.field(default=None, kw_only=True)
    retry: Retry | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(Retry)), kw_only=True
    )
    expires: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=attrs.validators.optional(positive), kw_only=True
    )
    lead: Distribution = attrs.field(default=Constant(0.0), converter=distribution, kw_only=True)
