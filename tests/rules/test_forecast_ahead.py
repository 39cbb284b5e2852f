"""The jobs ahead as they are: other kinds, other costs, blocked lanes; against the memory store itself."""

from __future__ import annotations

import heapq
import math

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import BoundedQueue, JobRecord, JobState, Outcome, OutcomeKind, Rules, Running, Snapshot
from pacer._forecast import EXACT_JOBS, forecast_start
from pacer._snapshot import LOOK_AHEAD
from pacer.backoff import NoBackoff
from pacer.pacing import (
    AdaptiveRate,
    CubicRate,
    FixedPause,
    GradientLimit,
    MinInterval,
    PerKey,
    TokenBucket,
    Unpaced,
    VegasLimit,
)
from pacer.protocols import NOW, Durations, When
from pacer.queues import Fifo, Priority
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
TASKS = frozenset({"short", "long"})
SECONDS = {"short": 1.0, "long": 30.0}


@attrs.frozen
class ByTask:
    """Each kind of job takes its own time, with this share of it as deviation."""

    spread: float = 0.0

    def initial_state(self):
        return None

    def observed(self, state, job, duration, outcome):
        return None

    def predict(self, state, job):
        mean = SECONDS[job.task]
        return Durations(mean, mean * self.spread)


@attrs.frozen
class LanePause:
    """A pause after each job of a lane, for that lane only."""

    seconds: float

    def initial_state(self):
        return {}

    def earliest(self, state, now, job, running):
        at = state.get(str(job.key), -math.inf)
        return NOW if at <= now else When(at, reason="the lane pauses", lane=True)

    def started(self, state, now, job, running):
        return {**state, str(job.key): now + 1e9}

    def ended(self, state, now, job, outcome, running):
        return {**state, str(job.key): now + self.seconds}


def make_rules(**parts):
    usual = {
        "queue": BoundedQueue(10**7),
        "pacing": Unpaced(),
        "backoff": NoBackoff(),
        "estimator": ByTask(),
    }
    return Rules(**{**usual, **parts})


def snapshot(rules, ahead, waiting=None):
    return Snapshot(0.0, rules.initial(), len(ahead) if waiting is None else waiting, (), None, ahead)


def jobs(*kinds):
    return [JobRecord(f"j{index}", kind, seq=index) for index, kind in enumerate(kinds)]


def test_jobs_of_other_kinds_ahead_take_their_own_time():
    rules = make_rules()
    newcomer = JobRecord("new", "short")
    found = forecast_start(rules, snapshot(rules, jobs("long", "short", "long")), newcomer, 4)
    assert found.seconds == found.low == found.high == 61


def test_a_waiting_job_is_not_ahead_of_itself():
    rules = make_rules()
    waiting = jobs("long", "short", "long", "short")
    assert [
        forecast_start(rules, snapshot(rules, waiting), job, place).seconds for place, job in enumerate(waiting, 1)
    ] == [
        *(0, 30, 31, 61),
    ]


def test_jobs_that_are_not_named_are_taken_to_be_like_those_that_are():
    """Of 9 jobs ahead three are known: one long one in three."""
    rules = make_rules()
    found = forecast_start(rules, snapshot(rules, jobs("long", "short", "short"), 9), JobRecord("new", "short"), 10)
    assert found.seconds == 3 * 32


