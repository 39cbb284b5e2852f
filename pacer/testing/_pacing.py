"""The contract of pacing policies."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer.protocols import LimitReport, PacingPolicy, When
from pacer.testing._expect import Call, CallLog, Check, SampleJob, check_recipe, expect, expect_pure, plain, seeded
from pacer.testing._pacing_ahead import check_pacing_gives_back, check_pacing_starts_ahead

_EPOCH = 1_700_000_000.0
# A clock that showed 0 at this Unix time, a thousand seconds before.
_SHIFT = _EPOCH - 1000
_LIMITS = (LimitReport(name="requests", limit=60, remaining=3, reset_in=1.5, window=60),)
_OUTCOMES = (
    Outcome(OutcomeKind.SUCCEEDED, cost={"requests": 2, "tokens": 900}, limits=_LIMITS),
    Outcome(OutcomeKind.FAILED, error="ValueError: x"),
    Outcome(OutcomeKind.FAILED, error="ValueError: x", hold=15.0),
    Outcome(OutcomeKind.THROTTLED, retry_after=3.0, limits=_LIMITS),
    Outcome(OutcomeKind.THROTTLED, hold=0.5),
    Outcome(OutcomeKind.IGNORED),
)
_COSTS: Sequence[Mapping[str, float]] = (
    {"requests": 1.0},
    {"requests": 1.0, "tokens": 1800.0},
    {},
    {"requests": 0.0},
    {"requests": 0.5},
)
_KEYS = (None, "a", "b")
_NEW_KEY = "never seen before"
_LARGE: Sequence[Mapping[str, float]] = ({"requests": 1e6, "tokens": 1e9}, {"unheard of": 1e6})


@attrs.frozen
class _Scene:
    """One scripted run: when it begins, how many jobs run at once, and the seed of durations."""

    start: float
    concurrency: int
    seed: int
    jobs: int = 40


_SCENES = tuple(_Scene(start, jobs, seed) for start, jobs, seed in itertools.product((0.0, _EPOCH), (1, 3), (1, 2)))


@attrs.define(eq=False)
class _Run:
    """Runs jobs through a policy in virtual time, as a scheduler would."""

    log: CallLog
    scene: _Scene
    state: Any
    now: float
    running: list[tuple[float, int, SampleJob]] = attrs.field(factory=list)
    outcomes: int = 0

    def job(self, number: int) -> None:
        """Wait until the job may start, and start it."""
        random = seeded(self.scene.seed * 1000 + number)
        job = SampleJob(
            id=f"job-{number}",
            key=_KEYS[number % 3],
            priority=number % 4,
            cost=_COSTS[number % len(_COSTS)],
            created_at=self.scene.start,
            ready_at=self.now if number % 2 else self.scene.start,
        )
        self._wait(job)
        self.state = self.log.call("started", self.state, self.now, job, len(self.running))
        duration = random.choice((0.0, 0.25, 1 / 3, 7.0, 61.0))
        started = attrs.evolve(job, started_at=self.now)
        heapq.heappush(self.running, (self.now + duration, number, started))

    def starts(self) -> list[float]:
        """When jobs have started."""
        return [call.arguments[0] for call in self.log.calls if call.method == "started"]

    def finish(self) -> None:
        """Let all running jobs end."""
        while self.running:
            self._end_next()

    def _wait(self, job: SampleJob) -> None:
        while True:
            while self.running and (self.running[0][0] <= self.now or len(self.running) >= self.scene.concurrency):
                self._end_next()
            when: When = self.log.call("earliest", self.state, self.now, job, len(self.running))
            name = type(self.log.part).__name__
            _expect_usable(when, self.now, name)
            if when.at <= self.now:
                return
            if self.running and self.running[0][0] <= when.at:
                self._end_next()
                continue
            expect(
                math.isfinite(when.at),
                f"{name}.earliest: with nothing running, a job of ordinary cost can start at some time; got "
                f"{when!r} for {job!r}. Was every `ended` taken into account?",
            )
            self.now = when.at

    def _end_next(self) -> None:
        at, _, job = heapq.heappop(self.running)
        self.now = max(self.now, at)
        outcome = _OUTCOMES[self.outcomes % len(_OUTCOMES)]
        self.outcomes += 1
        self.state = self.log.call("ended", self.state, self.now, job, outcome, len(self.running))


def _record(policy: PacingPolicy[Any], scene: _Scene) -> _Run:
    run = _Run(CallLog(policy), scene, policy.initial_state(), scene.start)
    for number in range(scene.jobs):
        run.job(number)
    run.finish()
    return run


def _calls(policy: PacingPolicy[Any]) -> list[Call]:
    return [call for scene in _SCENES for call in _record(policy, scene).log.calls]


def check_pacing_recipe(policy: PacingPolicy[Any]) -> None:
    """The policy is a recipe: it can be compared, hashed, copied and printed."""
    check_recipe(policy)


def check_pacing_state_is_plain(policy: PacingPolicy[Any]) -> None:
    """Every state, the first included, survives JSON unchanged."""
    name = type(policy).__name__
    plain(policy.initial_state(), f"{name}.initial_state")
    for call in _calls(policy):
        if call.method != "earliest":
            plain(call.answer, f"{name}.{call.method}")


def check_pacing_is_pure(policy: PacingPolicy[Any]) -> None:
    """Save and restore in mid-run changes no answer; states and recipe are not mutated; no clock, no dice."""
    expect_pure(_calls, policy)


def check_pacing_answers(policy: PacingPolicy[Any]) -> None:
    """`earliest` answers with a When whose time is a number, and says why a job has to wait."""
    _calls(policy)  # each answer is looked at there


def _expect_usable(when: Any, now: float, name: str) -> None:
    expect(isinstance(when, When), f"{name}.earliest answers with a When, got {when!r}")
    expect(not math.isnan(when.at), f"{name}.earliest: the time is a number, got {when!r}")
    expect(
        when.at <= now or bool(when.reason), f"{name}.earliest: an answer in the future says why (reason), got {when!r}"
    )


def check_pacing_wakes_on_time(policy: PacingPolicy[Any]) -> None:
    """Asked again at exactly the time it named, the policy lets the job start: nobody is woken in vain, or for ever."""
    name = type(policy).__name__
    for call in _calls(policy):
        if call.method != "earliest" or not math.isfinite(call.answer.at):
            continue
        now, job, running = call.arguments
        at = max(now, call.answer.at)
        again = policy.earliest(call.state, at, job, running)
        expect(
            again.at <= at,
            f"{name}.earliest: at {at!r}, the time it named itself, the job may start; it now says {again.at!r}. "
            "Compute the time from a time kept in the state, not from a level.",
        )


def check_pacing_serves_everybody(policy: PacingPolicy[Any]) -> None:
    """However runs end (succeeded, failed, throttled, ignored) and whatever ran in parallel, jobs go on starting."""
    for scene in _SCENES:
        for outcome in range(len(_OUTCOMES)):
            run = _Run(CallLog(policy), scene, policy.initial_state(), scene.start, outcomes=outcome)
            for number in range(20):
                run.job(number)
            run.finish()


def check_pacing_takes_any_cost(policy: PacingPolicy[Any]) -> None:
    """A job of a cost beyond all limits is told so (`inf`, without `on_event`) or starts; it blocks no others."""
    name = type(policy).__name__
    for scene, cost in itertools.product(_SCENES, _LARGE):
        run = _record(policy, scene)
        job = SampleJob(id="large", cost=cost, created_at=run.now, ready_at=run.now)
        when = policy.earliest(run.state, run.now, job, 0)
        _expect_usable(when, run.now, name)
        if math.isinf(when.at) and when.at > 0:
            expect(not when.on_event, f"{name}.earliest: nothing runs, so no event will help this job; got {when!r}")
        else:
            run.now = max(run.now, when.at)
            run.state = policy.started(run.state, run.now, job, 0)
            run.state = policy.ended(run.state, run.now, job, _OUTCOMES[0], 0)
        run.job(0)


def check_pacing_survives_the_clock(policy: PacingPolicy[Any]) -> None:
    """A clock that goes back makes nobody wait longer than it went back, and a long sleep of the machine is no harm.

    After the sleep a policy that speaks of the calendar may be closed.
    """
    name = type(policy).__name__
    calendar = _on_clock(policy, _SHIFT) != policy
    for scene, step in itertools.product(_SCENES, (-0.001, -100.0, 1e7)):
        run = _record(policy, scene)
        job = SampleJob(id="asked", created_at=run.now, ready_at=run.now)
        before = policy.earliest(run.state, run.now, job, 0)
        after = policy.earliest(run.state, run.now + step, job, 0)
        _expect_usable(after, run.now + step, name)
        expect(
            after.at <= max(before.at, run.now, run.now + step) or (step > 0 and calendar),
            f"{name}.earliest: asked {step:+g} s later it says no later time; said {before!r}, then {after!r}",
        )
        run.now += step
        for number in range(5):
            run.job(number)
        run.finish()
        plain(run.state, f"{name}, after the clock moved by {step:+g} s")


def check_pacing_tells_lanes_apart(policy: PacingPolicy[Any]) -> None:
    """An answer holds for the jobs of all keys, or says `lane`; then jobs of a new key need not wait longer.

    A store passes over a lane that has to wait, and asks nobody behind a job that waits for all.
    """
    name = type(policy).__name__
    for call in _calls(policy):
        if call.method != "earliest" or call.answer.at <= call.arguments[0]:
            continue
        now, job, running = call.arguments
        when: When = call.answer
        expect(not (when.never and when.lane), f"{name}.earliest: a job that can never start stops no lane")
        for key in (_NEW_KEY,) if when.lane else (*_KEYS, _NEW_KEY):
            other: When = policy.earliest(call.state, now, attrs.evolve(job, key=key), running)
            expect(
                other.at <= when.at if when.lane else other.at >= when.at or when.never,
                f"{name}.earliest: {when!r} for a job of key {job.key!r}, but {other!r} for the same with key {key!r}; "
                "`lane` says whether an answer holds for the jobs of one key only, and others may start sooner",
            )
    for scene, cost in itertools.product(_SCENES[:1], _LARGE):
        large = SampleJob(id="large", key="a", cost=cost, created_at=scene.start, ready_at=scene.start)
        when = policy.earliest(policy.initial_state(), scene.start, large, 0)
        expect(not (when.never and when.lane), f"{name}.earliest: a job that can never start stops no lane")


def check_pacing_knows_the_clock(policy: PacingPolicy[Any]) -> None:
    """`on_clock(epoch)`, if it has that, is the same policy for a clock that showed 0 at this Unix time."""
    name = type(policy).__name__
    moved = _on_clock(policy, _SHIFT)
    check_recipe(moved)
    for epoch, start in ((0.0, policy), (0.0, moved), (_SHIFT, _on_clock(policy, 5.0))):
        expect(
            _on_clock(start, epoch) == (policy if epoch == 0 else moved),
            f"{name}.on_clock: the epoch counts from Unix time 0, which is that of the policy as it is made, and not "
            f"from an epoch that was set before; got {_on_clock(start, epoch)!r}",
        )
    for scene in _SCENES:
        if scene.start == 0 or moved == policy:
            continue
        expected = [at - _SHIFT for at in _record(policy, scene).starts()]
        found = _record(moved, attrs.evolve(scene, start=scene.start - _SHIFT)).starts()
        expect(
            all(math.isclose(*pair, abs_tol=1e-3) for pair in zip(found, expected, strict=True)),
            f"{name}.on_clock: jobs start at the same moments whatever the clock counts from",
        )


def _on_clock(policy: PacingPolicy[Any], epoch: float) -> PacingPolicy[Any]:
    move: Callable[[float], PacingPolicy[Any]] | None = getattr(policy, "on_clock", None)
    return policy if move is None else move(epoch)


def check_pacing_rests(policy: PacingPolicy[Any]) -> None:
    """While `rested`, if it has that, says yes, nobody gains by a new state; after a long time at rest it says yes."""
    name = type(policy).__name__
    ask: Callable[[Any, float], bool] | None = getattr(policy, "rested", None)
    if ask is None:
        return
    runs = [_record(policy, scene) for scene in _SCENES]
    for run, rest in itertools.product(runs, (0.0, 0.5, 5.0, 61.0, 3600.0, 1e7)):
        at = run.now + rest
        expect(rest < 1e7 or ask(run.state, at), f"{name}.rested: after {rest:g} s at rest the answer is yes")
        if ask(run.state, at) and policy.earliest(run.state, at, SampleJob(), 0).at <= at:
            kept, new = (_starts_at_once(policy, state, at) for state in (run.state, policy.initial_state()))
            expect(
                kept >= new,
                f"{name}.rested: at {at!r} a new state would let {new} jobs start at once, and this one {kept}",
            )


def check_pacing_tells_its_rate(policy: PacingPolicy[Any]) -> None:
    """`rate_limit`, if it has that, names no rate (None) or one of 0 or more, of a new state and of any other."""
    name = type(policy).__name__
    ask: Callable[[Any, float], float | None] | None = getattr(policy, "rate_limit", None)
    if ask is None:
        return
    for scene in _SCENES:
        calls = _record(policy, scene).log.calls
        states = [(policy.initial_state(), scene.start), *((call.state, call.arguments[0]) for call in calls)]
        for (state, now), rest in itertools.product(states, (0.0, -100.0, 61.0, 1e7)):
            try:
                rate = ask(state, now + rest)
            except Exception as error:
                msg = f"{name}.rate_limit: there is an answer for every state; got {error!r} for {state!r}"
                raise AssertionError(msg) from error
            expect(
                rate is None or (isinstance(rate, (int, float)) and 0 <= rate < math.inf),
                f"{name}.rate_limit: the rate is None or a finite number, 0 or more; got {rate!r} for {state!r}",
            )


def check_pacing_hears_of_ended_holds(policy: PacingPolicy[Any]) -> None:
    """A policy that counts from the end of a hold has `hold_ended`: then a pause counts from there."""
    name = type(policy).__name__
    change: Callable[[Any, float], Any] = getattr(policy, "hold_ended", lambda state, now: state)
    failed = Outcome(OutcomeKind.FAILED, error="ValueError: x")
    for scene in _SCENES:
        run = _record(policy, scene)
        job = SampleJob(id="asked", key="a", created_at=run.now, ready_at=run.now)
        state = policy.started(run.state, run.now, job, 0)
        free, held = (policy.ended(state, run.now, job, attrs.evolve(failed, hold=hold), 0) for hold in (0.0, 1e6))
        after = change(held, run.now + 1)
        plain(after, f"{name}.hold_ended")
        now, latest = run.now + 1, max(run.now, policy.earliest(free, run.now, job, 0).at) + 1
        when = policy.earliest(after, now, job, 0)
        expect(
            when.at <= max(latest, policy.earliest(free, now, job, 0).at) + 1e-3,
            f"{name}.hold_ended: a hold of 1e6 s that a person ends after 1 s is over; the next job would start at "
            f"{when!r}, and without the hold at {latest!r}",
        )


def _starts_at_once(policy: PacingPolicy[Any], state: Any, at: float) -> int:
    """So many jobs may start at this moment, up to 1000."""
    for number in range(1000):
        job = SampleJob(id=f"job-{number}", cost={"requests": 1.0, "tokens": 1800.0}, created_at=at, ready_at=at)
        if policy.earliest(state, at, job, number).at > at:
            return number
        state = policy.started(state, at, job, number)
    return 1000


PACING_CHECKS: Sequence[Check] = (
    check_pacing_recipe,
    check_pacing_state_is_plain,
    check_pacing_is_pure,
    check_pacing_answers,
    check_pacing_wakes_on_time,
    check_pacing_serves_everybody,
    check_pacing_takes_any_cost,
    check_pacing_survives_the_clock,
    check_pacing_tells_lanes_apart,
    check_pacing_knows_the_clock,
    check_pacing_rests,
    check_pacing_tells_its_rate,
    check_pacing_hears_of_ended_holds,
    check_pacing_starts_ahead,
    check_pacing_gives_back,
)
"""The promises of a pacing policy, one function each."""


def check_pacing_policy(policy: PacingPolicy[Any]) -> None:
    """Run all of PACING_CHECKS on a policy.

    Args:
        policy: The policy; ask each configuration that matters.

    Raises:
        AssertionError: It breaks a promise; the message says which.
    """
    for check in PACING_CHECKS:
        check(policy)
