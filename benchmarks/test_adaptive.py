"""How near paces that are not told the limit come to it, and how soon they follow when it changes.

The simulator runs each policy on a backlog that never ends, in front of an upstream whose limit it does not know: fixed
windows of 1, 10 and 60 s, and a bucket that refills all the time (GCRA), with room for 1 and for 10 requests. After
a while the limit stays, is halved, or is doubled. `TokenBucket` is told the first limit, and no more.

- `of_oracle`: what succeeded, as a share of what a client that knows the limit gets through, over minutes 3 to 8
  (1 to 3 at 100/s, 10 to 20 at 1/s).
- `429_%`: share of the requests that were throttled in the same time, in per cent.
- `halved_s`, `doubled_s`: seconds from the change until goodput is at least 90 % of the new limit with at most 10 %
  of the requests throttled, over 10 s (over one window if that is longer; at 1/s over 20 s). `-`: not within
  the minutes that follow, which are 2 to 3 at 100/s, 3 to 4 at 10/s, and 10 at 1/s.

The aims, for `AdaptiveRate`, `CubicRate` and `ServerGuided`: `of_oracle` at least 0.95, `429_%` at most 1, both
changes followed within 60 s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import pytest

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, Scheduler
from pacer.pacing import AdaptiveRate, CubicRate, ServerGuided, TokenBucket
from pacer.protocols import PacingPolicy
from pacer.simulation import (
    Backlog,
    ChangingLimit,
    FixedWindowLimit,
    GcraLimit,
    Limit,
    Result,
    Uniform,
    Upstream,
    simulate,
)

FACTORS = {"steady": 1.0, "halved": 0.5, "doubled": 2.0}


@attrs.frozen
class Course:
    """How a run goes: until when it warms up, when the limit changes, and when it ends, in seconds."""

    warm_up: float = 180.0
    change: float = 480.0
    end: float = 720.0


SLOW, USUAL, FAST = Course(600, 1200, 1800), Course(), Course(60, 180, 360)


@attrs.frozen
class Kind:
    """A kind of limit: how to make one for so many requests a second, and how long its windows are."""

    make: Callable[[float], Limit]
    window: float = 0.0


def windows(seconds: float) -> Kind:
    return Kind(lambda rate: FixedWindowLimit(rate * seconds, per=seconds), seconds)


def bucket(burst: float) -> Kind:
    return Kind(lambda rate: GcraLimit(rate * 60, per=60, burst=burst))


UPSTREAMS = {
    "windows of 1 s": windows(1),
    "windows of 10 s": windows(10),
    "windows of 60 s": windows(60),
    "bucket of 1": bucket(1),
    "bucket of 10": bucket(10),
}
POLICIES: Mapping[str, Callable[[float], PacingPolicy[Any]]] = {
    "TokenBucket": TokenBucket,
    "AdaptiveRate": lambda rate: AdaptiveRate(max(0.5, rate / 10)),
    "CubicRate": lambda rate: CubicRate(),
    "ServerGuided": lambda rate: ServerGuided(),
}


def run(
    policy: PacingPolicy[Any], kind: Kind, rate: float, factor: float, slots: int, told: bool, course: Course
) -> Result:
    """As fast as the policy goes, with enough slots for twice the rate."""
    limit = kind.make(rate)
    if factor != 1:
        limit = ChangingLimit([(0, limit), (course.change, kind.make(rate * factor))])
    jobs = int((course.change + 2 * (course.end - course.change)) * rate * 1.1) + 100
    return simulate(
        Scheduler(queue=BoundedQueue(jobs), pacing=policy, concurrency=slots, max_throttles=1_000_000, observers=()),
        Backlog(jobs),
        Upstream(
            limit,
            latency=Uniform(0.1 * slots / rate, 0.4 * slots / rate),
            retry_after=told,
            reports=isinstance(policy, ServerGuided),
            refusal=min(0.05, 0.1 / rate),
        ),
        until=course.end if factor != 1 else course.change,
    )


def back_after(result: Result, rate: float, over: float, course: Course) -> float | None:
    """Seconds from the change until the new limit is used to nine tenths and kept to nine tenths."""
    for seconds in range(int(course.end - course.change - over)):
        start = course.change + seconds
        stretch = result.timeline.between(start, start + over)
        if stretch.succeeded >= 0.9 * rate * stretch.seconds and stretch.throttled_share <= 0.1:
            return float(seconds)
    return None


def figures(make: Callable[[float], PacingPolicy[Any]], kind: Kind, rate: float, slots: int, told: bool) -> Figures:
    found: dict[str, float] = {}
    course = SLOW if rate < 10 else FAST if rate > 10 else USUAL
    for name, factor in FACTORS.items():
        result = run(make(rate), kind, rate, factor, slots, told, course)
        assert not result.faults
        assert result.unfinished
        if name == "steady":
            steady = result.timeline.between(course.warm_up, course.change)
            found["of_oracle"] = steady.of_oracle
            found["429_%"] = 100 * steady.throttled_share
            continue
        new = rate * factor
        back = back_after(result, new, max(10.0, kind.window, 20.0 / rate), course)
        if back is not None:
            found[f"{name}_s"] = back
    return found


@pytest.mark.parametrize("told", [True, False], ids=["with-retry-after", "without-retry-after"])
@pytest.mark.parametrize(("rate", "slots"), [(100.0, 8), (10.0, 8), (10.0, 1), (1.0, 8)])
def test_an_unknown_limit_is_found_and_followed(contest: Contest, rate: float, slots: int, told: bool) -> None:
    # The half of one request a second is none at all in a window of a second.
    possible = [name for name, kind in UPSTREAMS.items() if not 0 < kind.window * rate < 2]
    upstreams = {name: UPSTREAMS[name] for name in possible[: contest.size(len(possible), 1)]}
    policies = dict(list(POLICIES.items())[: contest.size(len(POLICIES), 4)])
    rate = min(rate, contest.size(1000, 1))
    words = "with Retry-After" if told else "without Retry-After"
    contest.run(
        f"{rate:g}/s, {slots} slot{'s' * (slots > 1)}, {words}",
        {
            f"{name}, {upstream}": partial(figures, make, kind, rate, slots, told)
            for upstream, kind in upstreams.items()
            for name, make in policies.items()
        },
        rounds=1,
        ratios=False,
    )
