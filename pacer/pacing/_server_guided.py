"""A pace that the upstream's own words set."""

from __future__ import annotations

import math
from typing import Any, TypedDict

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._validation import part
from pacer.pacing._all_of import Combinable, hold_ended, on_clock, rate_limit, rested
from pacer.protocols import NOW, JobFacts, LimitReport, PacingPolicy, When

# Faster than twice what the whole window allows on average is never needed; without it, the rest of a window that is
# nearly over would be spent in one rush.
MOST_OF_AVERAGE = 2.0
# The sum of two times may end up just before the moment that is meant.
EDGE = 1e-6
_PROBING = When(math.inf, on_event=True, reason="one job at a time until the upstream reports its limits")
_ONE_REQUEST = {"requests": 1.0}
_A_POLICY = part(PacingPolicy, "TokenBucket(1)")


class Allowance(TypedDict):
    """What the upstream allows in one dimension.

    Attributes:
        limit: How much is allowed a window; None if it was never said.
        remaining: How much of it is left, less what was started since.
        reset_at: When the whole limit is there again.
        window: Seconds that a window lasts: as said, or the longest time to a reset that was said in the last one.
        seen: The longest time to a reset that was said since the last reset.
        next_at: When the next job may start.
    """

    limit: float | None
    remaining: float
    reset_at: float
    window: float
    seen: float
    next_at: float


class ServerGuidedState(TypedDict):
    """What `ServerGuided` knows.

    Attributes:
        allowances: What the upstream allows, by dimension.
        counted: Start of the job whose answer told it: the upstream had counted what started until then.
        sent: Running jobs that started later, as pairs of start and cost.
        fallback: State of the fallback policy; None without one.
    """

    allowances: dict[str, Allowance]
    counted: float | None
    sent: list[Any]
    fallback: Any


