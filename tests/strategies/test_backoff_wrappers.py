"""Policies around policies: floors, ends, budgets, circuits."""

from __future__ import annotations

import math
from random import Random

import attrs
import pytest
from backoffs import ALL, SETTINGS, WRAPPERS, failures, policies, wrap
from hypothesis import given
from hypothesis import strategies as st

from pacer._snapshot import QueueState
from pacer.backoff import (
    CircuitBreaker,
    ConstantBackoff,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    LinearBackoff,
    NoBackoff,
    RetryBudget,
)
from pacer.protocols import Failure

DICE = Random(0)


def delays(policy, counts, **circumstances):
    return [policy.delay(Failure(count, **circumstances), DICE) for count in counts]


# -- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.__name__)
def test_what_is_no_policy_cannot_be_wrapped(wrapper):
    name = f"{wrapper.__name__}: policy must be a BackoffPolicy such as ExponentialBackoff"
    with pytest.raises(TypeError, match=rf"{name}\(1\), got 15, which has no delay"):
        wrap(wrapper, 15)
    with pytest.raises(TypeError, match=rf"{name}\(1\), got .*ConstantBackoff'>, a class; call it"):
        wrap(wrapper, ConstantBackoff)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.__name__)
def test_every_wrapper_passes_on_how_many_jobs_may_run(wrapper):
    circuit = CircuitBreaker(failures=2, open_for=60)
    around = wrap(wrapper, wrap(wrapper, circuit))
    assert [around.most_running(count) for count in (1, 2, 3, 10**6)] == [None, 1, 1, 1]


@pytest.mark.parametrize(
    "wrapper", [wrapper for wrapper in WRAPPERS if wrapper is not CircuitBreaker], ids=lambda wrapper: wrapper.__name__
)
def test_around_a_policy_without_a_limit_a_wrapper_sets_none(wrapper):
    assert wrap(wrapper, ExponentialBackoff(1)).most_running(10**6) is None


@given(policy=policies, failure=failures, seed=st.integers(0, 2**32))
def test_whatever_is_wrapped_in_whatever_a_delay_is_finite_or_none_and_depends_on_the_dice_alone(policy, failure, seed):
    delay = policy.delay(failure, Random(seed))
    assert delay is None or (math.isfinite(delay) and delay >= 0)
    assert policy.delay(failure, Random(seed)) == delay


@given(policy=policies, count=st.integers(1, 10**6))
def test_whatever_is_wrapped_in_whatever_one_job_may_always_run(policy, count):
    ask = getattr(policy, "most_running", None)
    assert ask is None or ask(count) in (None, 1)


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.__name__)
def test_settings_cannot_be_changed_afterwards(policy):
    made = policy(**SETTINGS.get(policy, {}), **({"policy": NoBackoff()} if policy in WRAPPERS else {}))
    for field in attrs.fields(policy):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made, field.name, 1)


# -- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "delay"), [(None, 30), (0, 30), (29.9, 30), (30, 30), (31.5, 31.5), (86400, 86400)]
)
def test_a_retry_after_is_a_floor(retry_after, delay):
    assert HonourRetryAfter(ConstantBackoff(30)).delay(Failure(1, retry_after=retry_after), DICE) == delay


