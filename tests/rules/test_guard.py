"""A bad plug-in slows the queue down; it never stops it, and it is reported."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import attrs
import pytest

from pacer import BoundedQueue, JobRecord, JobState, Outcome, OutcomeKind, QueueFullError, Retry, Rules, Snapshot
from pacer._forecast import forecast_end, forecast_start
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.protocols import Admission, Durations, When
from pacer.queues import Fifo

NAN, INF = math.nan, math.inf
RAISE = object()
NONSENSE = [RAISE, None, NAN, -1.0, -INF, INF, "soon", (), object(), 1e300]
SUCCESS, FAILURE = Outcome(OutcomeKind.SUCCEEDED), Outcome(OutcomeKind.FAILED, error="no")


def answer(value):
    if value is RAISE:
        msg = "a defect in a plug-in"
        raise ZeroDivisionError(msg)
    return value


@attrs.frozen
class BadPacing(Unpaced):
    question: str
    value: object

    def earliest(self, state, now, job, running):
        if self.question == "earliest":
            return answer(self.value)
        return When(answer(self.value)) if self.question == "at" else super().earliest(state, now, job, running)

    def started(self, state, now, job, running):
        return answer(self.value) if self.question == "started" else None

    def ended(self, state, now, job, outcome, running):
        return answer(self.value) if self.question == "ended" else None


@attrs.frozen
class BadBackoff(NoBackoff):
    value: object

    def delay(self, failure, random):
        return answer(self.value)


@attrs.frozen
class BadEstimator(MovingAverage):
    question: str = "predict"
    value: object = None

    def observed(self, state, job, duration, outcome):
        return answer(self.value) if self.question == "observed" else state

    def predict(self, state, job):
        match self.question:
            case "predict":
                return answer(self.value)
            case "mean":
                return Durations(answer(self.value), 1.0)
            case "sd":
                return Durations(60.0, answer(self.value))
            case "uncertainty":
                return Durations(60.0, 1.0, answer(self.value))
        return super().predict(state, job)


@attrs.frozen
class BadOrder(Fifo):
    value: object
    question: str = "key"

    def initial_state(self):
        return "kept"

    def place(self, state, job, expected):
        if self.question == "key":
            return answer(self.value), "changed"
        return answer(self.value) if self.question == "place" else (0.0, state)

    def started(self, state, job, sort_key):
        return answer(self.value) if self.question == "started" else state


@attrs.frozen
class BadQueue(BoundedQueue):
    question: str = "admit"
    value: object = None

    def admit(self, incoming, waiting, expected_wait):
        if self.question == "drop":
            return Admission(accepted=True, drop=answer(self.value))
        return answer(self.value)


def make_rules(**parts):
    usual = {"queue": BoundedQueue(3), "pacing": Unpaced(), "backoff": NoBackoff(), "estimator": MovingAverage()}
    return Rules(**{**usual, "random": Random(1), **parts})


def job(**fields):
    return JobRecord("job", "task", state=JobState.RUNNING, started_at=0.0, **fields)


def noted(rules, part, question):
    """The faults since the last time, each of them by this part."""
    faults = rules.guard.take_faults()
    assert {(fault.part, fault.question) for fault in faults} <= {(part, question)}
    assert all(fault.problem for fault in faults)
    return len(faults)


# -- pacing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("question", ["earliest", "at"])
def test_without_usable_start_times_jobs_run_one_by_one_with_a_second_between(question, value):
    rules = make_rules(pacing=BadPacing(question, value), concurrency=2)
    alone = rules.next_start(rules.initial(), 100.0, job(), 0)
    beside = rules.next_start(rules.initial(), 100.0, job(), 1)
    faults = noted(rules, "BadPacing", "earliest")
    state, _, _ = rules.settle(rules.initial(), 100.0, job(), SUCCESS, 0, None)
    if question == "at" and isinstance(value, float) and value == value:
        assert faults == 0, "any time but NaN is an answer; inf is never"
        assert alone.at == beside.at == value
        assert state.hold_until <= 100
    else:
        assert faults == 2
        assert alone.at <= 100
        assert (beside.at, beside.on_event) == (INF, True)
        assert (state.hold_until, state.hold_reason) == (101, "BadPacing gave no usable answer")
        state, _, _ = rules.settle(rules.initial(), 200.0, job(), SUCCESS, 0, None)
        assert state.hold_until <= 200, "once for each time it was noticed"


def test_a_whole_number_is_a_start_time_unless_it_is_beyond_all_times():
    rules = make_rules(pacing=BadPacing("at", 130))
    assert type(rules.next_start(rules.initial(), 100.0, job(), 0).at) is float
    assert noted(rules, "BadPacing", "earliest") == 0
    rules = make_rules(pacing=BadPacing("at", 10**400))
    assert rules.next_start(rules.initial(), 100.0, job(), 0).at <= 100
    assert noted(rules, "BadPacing", "earliest") == 1


def test_waiting_for_an_end_while_nothing_runs_would_be_for_ever():
    @attrs.frozen
    class WaitsForAnEnd(Unpaced):
        def earliest(self, state, now, job, running):
            return When(INF, on_event=True, reason="busy")

    rules = make_rules(pacing=WaitsForAnEnd(), concurrency=2)
    assert rules.next_start(rules.initial(), 100.0, job(), 0).at <= 100
    assert noted(rules, "WaitsForAnEnd", "earliest") == 1
    assert rules.next_start(rules.initial(), 100.0, job(), 1).at == INF
    assert noted(rules, "WaitsForAnEnd", "earliest") == 0


@pytest.mark.parametrize("question", ["started", "ended"])
def test_a_pacing_policy_that_raises_learns_nothing(question):
    rules = make_rules(pacing=BadPacing(question, RAISE))
    state = attrs.evolve(rules.initial(), pacing="kept")
    after = rules.start(state, 1.0, job(), 0)
    after, fate, _ = rules.settle(after, 2.0, job(), SUCCESS, 0, None)
    assert fate.state is JobState.SUCCEEDED
    assert rules.guard.take_faults()[0].problem == "ZeroDivisionError: a defect in a plug-in"
    if question == "ended":
        assert rules.start(state, 1.0, job(), 0).pacing is None


# -- backoff ---------------------------------------------------------------------------------------------------------

DELAYS = {None: (0.0, 0), INF: (7 * 86400.0, 1), 1e300: (7 * 86400.0, 1)}


@pytest.mark.parametrize("value", NONSENSE)
def test_a_delay_that_is_none_means_a_short_hold_and_too_long_a_week(value):
    rules = make_rules(backoff=BadBackoff(value))
    state, fate, outcome = rules.settle(rules.initial(), 100.0, job(), FAILURE, 0, None)
    expected, faults = DELAYS.get(value, (1.0, 1)) if isinstance(value, float | None) else (1.0, 1)
    assert (outcome.hold, noted(rules, "BadBackoff", "delay")) == (expected, faults)
    assert state.hold_until == 100 + expected
    assert fate.state is JobState.FAILED


@pytest.mark.parametrize(("value", "faults"), [(7 * 86400.0, 0), (7 * 86400.0 + 1, 1)])
def test_a_week_is_the_longest_delay(value, faults):
    rules = make_rules(backoff=BadBackoff(value))
    _, _, outcome = rules.settle(rules.initial(), 100.0, job(), FAILURE, 0, None)
    assert (outcome.hold, noted(rules, "BadBackoff", "delay")) == (7 * 86400, faults)


@pytest.mark.parametrize("value", NONSENSE)
def test_so_it_is_for_retries(value):
    rules = make_rules()
    _, fate, _ = rules.settle(rules.initial(), 100.0, job(), FAILURE, 0, Retry(5, BadBackoff(value)))
    noted(rules, "BadBackoff", "delay")
    if value is None:
        assert fate.state is JobState.FAILED
    else:
        assert fate.state is JobState.QUEUED
        assert 101 <= fate.ready_at <= 100 + 7 * 86400


@pytest.mark.parametrize("value", [NAN, -1.0, INF, -INF, 1e300, "a while"])
def test_so_it_is_for_what_a_handler_says_in_throttled(value):
    rules = make_rules()
    outcome = Outcome(OutcomeKind.THROTTLED, retry_after=value)
    state, fate, _ = rules.settle(rules.initial(), 100.0, job(), outcome, 0, None)
    assert noted(rules, "Throttled", "delay") == 1
    assert fate.state is JobState.QUEUED
    assert 101 <= state.hold_until <= 100 + 7 * 86400


# -- estimators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("question", ["predict", "mean", "sd", "uncertainty"])
def test_a_forecast_that_is_none_means_a_wide_guess(question, value):
    rules = make_rules(estimator=BadEstimator(question=question, value=value))
    found = rules.predict(rules.initial(), job())
    faults = noted(rules, "BadEstimator", "predict")
    assert faults == 1
    assert (found.mean, found.sd) == (60, 60)


@pytest.mark.parametrize(
    ("durations", "usable"),
    [
        (Durations(1e-9, 0.0, 0.0), True),
        (Durations(1e9, 1e9, 1e9), True),
        (Durations(1.1e9, 0.0), False),
        (Durations(60.0, 0.0, 1.1e9), False),
        (Durations(60.0, 1.0, quantiles=(0.0, 50.0, 50.0, 1e9)), True),
        (Durations(60.0, 1.0, quantiles=(50.0,)), True),
        (Durations(60.0, 1.0, quantiles=(50.0, 49.0, 51.0)), False),
        (Durations(60.0, 1.0, quantiles=(-1.0, 49.0)), False),
        (Durations(60.0, 1.0, quantiles=(50.0, 1.1e9)), False),
        (Durations(60.0, 1.0, quantiles=(NAN,)), False),
        (Durations(60.0, 1.0, quantiles=(50.0, NAN, 51.0)), False),
        (Durations(60.0, 1.0, quantiles=(50.0, NAN)), False),
        (Durations(60.0, 1.0, quantiles=("soon", "later")), False),
        (Durations(Fraction(60), 1.0), False),
        (Durations(60.0, 1.0, quantiles=7.0), False),
    ],
)
def test_durations_from_a_billionth_to_a_billion_seconds_are_taken_as_they_are(durations, usable):
    rules = make_rules(estimator=BadEstimator(question="predict", value=durations))
    assert rules.predict(rules.initial(), job()) == (durations if usable else Durations(60.0, 60.0))
    assert noted(rules, "BadEstimator", "predict") == (not usable)


@pytest.mark.parametrize(("given", "taken"), [([50.0, 70.0], (50.0, 70.0)), ([], ()), (None, ())])
def test_quantiles_may_come_as_a_list(given, taken):
    rules = make_rules(estimator=BadEstimator(question="predict", value=Durations(60.0, 10.0, 0.0, given)))
    assert rules.predict(rules.initial(), job()) == Durations(60.0, 10.0, 0.0, taken)
    newcomers = Snapshot(0.0, rules.initial(), 5, ())
    assert forecast_start(rules, newcomers, job(), 6).seconds == pytest.approx(300)
    assert noted(rules, "BadEstimator", "predict") == 0


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("question", ["predict", "mean", "sd", "uncertainty"])
@pytest.mark.parametrize("waited", [0.0, 30.0, 1e9])
def test_a_bad_estimator_does_not_keep_the_forecast_from_answering(question, value, waited):
    from pacer import Running

    rules = make_rules(estimator=BadEstimator(question=question, value=value))
    snapshot = Snapshot(waited, rules.initial(), 5, (Running(job(), 0.0),))
    for position in (1, 2, 6):
        for forecast in (forecast_start, forecast_end):
            found = forecast(rules, snapshot, job(), position)
            assert found is not None
            assert 0 <= found.low <= found.seconds <= found.high
            assert not math.isnan(found.high)


@pytest.mark.parametrize("count", [0, 100, 3000, 3200, 3300, 3500, 10_000])
def test_thousands_of_jobs_that_take_no_time_are_real(count):
    """Their average halves every three jobs, down to where its square is no float any more."""
    from pacer import Running

    rules = make_rules()
    state = rules.initial()
    for _ in range(count):
        state, _, _ = rules.settle(state, 0.0, job(), SUCCESS, 0, None)
    for waited in (0.0, 1e-300, 1.0):
        snapshot = Snapshot(waited, state, 5, (Running(job(), 0.0),))
        found = forecast_end(rules, snapshot, job(), 6)
        assert 0 <= found.low <= found.seconds <= found.high < 1e6
    assert noted(rules, "MovingAverage", "predict") == 0


def test_an_estimator_that_raises_learns_nothing():
    rules = make_rules(estimator=BadEstimator(question="observed", value=RAISE))
    state, fate, _ = rules.settle(rules.initial(), 5.0, job(), SUCCESS, 0, None)
    assert (fate.state, state.estimator) == (JobState.SUCCEEDED, rules.initial().estimator)
    assert noted(rules, "BadEstimator", "observed") == 1


# -- queues and orders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NONSENSE)
def test_a_sort_key_that_is_none_means_the_order_of_arrival(value):
    rules = make_rules(queue=BoundedQueue(3, order=BadOrder(value)))
    key, state = rules.place(rules.initial(), job())
    usable = isinstance(value, float) and math.isfinite(value)
    assert (key, state.order) == ((value, "changed") if usable else (0.0, "kept"))
    assert noted(rules, "BadOrder", "place") == (not usable)


@pytest.mark.parametrize("value", [*NONSENSE, (1.0,), (1.0, "changed", 2), {"key": 1.0}])
def test_a_place_that_is_no_key_and_state_means_the_order_of_arrival(value):
    rules = make_rules(queue=BoundedQueue(3, order=BadOrder(value, "place")))
    assert rules.place(rules.initial(), job()) == (0.0, rules.initial())
    assert noted(rules, "BadOrder", "place") == 1


def test_an_order_that_raises_when_a_job_starts_keeps_its_state():
    rules = make_rules(queue=BoundedQueue(3, order=BadOrder(RAISE, "started")))
    assert rules.start(rules.initial(), 1.0, job(), 0).order == "kept"
    assert noted(rules, "BadOrder", "started") == 1


@pytest.mark.parametrize("value", NONSENSE)
def test_an_admission_that_is_none_is_a_refusal(value):
    rules = make_rules(queue=BadQueue(3, question="admit", value=value))
    with pytest.raises(QueueFullError):
        rules.admit([job()], 1, lambda: Snapshot(0.0, rules.initial(), 1, ()))
    assert noted(rules, "BadQueue", "admit") == 1


@pytest.mark.parametrize("value", [*NONSENSE, 1.5, -1, True])
def test_a_number_of_jobs_to_drop_that_is_none_is_a_refusal(value):
    rules = make_rules(queue=BadQueue(3, question="drop", value=value))
    with pytest.raises(QueueFullError):
        rules.admit([job()], 1, lambda: Snapshot(0.0, rules.initial(), 1, ()))
    assert noted(rules, "BadQueue", "admit") == 1


def test_no_more_jobs_are_dropped_than_wait():
    rules = make_rules(queue=BadQueue(3, question="drop", value=99))
    assert rules.admit([job()], 2, lambda: Snapshot(0.0, rules.initial(), 2, ())) == 2
    assert noted(rules, "BadQueue", "admit") == 0


# -- the report ------------------------------------------------------------------------------------------------------


def test_faults_are_handed_out_once_and_only_the_latest_are_kept():
    rules = make_rules(queue=BoundedQueue(3, order=BadOrder(NAN)))
    for _ in range(1000):
        rules.place(rules.initial(), job())
    assert noted(rules, "BadOrder", "place") == 100
    assert noted(rules, "BadOrder", "place") == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_swallowed(error):
    class Ends(Fifo):
        def place(self, state, job, expected):
            raise error

    rules = make_rules(queue=BoundedQueue(3, order=Ends()))
    with pytest.raises(error):
        rules.place(rules.initial(), job())