@attrs.frozen
class ServerGuided(Combinable):
    """Spreads what the upstream says is left over the time until it says there is more.

    It reads the reports that arrive with the outcomes of jobs (`pacer.feedback`): rate-limit headers of OpenAI,
    Anthropic, the IETF draft and others. For each dimension that was reported ("requests", "tokens", ...), with `left`
    what remains and `q` the cost of the job that starts now:

        left = remaining - cost of the jobs started since that the answer cannot have counted - headroom * limit
        the next start is q * (reset_at - now) / left later, at most at reset_at

    A job that costs more than is left waits for the reset. Of several dimensions the latest time counts. In a fixed
    window this uses up what is left just by its end. In a bucket that refills all the time, whose reset is the time at
    which it is full, it settles where half of the bucket is left, and starts then come at exactly the rate of refill.
    No pace is more than twice `limit / window`.

    A report is as of the start of the job that brought it, when requests are counted; one that is older than the last
    one is ignored, and of those of one moment the least counts. After its reset the limit is taken to be whole, with a
    window as long as the upstream said, or as the longest time to a reset that it named in the window before, until the
    next report. Without a limit nothing is known then. A Retry-After shortens the wait for the reset of what is used
    up. The rules obey it anyway, and hold the queue for a second after a throttle without one, whatever the fallback
    does then: a throttle that no report explains is no news of the limits.

    Costs are those of the job, by the dimension's name; "input_tokens" and the like fall back to "tokens", anything
    else to "requests", which is 1 by default. A dimension of tokens in which jobs name no cost only stops them when it
    is used up.

    Until the first report, one job runs at a time, or whatever `fallback` allows. Not for an upstream that never
    reports, then: without a fallback it would stay at that. Not for windows that are shorter than jobs last unless
    the reports say how long they are. Rounded numbers (thousands of tokens, whole seconds) and other clients of the
    same limit call for some `headroom`.

    State: six numbers a dimension, start and cost of the running jobs, and the fallback's state.

    Args:
        fallback: The policy to follow while nothing is known; None (default): one job at a time.
        headroom: Share of each limit that is left unused, rounded down to whole numbers, 0 or more and below 1; 0 by
            default.
    """

    fallback: PacingPolicy[Any] | None = attrs.field(default=None, validator=attrs.validators.optional(_A_POLICY))
    headroom: float = attrs.field(default=0.0, kw_only=True)

    @headroom.validator
    def _check_headroom(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not 0 <= value < 1:
            msg = f"ServerGuided: headroom must be 0 or more and below 1, got {value!r}"
            raise ValueError(msg)

    def on_clock(self, epoch: float) -> ServerGuided:
        """The same, with the fallback told of the clock."""
        return self if self.fallback is None else attrs.evolve(self, fallback=on_clock(self.fallback, epoch))

    def rested(self, state: ServerGuidedState, now: float) -> bool:
        """Whether the fallback is."""
        return self.fallback is None or rested(self.fallback, state["fallback"], now)

    def hold_ended(self, state: ServerGuidedState, now: float) -> ServerGuidedState:
        """The fallback is told that the hold is over; what the upstream has reported still holds."""
        if self.fallback is None:
            return state
        return {**state, "fallback": hold_ended(self.fallback, state["fallback"], now)}

    def rate_limit(self, state: ServerGuidedState, now: float) -> float | None:
        """Starts of cost 1 a second at the pace it keeps now, the least of the dimensions that such a job uses up.

        That is what the upstream allows in the long run once jobs start as fast as they may; while few do, a bucket
        that refills all the time looks larger than it is. Where nothing is left until the reset, it is what the whole
        limit makes over a window. While nothing is known it is what the fallback says, None without one; and None if
        only other things than jobs are limited, such as tokens.
        """
        paces = [pace for name, one in state["allowances"].items() if (pace := self._pace(name, one, now)) is not None]
        if paces or self.fallback is None or self._knows(state, now):
            return min(paces, default=None)
        return rate_limit(self.fallback, state["fallback"], now)

    def _knows(self, state: ServerGuidedState, now: float) -> bool:
        return any(now < one["reset_at"] or one["limit"] is not None for one in state["allowances"].values())

    def _pace(self, name: str, allowance: Allowance, now: float) -> float | None:
        """In one dimension; None if it is not requests that it limits, or if it cannot tell."""
        if _cost_of(name, _ONE_REQUEST) is None:
            return None
        pace = self._spread(allowance, now) if now < allowance["reset_at"] else None
        if pace is None and (whole := _renewed(allowance, now)) is not None:
            pace = self._spread({**whole, "next_at": now}, now)
        return pace

    def _spread(self, allowance: Allowance, now: float) -> float | None:
        """What is left, over the time that is left; None if it is less than one request."""
        limit = allowance["limit"]
        left = allowance["remaining"] - self._reserve(limit)
        time = allowance["reset_at"] - max(now, allowance["next_at"])
        if left + EDGE < 1 or time <= EDGE:
            return None
        most = MOST_OF_AVERAGE * limit / allowance["window"] if limit and allowance["window"] > 0 else math.inf
        return min(left / time, most)

    def initial_state(self) -> ServerGuidedState:
        """Nothing has been reported."""
        fallback = None if self.fallback is None else self.fallback.initial_state()
        return {"allowances": {}, "counted": None, "sent": [], "fallback": fallback}

    def earliest(self, state: ServerGuidedState, now: float, job: JobFacts, running: int) -> When:
        """The latest of what the dimensions say."""
        latest, known = NOW, False
        for name, allowance in state["allowances"].items():
            if now < allowance["reset_at"]:
                known = True
                when = self._when(name, allowance, now, job)
                if when.at > latest.at:
                    latest = when
            elif allowance["limit"] is not None:
                known = True
        if known:
            return latest
        if self.fallback is not None:
            return self.fallback.earliest(state["fallback"], now, job, running)
        return _PROBING if running else NOW

    def _when(self, name: str, allowance: Allowance, now: float, job: JobFacts) -> When:
        cost, limit = _charge(name, job), allowance["limit"]
        if cost == 0:
            return NOW
        reserve = self._reserve(limit)
        left, needed = allowance["remaining"] - reserve, cost or 0.0
        if limit is not None:
            needed = min(needed, limit - reserve)
        if left <= 0 or left + EDGE < needed:
            return When(allowance["reset_at"], reason=f"{name} used up until the upstream's reset")
        at = min(allowance["next_at"], allowance["reset_at"])
        return NOW if at <= now else When(at, reason=f"{allowance['remaining']:g} {name} left until the reset")

    def _reserve(self, limit: float | None) -> float:
        return 0.0 if limit is None or not self.headroom else float(math.floor(self.headroom * limit))

    def started(self, state: ServerGuidedState, now: float, job: JobFacts, running: int) -> ServerGuidedState:
        """Take the job's cost from what is left."""
        allowances: dict[str, Allowance] = {}
        for name, allowance in state["allowances"].items():
            fresh = allowance if now < allowance["reset_at"] else _renewed(allowance, now)
            if fresh is not None:
                allowances[name] = self._charged(fresh, now, _charge(name, job) or 0.0)
        fallback = state["fallback"]
        if self.fallback is not None:
            fallback = self.fallback.started(fallback, now, job, running)
        sent = [*state["sent"], [now, dict(job.cost)]]
        return {"allowances": allowances, "counted": state["counted"], "sent": sent, "fallback": fallback}

    def _charged(self, allowance: Allowance, now: float, cost: float) -> Allowance:
        next_at = now + self._interval(allowance, now, cost)
        return {**allowance, "remaining": allowance["remaining"] - cost, "next_at": next_at}

    def _interval(self, allowance: Allowance, since: float, cost: float) -> float:
        """Seconds that a job of this cost stands for."""
        limit = allowance["limit"]
        left, time = allowance["remaining"] - self._reserve(limit), allowance["reset_at"] - since
        interval = time * cost / left if left > cost else time
        if limit:
            interval = max(interval, cost * allowance["window"] / (limit * MOST_OF_AVERAGE))
        return min(interval, time) if cost else 0.0

    def ended(
        self, state: ServerGuidedState, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> ServerGuidedState:
        """Take in what the upstream says."""
        fallback = state["fallback"]
        if self.fallback is not None:
            fallback = self.fallback.ended(fallback, now, job, outcome, running)
        started_at, sent, counted = job.started_at, state["sent"], state["counted"]
        if started_at is None:
            return {**state, "sent": sent[1:], "fallback": fallback}
        allowances = dict(state["allowances"])
        outdated = counted is not None and started_at < counted <= now
        beside = counted == started_at
        if outdated or not outcome.limits:
            sent = _without(sent, started_at)
        else:
            sent, counted = [pair for pair in sent if pair[0] > started_at], started_at
        for report in outcome.limits:
            old = allowances.get(report.name)
            if old is not None and outdated:
                allowances[report.name] = _with_window(old, report)
            else:
                known = self._reported(report, started_at, now, job, sent, old, beside=beside)
                if known is not None:
                    allowances[report.name] = _sooner(known, outcome, now)
        return {"allowances": allowances, "counted": counted, "sent": sent, "fallback": fallback}

    def _reported(
        self,
        report: LimitReport,
        started_at: float,
        now: float,
        job: JobFacts,
        sent: list[Any],
        old: Allowance | None,
        *,
        beside: bool,
    ) -> Allowance | None:
        """The allowance after a report; None if the report does not suffice for one."""
        limit = report.limit if report.limit is not None or old is None else old["limit"]
        if old is not None and old["limit"] != limit:
            old = None
        reset_in = report.window if report.reset_in is None else report.reset_in
        remaining = limit if report.remaining is None and old is None else report.remaining
        if reset_in is None or remaining is None:
            return old
        reset_at = started_at + report.as_of + reset_in + EDGE
        if reset_at <= now and old is not None:
            # It has been renewed since; what was made of that is as good as what can be made of the report.
            return _with_window(old, report)
        remaining -= sum(_cost_of(report.name, cost) or 0.0 for _, cost in sent)
        if beside and old is not None and report.as_of == 0:
            # Of jobs that started at one moment, nobody knows which was counted first: the least is left.
            remaining = min(remaining, old["remaining"])
        known: Allowance = {
            "limit": limit,
            "remaining": remaining,
            "reset_at": reset_at,
            "window": 0.0 if old is None else old["window"],
            "seen": 0.0 if old is None else old["seen"],
            "next_at": now,
        }
        known = _with_window(known, report)
        if old is not None:
            known["next_at"] = min(old["next_at"], now + self._interval(known, now, _charge(report.name, job) or 0.0))
        return known


def _with_window(allowance: Allowance, report: LimitReport) -> Allowance:
    """With what a report says of the window, which holds even if the rest of it is outdated."""
    if report.window is not None:
        return {**allowance, "window": report.window, "seen": report.window}
    seen = max(allowance["seen"], report.reset_in or 0.0)
    return {**allowance, "window": max(allowance["window"], seen), "seen": seen}


def _renewed(allowance: Allowance, now: float) -> Allowance | None:
    """After its reset; None if it cannot be told."""
    limit = allowance["limit"]
    if limit is None:
        return None
    window = allowance["seen"] or allowance["window"]
    return {
        **allowance,
        "remaining": limit,
        "reset_at": now + window + EDGE,
        "window": window,
        "seen": 0.0,
    }


def _sooner(allowance: Allowance, outcome: Outcome, now: float) -> Allowance:
    """With the upstream's Retry-After, which goes before the reset of what is used up."""
    if outcome.kind is not OutcomeKind.THROTTLED or outcome.retry_after is None or allowance["remaining"] > 0:
        return allowance
    return {**allowance, "reset_at": min(allowance["reset_at"], now + outcome.retry_after)}


def _without(sent: list[Any], started_at: float) -> list[Any]:
    """Without the first job that started then."""
    for index, pair in enumerate(sent):
        if pair[0] == started_at:
            return sent[:index] + sent[index + 1 :]
    return sent


def _charge(name: str, job: JobFacts) -> float | None:
    return _cost_of(name, job.cost)


def _cost_of(name: str, cost: Any) -> float | None:
    """What a cost amounts to in a dimension; None if it does not say."""
    if name in cost:
        return float(cost[name])
    dimension = name.partition("/")[0]
    if dimension in cost:
        return float(cost[dimension])
    if "tokens" in dimension:
        return float(cost["tokens"]) if "tokens" in cost else None
    return float(cost.get("requests", 1.0))