@given(retry_after=st.floats(0, 1e5), count=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_jitter_inside_of_it_never_undercuts_the_upstream(retry_after, count, seed):
    policy = HonourRetryAfter(FullJitter(ExponentialBackoff(1)))
    delay = policy.delay(Failure(count, retry_after=retry_after), Random(seed))
    assert delay >= retry_after
    assert delay == max(retry_after, FullJitter(ExponentialBackoff(1)).delay(Failure(count), Random(seed)))


def test_jitter_around_it_undercuts_the_upstream_which_is_why_the_order_matters():
    policy = FullJitter(HonourRetryAfter(ConstantBackoff(1)))
    assert min(policy.delay(Failure(1, retry_after=100), DICE) for _ in range(100)) < 50


def test_a_time_from_the_upstream_does_not_bring_back_what_was_given_up():
    policy = HonourRetryAfter(GiveUpAfter(ConstantBackoff(1), attempts=2))
    assert delays(policy, (1, 2, 3), retry_after=60) == [60, None, None]


def test_what_is_no_sensible_time_is_not_obeyed():
    policy = HonourRetryAfter(ConstantBackoff(30))
    assert [policy.delay(Failure(1, retry_after=odd), DICE) for odd in (math.nan, -5.0)] == [30, 30]


# -- giving up -------------------------------------------------------------------------------------------------------


def test_attempts_are_runs_the_first_included():
    assert delays(GiveUpAfter(LinearBackoff(1), attempts=4), range(1, 7)) == [1, 2, 3, None, None, None]
    assert delays(GiveUpAfter(LinearBackoff(1), attempts=1), range(1, 3)) == [None, None]


@pytest.mark.parametrize(("elapsed", "delay"), [(0, 10), (49.9, 10), (50, 10), (50.1, None), (1e9, None)])
def test_no_delay_reaches_beyond_the_time(elapsed, delay):
    """The next attempt may begin at 60 s, and not later."""
    assert GiveUpAfter(ConstantBackoff(10), seconds=60).delay(Failure(3, elapsed=elapsed), DICE) == delay


def test_a_time_that_the_first_delay_exceeds_allows_no_retry():
    assert GiveUpAfter(ConstantBackoff(10), seconds=5).delay(Failure(1), DICE) is None


def test_whichever_comes_first():
    policy = GiveUpAfter(ConstantBackoff(10), attempts=3, seconds=60)
    assert policy.delay(Failure(2, elapsed=10), DICE) == 10
    assert policy.delay(Failure(3, elapsed=20), DICE) is None
    assert policy.delay(Failure(2, elapsed=55), DICE) is None
    nested = GiveUpAfter(GiveUpAfter(ConstantBackoff(10), attempts=3), seconds=60)
    assert [nested.delay(Failure(n, elapsed=s), DICE) for n, s in ((2, 10), (3, 20), (2, 55))] == [10, None, None]


@given(
    policy=policies,
    seconds=st.floats(1, 1e5),
    runs=st.lists(st.floats(0, 100), min_size=1, max_size=50),
    seed=st.integers(0, 2**32),
)
def test_a_job_is_never_delayed_beyond_the_time(policy, seconds, runs, seed):
    """Runs of these durations, each of which fails, with whatever delays between them."""
    limited, dice = GiveUpAfter(policy, seconds=seconds), Random(seed)
    elapsed = previous = 0.0
    for count, duration in enumerate(runs, 1):
        delay = limited.delay(Failure(count, previous, elapsed), dice)
        if delay is None:
            return
        assert elapsed + delay <= seconds
        elapsed += delay + duration
        previous = delay


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "GiveUpAfter: give attempts=, seconds=, or both"),
        ({"attempts": 0}, "GiveUpAfter: attempts must be a whole number, 1 or more, got 0"),
        ({"attempts": 2.0}, "GiveUpAfter: attempts must be a whole number, 1 or more, got 2.0"),
        ({"seconds": 0}, "GiveUpAfter: seconds must be a finite number above 0, got 0.0"),
        ({"seconds": math.inf}, "GiveUpAfter: seconds must be a finite number above 0, got inf"),
    ],
)
def test_an_end_that_is_none_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GiveUpAfter(NoBackoff(), **settings)


# -- circuit ---------------------------------------------------------------------------------------------------------


def test_a_circuit_opens_with_its_failures_and_stays_open_as_long_every_time():
    assert delays(CircuitBreaker(failures=5, open_for=30), range(1, 9)) == [0, 0, 0, 0, 30, 30, 30, 30]


def test_below_the_threshold_the_inner_policy_says_how_long():
    policy = CircuitBreaker(ExponentialBackoff(1), failures=4, open_for=60)
    assert delays(policy, range(1, 7)) == [1, 2, 4, 60, 60, 60]


def test_a_circuit_that_is_not_closed_lets_one_job_run():
    policy = CircuitBreaker(failures=5, open_for=30)
    assert [policy.most_running(count) for count in (1, 4, 5, 6, 10**6)] == [None, None, 1, 1, 1]


def test_a_circuit_inside_of_a_circuit_may_be_the_first_to_open():
    policy = CircuitBreaker(CircuitBreaker(failures=2, open_for=10), failures=4, open_for=100)
    assert delays(policy, range(1, 6)) == [0, 10, 10, 100, 100]
    assert [policy.most_running(count) for count in range(1, 6)] == [None, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"failures": 0}, "CircuitBreaker: failures must be a whole number, 1 or more, got 0"),
        ({"open_for": 0}, "CircuitBreaker: open_for must be a finite number above 0, got 0.0"),
    ],
)
def test_an_impossible_circuit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CircuitBreaker(**settings)


