"""The contract of pacing policies whose start times are given out ahead of the clock, and given back."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer.protocols import PacingPolicy, When
from pacer.testing._expect import SampleJob, expect, seeded

UNUSED = Outcome(OutcomeKind.IGNORED, unused=True)
_EPOCH = 1_700_000_000.0
_JOBS = 60
_AHEAD = (0.1, 20.0)
# A policy may make up for timers that are late by so much.
_CATCH_UP = 0.011
_COSTS: Sequence[Mapping[str, float]] = (
    {"requests": 1.0},
    {"requests": 1.0, "tokens": 1800.0},
    {"tokens": 400.0},
    {"requests": 0.0},
)
_GAPS = (0.0, 0.0, 0.0, 0.0, 0.004, 0.3, 0.3, 0.3, 7.0, 61.0)
_DURATIONS = (0.0, 0.03, 0.25, 7.0, 61.0)


@attrs.frozen
class _Work:
    """A job, how long it runs, and how that ends: never at a higher cost than was expected."""

    number: int
    job: SampleJob
    duration: float
    outcome: Outcome
    returned: tuple[float, float]
    """If it is given back, then after this share of the time from its claim to its start, and so many seconds."""


def _works(start: float, seed: int, used: float) -> list[_Work]:
    """Jobs some of which use this share of what was expected."""
    random, at, works = seeded(seed), start, []
    for number in range(_JOBS):
        at += random.choice(_GAPS)
        cost = _COSTS[random.randrange(len(_COSTS))]
        outcome = random.choice(
            (
                Outcome(OutcomeKind.SUCCEEDED, cost={name: used * amount for name, amount in cost.items()}),
                Outcome(OutcomeKind.SUCCEEDED),
                Outcome(OutcomeKind.FAILED, error="ValueError: x", hold=15.0),
                Outcome(OutcomeKind.THROTTLED, retry_after=3.0),
                Outcome(OutcomeKind.IGNORED),
            )
        )
        job = SampleJob(id=f"job-{number}", key=(None, "a", "b")[number % 3], cost=cost, created_at=at, ready_at=at)
        returned = (random.choice((0.0, 0.5, 1.0)), random.choice((0.0, 0.0, 0.5, 3.0)))
        works.append(_Work(number, job, random.choice(_DURATIONS), outcome, returned))
    return works


@attrs.define(eq=False)
class _Host:
    """Starts jobs in order as a store does whose workers claim `ahead` of the clock; 0 is at the time itself."""

    policy: PacingPolicy[Any]
    ahead: float
    concurrency: int
    now: float
    state: Any = attrs.field(init=False)
    given: float = -math.inf
    events: list[tuple[float, int, SampleJob, Outcome]] = attrs.field(factory=list)
    """Ends of jobs, those that are given back among them: when, which, and how."""

    def __attrs_post_init__(self) -> None:
        self.state = self.policy.initial_state()

    def starts(self, works: Sequence[_Work], returned: frozenset[str] = frozenset()) -> dict[str, float]:
        """When each of them starts, without those that are `returned` before they begin."""
        found = {}
        for work in works:
            at = self._start(work.job)
            job = attrs.evolve(work.job, started_at=at)
            if job.id in returned:
                share, late = work.returned
                back = self.now + share * (at - self.now) + late
                heapq.heappush(self.events, (back, work.number, job, UNUSED))
            else:
                found[job.id] = at
                heapq.heappush(self.events, (at + work.duration, work.number, job, work.outcome))
        return found

    def _start(self, job: SampleJob) -> float:
        self._go_on_to(job.ready_at)
        while True:
            self._go_on_to(self.now)
            if len(self.events) >= self.concurrency:
                self._go_on_to(self.events[0][0])
                continue
            at, when = self._ask(job)
            if when.at <= at:
                self.state = self.policy.started(self.state, at, job, len(self.events))
                self.given = max(self.given, at)
                return at
            upcoming = when.at if when.lane else when.at - self.ahead
            upcoming = min([upcoming, *(event[0] for event in self.events[:1])])
            expect(
                math.isfinite(upcoming),
                f"{type(self.policy).__name__}.earliest: with nothing running, a job of ordinary cost can start at "
                f"some time, also after others were given back; got {when!r} for {job!r}",
            )
            self._go_on_to(upcoming)

    def _ask(self, job: SampleJob) -> tuple[float, When]:
        at, running = max(self.now, self.given), len(self.events)
        when = self.policy.earliest(self.state, at, job, running)
        if at < when.at and when.at - self.ahead <= self.now and not when.lane:
            at = when.at
            when = self.policy.earliest(self.state, at, job, running)
        return at, when

    def _go_on_to(self, time: float) -> None:
        """Jobs that have ended by then are told of; to the policy, time does not go back."""
        while self.events and self.events[0][0] <= max(time, self.now):
            at, _, job, outcome = heapq.heappop(self.events)
            self.now = max(self.now, at)
            told = max(self.now, self.given)
            self.state = self.policy.ended(self.state, told, job, outcome, len(self.events))
        self.now = max(self.now, time)


def _expect_legal(policy: PacingPolicy[Any], works: Sequence[_Work], starts: Mapping[str, float], mistake: str) -> None:
    """Told of these starts and of all ends when they happen, and of nothing else, the policy agrees with each start."""
    state, ends = policy.initial_state(), list[tuple[float, int, SampleJob, Outcome]]()
    for work in works:
        at = starts.get(work.job.id)
        if at is None:
            continue
        while ends and ends[0][0] <= at:
            end, _, ended, outcome = heapq.heappop(ends)
            state = policy.ended(state, end, ended, outcome, len(ends))
        when = policy.earliest(state, at, work.job, len(ends))
        expect(
            when.at <= at + _CATCH_UP,
            f"{type(policy).__name__}: {work.job.id} has started at {at!r}, but may not before {when.at!r} "
            f"({when.reason}), {mistake}",
        )
        state = policy.started(state, at, work.job, len(ends))
        heapq.heappush(ends, (at + work.duration, work.number, attrs.evolve(work.job, started_at=at), work.outcome))


def check_pacing_starts_ahead(policy: PacingPolicy[Any]) -> None:
    """If it `starts_ahead`: jobs that are claimed ahead of the clock while others end start no sooner than they may.

    While no run ends, they start at the very same times as if each was claimed at the time itself.
    """
    if not getattr(policy, "starts_ahead", False):
        return
    name = type(policy).__name__
    for start, concurrency, ahead, seed in itertools.product((0.0, _EPOCH), (1, 3, 100), _AHEAD, (1, 2)):
        works = _works(start, seed, used=0.5)
        found = _Host(policy, ahead, concurrency, start).starts(works)
        mistake = (
            f"where start times were given out up to {ahead:g} s ahead. "
            "Does the end of a run make others wait longer? Then it has no `starts_ahead`"
        )
        _expect_legal(policy, works, found, mistake)
        endless = [attrs.evolve(work, duration=math.inf) for work in works[: concurrency - 1]]
        expected, found = (_unhindered(_Host(policy, each, concurrency, start), endless) for each in (0.0, ahead))
        expect(found == expected, f"{name}: with nothing else happening, start times given out ahead are the same")


def _unhindered(host: _Host, works: Sequence[_Work]) -> dict[str, float]:
    """The starts of jobs that never end, up to one that waits for an end."""
    found: dict[str, float] = {}
    for work in works:
        try:
            found |= host.starts([work])
        except AssertionError:
            break
    return found


def check_pacing_gives_back(policy: PacingPolicy[Any]) -> None:
    """Whatever is given back before it has begun, the others start no sooner than if that had never been claimed."""
    for start, concurrency, seed in itertools.product((0.0, _EPOCH), (1, 3, 100), (3, 4)):
        works = _works(start, seed, used=1.0)
        _expect_nothing_gained(policy, works, start, concurrency)
        if not getattr(policy, "starts_ahead", False):
            continue
        for ahead, every in itertools.product((0.0, *_AHEAD), (2, 3, 5)):
            returned = frozenset(work.job.id for work in works[::every])
            found = _Host(policy, ahead, concurrency, start).starts(works, returned)
            mistake = (
                f"where jobs before it had been claimed up to {ahead:g} s ahead and given back. "
                "Give back no more than was charged, and nothing that later starts build on"
            )
            _expect_legal(policy, works, found, mistake)


def _expect_nothing_gained(policy: PacingPolicy[Any], works: Sequence[_Work], start: float, concurrency: int) -> None:
    """A job that is claimed and given back at once leaves nobody better off."""
    host = _Host(policy, 0.0, concurrency, start)
    for work in works[:20]:
        host.starts([work])
        running, now = len(host.events), host.now
        taken = attrs.evolve(work.job, id="taken", started_at=now)
        if running >= concurrency or policy.earliest(host.state, now, taken, running).at > now:
            continue
        state = policy.started(host.state, now, taken, running)
        state = policy.ended(state, now, taken, UNUSED, running)
        without, found = (_next_starts(policy, each, now, running) for each in (host.state, state))
        expect(
            all(late >= soon - _CATCH_UP for late, soon in zip(found, without, strict=True)),
            f"{type(policy).__name__}.ended: a job that was claimed and given back at once (outcome.unused) lets "
            f"others start at {found!r} instead of {without!r}",
        )


def _next_starts(policy: PacingPolicy[Any], state: Any, now: float, running: int) -> list[float]:
    """When some more jobs would start; `inf` for those that would wait for an end."""
    found = []
    for number in range(6):
        job = SampleJob(id=f"next-{number}", cost=_COSTS[1], created_at=now, ready_at=now)
        now = max(now, policy.earliest(state, now, job, running + number).at)
        found.append(now)
        if now < math.inf:
            state = policy.started(state, now, job, running + number)
    return found
