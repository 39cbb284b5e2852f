"""A limit on running jobs from the queue that their durations betray."""

from __future__ import annotations

import math
from typing import TypedDict

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._validation import begins_within, whole
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When

PROBE_FACTOR = 30
_GOLDEN = (math.sqrt(5) - 1) / 2


class VegasLimitState(TypedDict):
    """What `VegasLimit` knows.

    Attributes:
        limit: How many jobs may run.
        shortest: The duration without load, in seconds; None before the first job.
        samples: Successes since it was last measured anew.
        probes: How often it was.
        cut_at: The last throttle that was counted; None before the first.
    """

    limit: int
    shortest: float | None
    samples: int
    probes: int
    cut_at: float | None


@attrs.frozen
class VegasLimit(Combinable):
    """Keeps a few jobs waiting inside the upstream, no more: adaptive concurrency from the shortest duration seen.

    TCP Vegas (Brakmo and Peterson, 1995) as Netflix' concurrency-limits has it. For each success of `d` seconds, with
    `shortest` the duration without load and `u = max(1, floor(log10(limit)))`:

        queue = ceil(limit * (1 - shortest / d))
        queue <= u:     limit + 6 u
        queue < 3 u:    limit + u
        queue > 6 u:    limit - u
        a throttle:     limit - u

    kept between `minimum` and `maximum`. Nothing grows while fewer than half of the limit are running, so an idle
    queue does not. `shortest` is measured anew every `30 * limit` jobs or somewhat sooner, down to half of that in a
    fixed irregular order, for the upstream may have become slower for good. Throttles of jobs that started before the
    last cut count once; failures teach nothing. The scheduler's `concurrency` stays the outer bound.

    Not for a rate limit: an upstream that answers as fast up to the limit and then throttles shows no queue, and the
    limit grows until it is throttled. Not for durations that differ for reasons of their own: the shortest one is
    taken for the time without load. Measured anew under load, that time is too long for a while, and the limit grows.

    State: five numbers.

    Args:
        initial: How many jobs may run at first, 1 or more; 20 by default.
        minimum: The limit never falls below this, 1 or more; 1 by default.
        maximum: The limit never grows beyond this, 1 or more; 1000 by default.

    Raises:
        ValueError: `initial` is not between `minimum` and `maximum`.
    """

    initial: int = attrs.field(default=20, validator=whole(1))
    minimum: int = attrs.field(default=1, validator=whole(1), kw_only=True)
    maximum: int = attrs.field(default=1000, validator=whole(1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        begins_within(self)

    def initial_state(self) -> VegasLimitState:
        """Nothing is known but `initial`."""
        return {"limit": self.initial, "shortest": None, "samples": 0, "probes": 0, "cut_at": None}

    def earliest(self, state: VegasLimitState, now: float, job: JobFacts, running: int) -> When:
        """Now if fewer than the limit run, else when one of them ends."""
        if running < state["limit"]:
            return NOW
        return When(math.inf, on_event=True, reason=f"adaptive limit: {running} of {state['limit']} running")

    def started(self, state: VegasLimitState, now: float, job: JobFacts, running: int) -> VegasLimitState:
        """Nothing to charge: running jobs are what counts."""
        return state

    def ended(
        self, state: VegasLimitState, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> VegasLimitState:
        """Estimate the queue from the duration; a throttle cuts."""
        started_at = job.started_at
        if started_at is None or outcome.foretold:
            return state
        if outcome.kind is OutcomeKind.THROTTLED:
            cut_at = state["cut_at"]
            if cut_at is not None and started_at < cut_at <= now:
                return state
            limit = state["limit"]
            return {**state, "limit": self._within(limit - _unit(limit)), "cut_at": now}
        duration = now - started_at
        if outcome.kind is not OutcomeKind.SUCCEEDED or duration <= 0.0:
            return state
        return self._compared(state, duration, running + 1)

    def _compared(self, state: VegasLimitState, duration: float, running: int) -> VegasLimitState:
        limit, shortest, samples, probes = state["limit"], state["shortest"], state["samples"] + 1, state["probes"]
        jitter = 1.0 - 0.5 * (probes * _GOLDEN % 1.0)
        if samples >= jitter * PROBE_FACTOR * limit:
            return {**state, "shortest": duration, "samples": 0, "probes": probes + 1}
        if shortest is None or duration < shortest:
            return {**state, "shortest": duration, "samples": samples}
        if 2 * running >= limit:
            limit = self._within(limit + _step(limit, math.ceil(limit * (1.0 - shortest / duration))))
        return {**state, "limit": limit, "samples": samples}

    def _within(self, limit: int) -> int:
        return max(self.minimum, min(self.maximum, limit))


def _unit(limit: int) -> int:
    return max(1, int(math.log10(limit)))


def _step(limit: int, queue: int) -> int:
    unit = _unit(limit)
    if queue <= unit:
        return 6 * unit
    if queue < 3 * unit:
        return unit
    return -unit if queue > 6 * unit else 0
