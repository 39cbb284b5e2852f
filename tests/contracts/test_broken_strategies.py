"""The contract suites catch what they are for: each of these parts breaks one promise, and the message names it."""

from __future__ import annotations

import math
import random
import time

import pytest

from pacer import BoundedQueue
from pacer.backoff import ConstantBackoff, NoBackoff
from pacer.codecs import InProcessCodec, JsonCodec
from pacer.estimators import MovingAverage
from pacer.protocols import Admission, Durations
from pacer.queues import Fifo
from pacer.testing import (
    check_backoff_policy,
    check_codec,
    check_duration_estimator,
    check_job_order,
    check_job_queue,
    check_observer,
)


def caught(check, part, message):
    with pytest.raises(AssertionError, match=message):
        check(part)


# -- backoff ---------------------------------------------------------------------------------------------------------


class Overflows(NoBackoff):
    def delay(self, failure, random):
        return min(15 * 2.0**failure.count, 300)


class Endless(NoBackoff):
    def delay(self, failure, random):
        return float(failure.count)


class Negative(NoBackoff):
    def delay(self, failure, random):
        return 5.0 - (failure.retry_after or 0)


class NotANumber(NoBackoff):
    def delay(self, failure, random):
        return math.nan if failure.retry_after == 0 else 1.0


class GlobalJitter(NoBackoff):
    def delay(self, failure, rng):
        return random.uniform(0, 10)


class CountsByItself(NoBackoff):
    count = [0]  # noqa: RUF012 - the defect

    def delay(self, failure, random):
        self.count[0] += 1
        return float(self.count[0] % 7)


class UnhashableBackoff(ConstantBackoff):
    __hash__ = None


class JitterAboveZero(NoBackoff):
    """Looks well for most random numbers."""

    def delay(self, failure, random):
        return random.gauss(10, 5)


class GivesUpWithFalse(NoBackoff):
    def delay(self, failure, random):
        return failure.count < 5 and 1.0


class ForgetsTheFirst(NoBackoff):
    def delay(self, failure, random):
        return 5.0 / failure.elapsed


class TriplesWithoutEnd(NoBackoff):
    """A random walk whose maximum was forgotten."""

    def delay(self, failure, random):
        return random.uniform(1, 3 * max(1, failure.previous))


class BudgetInArrears(NoBackoff):
    def delay(self, failure, random):
        return 10.0 + failure.successes - failure.retries


class ClosesForGood(NoBackoff):
    def most_running(self, failures):
        return 0 if failures >= 1000 else None


class HalfAJob(NoBackoff):
    def most_running(self, failures):
        return 8 / failures


class MoodyLimit(NoBackoff):
    def most_running(self, failures):
        return random.randint(1, 100)