# -- budget ----------------------------------------------------------------------------------------------------------


def allowed(policy, successes):
    """How many retries are allowed at one moment."""
    retries = 0
    while policy.delay(Failure(1, successes=successes, retries=retries), DICE) is not None:
        retries += 1
    return retries


@pytest.mark.parametrize(
    ("settings", "successes", "retries"),
    [
        ({}, 0, 10),
        ({}, 4, 10),
        ({}, 5, 11),
        ({}, 100, 30),
        ({"at_least": 0}, 0, 0),
        ({"at_least": 0}, 4.99, 0),
        ({"at_least": 0}, 5, 1),
        ({"at_least": 0, "share": 1}, 7, 7),
        ({"at_least": 0.5, "share": 0.5}, 1, 1),
        ({"at_least": 100}, 50, 110),
    ],
)
def test_a_budget_is_its_share_of_the_successes_and_a_floor(settings, successes, retries):
    assert allowed(RetryBudget(ConstantBackoff(1), **settings), successes) == retries


def test_within_the_budget_the_inner_policy_says_how_long_or_gives_up():
    policy = RetryBudget(GiveUpAfter(ExponentialBackoff(1), attempts=4))
    assert delays(policy, range(1, 6)) == [1, 2, 4, None, None]
    assert delays(policy, range(1, 6), retries=9.1) == [None] * 5


def retries_of(policy, runs):
    """When jobs are put back by a queue whose runs end after these gaps; and what it counted at the start of each."""
    now, state, log = 0.0, QueueState(None, None), []
    for gap, succeeded in runs:
        now += gap
        successes, retries = state.recent(now)
        delay = None if succeeded else policy.delay(Failure(1, successes=successes, retries=retries), DICE)
        log.append((now, successes, succeeded, delay is not None))
        retried = delay is not None
        state = state.after_run(now, None, None, succeeded=succeeded, failed=False, retried=retried, throttled=False)
    return log


@given(
    share=st.floats(0.01, 1),
    at_least=st.floats(0, 20),
    runs=st.lists(st.tuples(st.floats(0, 5) | st.floats(0, 200), st.booleans()), min_size=1, max_size=60),
)
def test_no_window_sees_more_retries_than_the_budget_promises(share, at_least, runs):
    """At most share * (S + N) + at_least * (1 + W / 60), for every window that begins with one end of a run."""
    log = retries_of(RetryBudget(NoBackoff(), share=share, at_least=at_least), runs)
    for first, (start, lately, _, _) in enumerate(log):
        successes = retries = 0
        for end, _, succeeded, retried in log[first:]:
            successes += succeeded
            retries += retried
            budget = share * (lately + successes) + at_least * (1 + (end - start) / 60)
            assert retries <= budget * (1 + 1e-9) + 1e-9


def test_in_an_outage_retries_fall_to_the_floor():
    """A failure every second for ten minutes: ten retries at once, then about ten a minute instead of sixty."""
    log = retries_of(RetryBudget(NoBackoff()), [(1.0, False)] * 600)
    retries = [at for at, _, _, retried in log if retried]
    assert [at for at in retries if at < 11] == list(range(1, 11))
    assert 8 <= sum(300 <= at < 360 for at in retries) <= 10


def test_while_all_is_well_every_failure_is_retried():
    """One run a second, of which every tenth fails."""
    log = retries_of(RetryBudget(NoBackoff(), at_least=1), [(1.0, number % 10 != 0) for number in range(1, 601)])
    assert all(retried for _, _, succeeded, retried in log if not succeeded)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0}, "RetryBudget: share must be above 0 and at most 1, got 0"),
        ({"share": 20}, "RetryBudget: share must be above 0 and at most 1, got 20"),
        ({"at_least": -1}, "RetryBudget: at_least must be a finite number, 0 or more, got -1"),
    ],
)
def test_an_impossible_budget_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RetryBudget(NoBackoff(), **settings)


def test_the_defaults_of_the_wrappers_are_the_documented_ones():
    assert CircuitBreaker() == CircuitBreaker(NoBackoff(), failures=5, open_for=30)
    assert RetryBudget(NoBackoff()) == RetryBudget(NoBackoff(), share=0.2, at_least=10)
    assert GiveUpAfter(NoBackoff(), attempts=3) == GiveUpAfter(NoBackoff(), attempts=3, seconds=None)