def test_beyond_the_exact_jobs_the_mix_goes_on():
    rules = make_rules()
    known = jobs(*(["long", "short", "short", "short"] * (LOOK_AHEAD // 4)))
    found = forecast_start(rules, snapshot(rules, known, 10**6), JobRecord("new", "short"), 10**6 + 1)
    assert found.seconds == pytest.approx(10**6 * 33 / 4, rel=0.01)


def test_beyond_the_exact_jobs_the_interval_grows_with_the_way():
    rules = make_rules(estimator=ByTask(0.5))
    known = jobs(*(["long"] * LOOK_AHEAD))

    def relative_width(position):
        found = forecast_start(rules, snapshot(rules, known, position - 1), JobRecord("new", "short"), position)
        return (found.high - found.low) / found.seconds

    assert relative_width(100 * EXACT_JOBS) == pytest.approx(relative_width(EXACT_JOBS) / 10, rel=0.1)


def test_costs_ahead_are_charged():
    rules = make_rules(pacing=TokenBucket(1, burst=5), concurrency=100)
    costly = [JobRecord(f"j{index}", "short", cost={"requests": 5.0}) for index in range(3)]
    assert forecast_start(rules, snapshot(rules, costly), JobRecord("new", "short"), 4).seconds == 11


def test_a_job_that_can_never_start_holds_up_nobody():
    rules = make_rules(pacing=TokenBucket(1, burst=5), concurrency=100)
    ahead = [JobRecord("huge", "short", cost={"requests": 6.0})]
    assert forecast_start(rules, snapshot(rules, ahead), JobRecord("new", "short"), 2).seconds == 0


def test_a_blocked_lane_holds_up_only_its_own():
    rules = make_rules(pacing=LanePause(10), concurrency=10)
    ahead = [JobRecord(f"a{index}", "short", key="a") for index in range(5)]
    known = snapshot(rules, ahead)
    assert forecast_start(rules, known, JobRecord("new", "short", key="b"), 6).seconds == 0
    assert forecast_start(rules, known, JobRecord("new", "short", key="a"), 6).seconds == 5 * 11


def test_a_job_that_can_never_start_holds_up_nobody_in_its_lane_either():
    rules = make_rules(pacing=PerKey(TokenBucket(1, burst=2)), concurrency=100)
    costs = [2.0, 1.0, 3.0, 1.0]
    ahead = [JobRecord(f"j{index}", "short", key="a", cost={"requests": cost}) for index, cost in enumerate(costs)]
    assert forecast_start(rules, snapshot(rules, ahead), JobRecord("new", "short", key="a"), 5).seconds == 3


@pytest.mark.parametrize("blocked", [0.3, 0.5, 0.8])
def test_far_behind_blocked_lanes_the_pace_is_that_of_the_others(blocked):
    """One lane starts a job an hour; all else is worked off by four at a time."""
    rules = make_rules(pacing=PerKey(MinInterval(3600)), concurrency=4)
    keys = ["slow" if int(index * blocked) < int((index + 1) * blocked) else f"k{index}" for index in range(LOOK_AHEAD)]
    ahead = [JobRecord(f"j{index}", "short", key=key) for index, key in enumerate(keys)]
    far = snapshot(rules, ahead, 10_000)
    found = forecast_start(rules, far, JobRecord("new", "short", key="mine"), 10_001)
    assert found.seconds == pytest.approx(10_000 * (1 - blocked) / 4, rel=0.05)
    same = forecast_start(rules, far, JobRecord("new", "short", key="slow"), 10_001)
    assert same.seconds == pytest.approx(10_000 * blocked * 3600, rel=0.05)


def test_free_slots_for_all_that_are_named_do_not_make_the_rest_free():
    rules = make_rules(concurrency=2000)
    found = forecast_start(rules, snapshot(rules, jobs("long"), 10**6), JobRecord("new", "short"), 10**6 + 1)
    assert found.seconds == pytest.approx(10**6 / 2000 * 30, rel=0.01)


def test_a_hold_that_outlasts_thousands_of_running_jobs_is_waited_out():
    rules = make_rules(concurrency=5000)
    running = tuple(Running(JobRecord(f"r{index}", "long"), -index / 1000) for index in range(3000))
    held = attrs.evolve(rules.initial(), hold_until=3600.0, hold_reason="upstream said wait")
    assert forecast_start(rules, Snapshot(0.0, held, 0, running), JobRecord("new", "short"), 1).seconds == 3600


@attrs.frozen
class OneProbe(NoBackoff):
    """After failures one job at a time until one succeeds."""

    def most_running(self, failures):
        return 1


def test_a_half_open_circuit_lets_one_job_out_and_then_the_others():
    rules = make_rules(backoff=OneProbe(), concurrency=4)
    held = attrs.evolve(rules.initial(), failures=5, hold_until=100.0, hold_reason="circuit open")
    known = Snapshot(0.0, held, 4, (), None, jobs("long", "long", "long", "long"))
    starts = [forecast_start(rules, known, JobRecord("new", "short"), place).seconds for place in (1, 2, 3, 5)]
    assert starts == [100, 130, 130, 130]


@pytest.mark.parametrize("count", [1, 40, 150, 400])
def test_mean_and_interval_do_not_jump_where_fewer_courses_are_taken(count):
    """Sums of log-normals: mean exact, and an interval that is right within a few percent, for few and many jobs."""
    rules = make_rules(estimator=ByTask(0.6))
    ahead = jobs(*(["long"] * count))
    found = forecast_start(rules, snapshot(rules, ahead), JobRecord("new", "short"), count + 1)
    total = Durations(30.0, 18.0).total(count)
    assert found.seconds == pytest.approx(30 * count, rel=1e-6)
    assert found.low == pytest.approx(total.quantile(0.1), rel=0.01)
    assert found.high == pytest.approx(total.quantile(0.9), rel=0.01)


class Bench:
    """A memory store's queue worked off by hand, on a clock of its own."""

    def __init__(self, rules):
        self.rules, self.clock = rules, ManualClock()
        self.began = self.clock()

    async def starts(self, waiting):
        """When each of these jobs starts, by the store; and what was forecast of each beforehand."""
        async with MemoryStore(clock=self.clock).open("q", self.rules, "w") as ledger:
            await ledger.add(waiting)
            known = await ledger.snapshot()
            foretold = {}
            for job in waiting:
                place = await ledger.position(job.id)
                foretold[job.id] = forecast_start(self.rules, known, job, place)
            return await self._work_off(ledger, len(waiting)), foretold

    async def _work_off(self, ledger, count):
        starts, ends = {}, []
        while len(starts) < count or ends:
            claimed = await ledger.claim(TASKS, 100)
            for job in claimed.jobs:
                starts[job.id] = self.clock() - self.began
                heapq.heappush(ends, (self.clock() + SECONDS[job.task], len(starts), job))
            if claimed.jobs:
                continue
            upcoming = min(claimed.next.at, ends[0][0]) if ends else claimed.next.at
            self.clock.advance(upcoming - self.clock())
            while ends and ends[0][0] <= self.clock():
                settled = await ledger.settle(heapq.heappop(ends)[2], SUCCESS, None)
                assert settled.record.state is JobState.SUCCEEDED
        return starts


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(TASKS)), st.sampled_from([None, "a", "b", "c"]), st.integers(0, 2)),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([Unpaced(), FixedPause(3), TokenBucket(0.25, burst=2), LanePause(4)]),
    st.sampled_from([Fifo(), Priority(ageing=5)]),
    st.integers(1, 4),
)
def test_with_known_durations_the_forecast_is_what_the_store_does(kinds, pacing, order, concurrency):
    rules = make_rules(queue=BoundedQueue(50, order=order), pacing=pacing, concurrency=concurrency)
    waiting = [
        JobRecord(f"j{index}", task, key=key, priority=priority) for index, (task, key, priority) in enumerate(kinds)
    ]
    starts, foretold = anyio.run(Bench(rules).starts, waiting)
    assert {name: found.seconds for name, found in foretold.items()} == pytest.approx(starts, abs=1e-5)


@pytest.mark.parametrize("pacing", [AdaptiveRate(1), CubicRate(), GradientLimit(), VegasLimit()])
def test_a_foretold_run_teaches_an_adaptive_pace_nothing(pacing):
    """Forecasts take every run to succeed; a pace that learned from that would be thought to grow without end."""
    job = JobRecord("j", "short", started_at=0.0)
    throttled = Outcome(OutcomeKind.THROTTLED)
    state = pacing.ended(pacing.started(pacing.initial_state(), 0.0, job, 0), 1.0, job, throttled, 0)
    later = JobRecord("k", "short", started_at=5.0)
    state = pacing.started(state, 5.0, later, 0)
    foretold = attrs.evolve(SUCCESS, foretold=True)
    assert pacing.ended(state, 6.0, later, foretold, 0) == state
    assert pacing.ended(state, 6.0, later, SUCCESS, 0) != state


def test_a_pace_that_was_found_is_thought_to_stay():
    rules = make_rules(pacing=AdaptiveRate(2), concurrency=100)
    found = forecast_start(rules, snapshot(rules, jobs(*["short"] * 400)), JobRecord("new", "short"), 401)
    assert found.seconds == pytest.approx(200)