class EvenSlower(NoBackoff):
    def most_running(self, failures):
        return -failures


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Endless(), "is 0 .. 604800 s or None"),
        (Negative(), "is 0 .. 604800 s or None"),
        (NotANumber(), "is 0 .. 604800 s or None"),
        (GlobalJitter(), "same failure and the same random numbers"),
        (UnhashableBackoff(1), "hashable"),
        (JitterAboveZero(), "is 0 .. 604800 s or None"),
        (GivesUpWithFalse(), "is 0 .. 604800 s or None; got False"),
        (TriplesWithoutEnd(), "is 0 .. 604800 s or None"),
        (BudgetInArrears(), "is 0 .. 604800 s or None"),
        (ClosesForGood(), "most_running is a whole number, 1 or more, or None; got 0 for 1023 failures"),
        (HalfAJob(), "most_running is a whole number, 1 or more, or None; got 8.0"),
        (EvenSlower(), "most_running is a whole number, 1 or more, or None; got -1"),
        (MoodyLimit(), "most_running: the same count of failures gives the same answer"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_backoff_policy_is_caught(policy, message):
    caught(check_backoff_policy, policy, message)


def test_a_backoff_policy_with_a_memory_of_its_own_is_caught():
    caught(check_backoff_policy, CountsByItself(), "same failure and the same random numbers")


def test_a_backoff_policy_that_overflows_is_caught():
    with pytest.raises(OverflowError):
        check_backoff_policy(Overflows())


def test_a_backoff_policy_that_divides_by_the_time_since_the_first_failure_is_caught():
    with pytest.raises(ZeroDivisionError):
        check_backoff_policy(ForgetsTheFirst())


# -- estimators ------------------------------------------------------------------------------------------------------


class DatesInState(MovingAverage):
    def initial_state(self):
        return {"mean": 60.0, "seen": set()}


class NegativeSpread(MovingAverage):
    def predict(self, state, job):
        return Durations(state["mean"], -1.0)


class NothingBeforeData(MovingAverage):
    def predict(self, state, job):
        return Durations(math.nan, 0.0) if state["record"]["seen"] == 0 else super().predict(state, job)


class FallingQuantiles(MovingAverage):
    def predict(self, state, job):
        return Durations(state["mean"], 1.0, quantiles=(3.0, 2.0, 4.0))


class ListOfQuantiles(MovingAverage):
    def predict(self, state, job):
        return Durations(state["mean"], 1.0, quantiles=[1.0, 2.0])


class NumberOnly(MovingAverage):
    def predict(self, state, job):
        return state["mean"]


class MutatesItsAverage(MovingAverage):
    def observed(self, state, job, duration, outcome):
        state["mean"] = duration
        return state


class AveragesOverTime(MovingAverage):
    def predict(self, state, job):
        return Durations(state["mean"] + time.perf_counter(), 0.0)


class ShrinksBelowZero(MovingAverage):
    """Extrapolates a trend."""

    def observed(self, state, job, duration, outcome):
        return {**state, "mean": 2 * duration - state["mean"]}


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (DatesInState(), "plain data"),
        (NegativeSpread(), "finite, 0 or more"),
        (NothingBeforeData(), "finite, 0 or more|same answer"),
        (FallingQuantiles(), "rising, finite numbers"),
        (ListOfQuantiles(), "is a tuple of rising"),
        (NumberOnly(), "answers with Durations"),
        (MutatesItsAverage(), "does not change the state"),
        (AveragesOverTime(), "same question has the same answer"),
        (ShrinksBelowZero(), "finite, 0 or more"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_estimator_is_caught(estimator, message):
    caught(check_duration_estimator, estimator, message)


# -- queues and orders -----------------------------------------------------------------------------------------------


class NaNOrder(Fifo):
    def place(self, state, job, expected):
        return math.nan if job.key else 0.0, None


class TupleOrder(Fifo):
    def place(self, state, job, expected):
        return (job.priority, job.created_at), None


class Lottery(Fifo):
    def place(self, state, job, expected):
        return random.random(), None


class OverflowingOrder(Fifo):
    def place(self, state, job, expected):
        return -math.inf if job.priority > 1000 else 0.0, None


class KeyWithoutState(Fifo):
    def place(self, state, job, expected):
        return 0.0


class SetOfKeys(Fifo):
    def place(self, state, job, expected):
        return 0.0, {job.key}


class NumbersByKey(Fifo):
    """None is no key of a JSON object."""

    def initial_state(self):
        return {}

    def place(self, state, job, expected):
        return float(state.get(job.key, 0)), {**state, job.key: state.get(job.key, 0) + 1}

    def started(self, state, job, sort_key):
        return state


class RemembersEverybody(Fifo):
    def initial_state(self):
        return []

    def place(self, state, job, expected):
        return float(len(state)), [*state, job.id]

    def started(self, state, job, sort_key):
        return state


class CountsInPlace(Fifo):
    def initial_state(self):
        return [0]

    def place(self, state, job, expected):
        state[0] += 1
        return float(state[0]), state


class ForgetsInPlace(Fifo):
    def initial_state(self):
        return []

    def place(self, state, job, expected):
        return float(len(state)), [*state, job.id]

    def started(self, state, job, sort_key):
        state.remove(job.id)
        return state


class CountsOutsideItsState(Fifo):
    places = [0]  # noqa: RUF012 - the defect

    def place(self, state, job, expected):
        self.places[0] += 1
        return -float(self.places[0]), None


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (NaNOrder(), "finite number"),
        (TupleOrder(), "finite number"),
        (OverflowingOrder(), "finite number"),
        (Lottery(), "same question has the same answer"),
        (KeyWithoutState(), "answers with a sort key and a state"),
        (SetOfKeys(), "a state is plain data"),
        (NumbersByKey(), "a state survives JSON"),
        (RemembersEverybody(), "the state stays small"),
        (CountsInPlace(), "place does not change the state it is given"),
        (ForgetsInPlace(), "started does not change the state it is given"),
        (CountsOutsideItsState(), "same question has the same answer"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_order_is_caught(order, message):
    caught(check_job_order, order, message)


class Bottomless(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=True)


class OffByOne(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=waiting + incoming <= self.capacity + 1)


class DropsTooMany(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=True, drop=waiting + 1)


class SaysTrue(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return True


class Closed(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=False)


class Moody(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=waiting + incoming <= self.capacity and (waiting == 0 or random.random() < 0.5))


class NeverAgain(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        room = waiting + incoming <= self.capacity
        return Admission(accepted=room, retry_after=math.inf)


class AnHourAgo(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        wait = expected_wait()
        room = waiting + incoming <= self.capacity and wait is not None and wait < 10
        return Admission(accepted=room, retry_after=10 - (wait or 0))


class DropsAndRefuses(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=waiting + incoming <= self.capacity, drop=min(1, waiting))


class SaysWhyInNumbers(BoundedQueue):
    def admit(self, incoming, waiting, expected_wait):
        return Admission(accepted=waiting + incoming <= self.capacity, reason=429)


class NoCapacity(BoundedQueue):
    capacity = property(lambda self: 0)


class NegativePatience(BoundedQueue):
    wait_timeout = property(lambda self: -1.0)


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        (Bottomless(3), "at most 3 jobs wait"),
        (OffByOne(3), "at most 3 jobs wait"),
        (DropsTooMany(3), "drops only jobs that wait"),
        (SaysTrue(3), "answers with an Admission"),
        (Closed(3), "empty queue takes a job"),
        (Moody(30), "same question has the same answer"),
        (NeverAgain(3), "retry_after is None or a number of seconds, 0 or more"),
        (AnHourAgo(30), "retry_after is None or a number of seconds, 0 or more"),
        (DropsAndRefuses(3), "a refusal drops nobody"),
        (SaysWhyInNumbers(3), "the reason is text"),
        (NegativePatience(3), "wait_timeout is None or 0 or more"),
        (BoundedQueue(3, order=NaNOrder()), "finite number"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_queue_is_caught(queue, message):
    caught(check_job_queue, queue, message)


# -- codecs and observers --------------------------------------------------------------------------------------------


class LosesKeywords(InProcessCodec):
    def decode_call(self, payload):
        return payload[0], {}


class LosesTypes(JsonCodec):
    """As json.dumps does when left to itself: tuples become lists, int keys str."""

    def encode_call(self, task, args, kwargs):
        import json

        return json.dumps([list(args), dict(kwargs)], default=repr)


class WrongError(JsonCodec):
    def encode_call(self, task, args, kwargs):
        try:
            return super().encode_call(task, args, kwargs)
        except TypeError as error:
            raise type(error)("cannot encode") from error


class EatsArguments(InProcessCodec):
    def encode_call(self, task, args, kwargs):
        payload = list(args), dict(kwargs)
        args.clear()
        return payload


class LosesResults(InProcessCodec):
    def decode_result(self, payload):
        return str(payload)


class ChokesOnNothing(JsonCodec):
    def decode_result(self, payload):
        assert payload is not None, "there has to be a result"
        return super().decode_result(payload)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (LosesKeywords(), "comes back by name"),
        (LosesTypes(), "comes back as it was or is refused"),
        (WrongError(), "the error names the argument"),
        (EatsArguments(), "encoding changes nothing"),
        (LosesResults(), "the result None comes back|comes back as it was"),
        (ChokesOnNothing(), "there has to be a result"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_codec_is_caught(codec, message):
    caught(check_codec, codec, message)


def test_an_observer_that_raises_for_one_event_is_caught():
    caught(check_observer, lambda event: event.job_id, "SchedulerStarted made it raise AttributeError")


def test_an_async_observer_is_caught():
    async def observer(event):
        raise NotImplementedError

    caught(check_observer, observer, "nobody awaits")
