"""The courses that a forecast takes the future to go: whatever an estimator may say, they are times."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pacer._draws import FEW_JOBS, courses
from pacer._guard import LONGEST_DURATION, Guard
from pacer.protocols import Durations

means = st.floats(1e-9, LONGEST_DURATION)
others = st.floats(0, LONGEST_DURATION)
quantiles = st.lists(others, max_size=6).map(lambda values: tuple(sorted(values)))
durations = st.builds(Durations, means, others, others, quantiles)


@given(st.lists(st.tuples(durations, others), max_size=3), st.lists(durations, max_size=4), st.integers(1, 40))
@example(
    [], [Durations(1.0, 0.0, 0.0, (0.0,)), Durations(2e8, 1.0, 0.0, (0.0,)), Durations(1.0, 0.0, 0.0, (1e-300,))], 1
)
def test_all_durations_are_finite_and_none_is_negative(running, kinds, each):
    guard = Guard()
    assert all(guard.durations(None, lambda one=one: one) is one for one, _ in running), "as usable ones"
    for course in courses(running, kinds * each):
        assert all(0 <= seconds < math.inf for seconds in (*course.rests, *course.durations))


@given(st.lists(durations, min_size=1, max_size=2), st.integers(1, FEW_JOBS // 2))
def test_their_total_is_the_expected_one_on_the_average(kinds, each):
    ahead = kinds * each
    found = math.fsum(course.weight * math.fsum(course.durations) for course in courses([], ahead))
    assert found == pytest.approx(math.fsum(one.mean for one in ahead), rel=1e-3)


@pytest.mark.parametrize("sd", [1e-300, 1e-17, 1e-14, 1e-10, 1e-7])
@pytest.mark.parametrize("count", [1, FEW_JOBS, FEW_JOBS + 1, 999])
def test_a_deviation_that_comes_of_rounding_is_none(sd, count):
    """As a moving average of durations that are all the same may have one."""
    for course in courses([], [Durations(60.0, 60.0 * sd)] * count):
        assert math.fsum(course.durations) == pytest.approx(60 * count)
