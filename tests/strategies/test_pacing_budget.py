"""Budget: reserved at the start, settled at the end, both ways."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing_runs import EPOCHS, Work, play, starts

from pacer import Outcome, OutcomeKind
from pacer.pacing import Budget, TokenBucket
from pacer.testing import SampleJob

POLICY = Budget(600, per=60)  # ten a second


def tokens(cost):
    return SampleJob(cost={"requests": 1.0, "tokens": cost})


def ended(kind=OutcomeKind.SUCCEEDED, **cost):
    return Outcome(kind, cost=cost or None)


def after(expected, outcome, policy=POLICY, at=0.0):
    """The state after a job of this expected cost that started at 0 on a full budget."""
    job = tokens(expected)
    return policy.ended(policy.started(None, 0.0, job, 0), at, job, outcome, 0)


def test_what_is_reserved_fills_up_at_the_rate():
    state = POLICY.started(POLICY.initial_state(), 100.0, tokens(600.0), 0)
    when = POLICY.earliest(state, 100.0, tokens(50.0), 0)
    assert (when.at, when.on_event, when.reason) == (105.0, False, "budget of 600 tokens per 60 s")
    assert POLICY.earliest(state, 105.0, tokens(50.0), 0).at <= 105.0
    assert POLICY.earliest(state, 100.0, tokens(600.0), 0).at == 160.0


def test_while_a_job_runs_its_end_may_make_room():
    state = POLICY.started(None, 0.0, tokens(600.0), 0)
    assert POLICY.earliest(state, 0.0, tokens(50.0), 1).on_event


@pytest.mark.parametrize(
    ("outcome", "wait"),
    [
        (ended(tokens=600.0), 60.0),
        (ended(tokens=250.0), 25.0),
        (ended(tokens=0.0), 0.0),
        (ended(tokens=1200.0), 120.0),
        (ended(), 60.0),
        (ended(requests=1.0), 60.0),
        (ended(OutcomeKind.FAILED), 60.0),
        (ended(OutcomeKind.THROTTLED), 60.0),
        (ended(OutcomeKind.FAILED, tokens=100.0), 10.0),
        (ended(OutcomeKind.IGNORED), 60.0),
        (ended(OutcomeKind.IGNORED, requests=1.0), 60.0),
        (ended(OutcomeKind.IGNORED, tokens=40.0), 4.0),
        (ended(tokens=math.nan), 60.0),
        (ended(tokens=-5.0), 60.0),
        (ended(tokens=math.inf), 60.0),
    ],
)
def test_the_real_cost_counts_where_it_is_known(outcome, wait):
    """After a job that reserved all of a full budget: how long until all of it is there again."""
    state = after(600.0, outcome)
    assert max(0.0, POLICY.earliest(state, 0.0, tokens(600.0), 0).at) == pytest.approx(wait)


def test_a_debt_delays_the_jobs_after_it():
    """1000 more than expected are 100 s; they count from the end, when the budget had filled up again."""
    state = after(100.0, ended(tokens=1100.0), at=50.0)
    assert POLICY.earliest(state, 50.0, tokens(1.0), 0).at == pytest.approx(50 + 40.1)
    assert POLICY.earliest(state, 50.0, tokens(600.0), 0).at == pytest.approx(150)


def test_a_refund_never_fills_more_than_there_is_room_for():
    """The budget was full again before the job ended: what it gives back is not there twice."""
    state = after(600.0, ended(tokens=0.0), at=1000.0)
    state = POLICY.started(state, 1000.0, tokens(600.0), 0)
    assert POLICY.earliest(state, 1000.0, tokens(600.0), 0).at == pytest.approx(1060.0)
    assert after(600.0, ended(tokens=0.0), at=1000.0) <= 1000.0


def test_a_cost_above_what_may_be_used_at_once_is_told_at_once_that_it_can_never_start():
    when = Budget(600, per=60, burst=100).earliest(None, 0.0, tokens(101.0), 0)
    assert when.never
    assert when.reason == "its cost of 101 tokens is above the 100 that may be used at once"
    assert POLICY.earliest(None, 0.0, tokens(600.0), 0).at <= 0


def test_a_job_that_does_not_say_what_it_costs_owes_what_it_reports():
    job = SampleJob()
    state = POLICY.started(POLICY.initial_state(), 0.0, job, 0)
    assert state is None
    state = POLICY.ended(state, 2.0, job, ended(tokens=900.0), 0)
    assert POLICY.earliest(state, 2.0, tokens(600.0), 0).at == pytest.approx(92.0)
    assert POLICY.earliest(state, 2.0, job, 0).at <= 2.0, "it costs nothing as far as it is known"


def test_a_default_is_reserved_for_jobs_that_do_not_say_what_they_cost():
    policy = Budget(600, per=60, default=300)
    assert starts(policy, [Work(cost={}) for _ in range(4)]) == pytest.approx([0, 0, 30, 60])
    assert starts(policy, [Work(cost={"tokens": 600}) for _ in range(2)]) == pytest.approx([0, 60])


def test_any_dimension_can_be_a_budget():
    policy = Budget(2, per=60, dimension="images")
    when = policy.earliest(policy.started(None, 0.0, SampleJob(cost={"images": 2}), 0), 0.0, SampleJob(), 0)
    assert when.at <= 0
    assert starts(policy, [Work(cost={"images": 1}) for _ in range(4)]) == pytest.approx([0, 0, 30, 60])


def test_requests_and_tokens_a_minute_together():
    """Small jobs are held by the requests, large ones by the tokens."""
    policy = TokenBucket(60, per=60) & Budget(1000, per=60, burst=500)
    small, large = {"requests": 1.0, "tokens": 10.0}, {"requests": 1.0, "tokens": 500.0}
    assert starts(policy, [Work(cost=small) for _ in range(3)]) == pytest.approx([0, 1, 2])
    assert starts(policy, [Work(cost=large) for _ in range(3)]) == pytest.approx([0, 30, 60])


@st.composite
def token_jobs(draw):
    """Jobs of random expected and real cost, some of them broken off; several often run at once."""
    jobs = []
    for _ in range(draw(st.integers(1, 40))):
        reserved = draw(st.sampled_from([0.0, 1.0, 37.5, 100.0, 500.0]))
        used = draw(st.sampled_from([None, 0.0, 0.25, 1.0, 1.5, 4.0]))
        jobs.append(
            Work(
                gap=draw(st.one_of(st.just(0.0), st.floats(0, 60))),
                duration=draw(st.floats(0, 100)),
                cost={"tokens": reserved},
                used=None if used is None else {"tokens": used * reserved},
                kind=draw(st.sampled_from(list(OutcomeKind))),
                late=draw(st.sampled_from([0.0, 0.0, 0.004, 3.0])),
            )
        )
    return jobs


@given(
    jobs=token_jobs(),
    rate=st.sampled_from([100, 500, 10_000]),
    per=st.sampled_from([1.0, 7.0, 60.0]),
    burst=st.sampled_from([500.0, 777.0]),
    epoch=EPOCHS,
    concurrency=st.integers(1, 10),
)
def test_it_is_a_bucket_that_never_holds_less_than_it_promised(jobs, rate, per, burst, epoch, concurrency):
    """Beside it an exact bucket, filled continuously: at each start it holds the cost."""
    policy = Budget(rate, per=per, burst=burst)
    ran = play(policy, jobs, epoch=epoch, concurrency=concurrency)
    changes = [(one.start_number, one.start, one.work.cost["tokens"], True) for one in ran]
    changes += [(one.end_number, one.end, -_refund(one.work), False) for one in ran]
    level, now, full, fill = Fraction(burst), Fraction(epoch), Fraction(burst), Fraction(rate) / Fraction(per)
    # A change of the state is rounded to the next float time; all of them together by this much.
    rounding = float(fill) * 4 * math.ulp(epoch + 1e4) * len(changes) + 1e-6
    for _, at, cost, is_start in sorted(changes):
        level, now = min(full, level + (Fraction(at) - now) * fill), Fraction(at)
        if is_start and cost:
            assert level >= cost - rounding
        level = min(full, level - Fraction(cost))


def _refund(work):
    return 0.0 if work.used is None else work.cost["tokens"] - work.used["tokens"]


@given(costs=st.lists(st.floats(1, 500), min_size=2, max_size=40), epoch=EPOCHS, window=st.floats(0, 100))
def test_a_closed_window_holds_what_fills_up_in_it_and_one_burst(costs, epoch, window):
    policy = Budget(600, per=60, burst=500)
    found = starts(policy, [Work(cost={"tokens": cost}, duration=1e9) for cost in costs], epoch=epoch)
    for first in found:
        inside = [cost for at, cost in zip(found, costs, strict=True) if first <= at <= first + window]
        assert sum(inside) <= window * 10 + 500 + 1e-3


@given(costs=st.lists(st.floats(1, 500), min_size=2, max_size=30), epoch=EPOCHS)
def test_jobs_that_wait_use_all_of_it(costs, epoch):
    """The last one starts when all of them fit, and not later."""
    found = starts(Budget(600, per=60, burst=500), [Work(cost={"tokens": cost}) for cost in costs], epoch=epoch)
    assert found[-1] - epoch == pytest.approx(max(0.0, (sum(costs) - 500) / 10), abs=1e-3)
