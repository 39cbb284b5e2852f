"""The parts of a queue as text: equal for equal ones, different for others, readable, and the same in every process."""

from __future__ import annotations

import enum
import functools
import sqlite3

import attrs
import pytest
from sqlite_files import job, make_rules

from pacer import Outcome, OutcomeKind, PartsDifferError
from pacer.backoff import LinearBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, MinInterval, PerKey
from pacer.queues import Fifo, Lifo
from pacer.queues._bounded import BoundedQueue
from pacer.stores._parts import Tenure, differences, terms_of
from pacer.stores.sqlite import SqliteStore, _Opening

SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)


def text_of(**parts):
    return Tenure("q", make_rules(**parts)).text


class Bare:
    """A pacing policy of somebody's own that says nothing of itself."""

    def __init__(self, seconds=1):
        self.seconds = seconds

    def initial_state(self):
        return None


def test_equal_parts_have_one_text():
    assert text_of(pacing=FixedPause(10) & MinInterval(1.0)) == text_of(pacing=FixedPause(10.0) & MinInterval(1))
    assert text_of(pacing=PerKey(FixedPause(1))) == text_of(pacing=PerKey(FixedPause(1)))
    assert Tenure("a", make_rules()).text is Tenure("b", make_rules()).text, "and one object"


@pytest.mark.parametrize(
    "parts",
    [
        {"pacing": FixedPause(11)},
        {"pacing": FixedPause(10) & MinInterval(1)},
        {"pacing": PerKey(FixedPause(10))},
        {"queue": BoundedQueue(10)},
        {"queue": BoundedQueue(100_000, order=Lifo())},
        {"queue": BoundedQueue(100_000, when_full="drop-oldest")},
        {"backoff": LinearBackoff(1)},
        {"estimator": MovingAverage(initial=61)},
        {"concurrency": 999},
        {"max_throttles": 49},
        {"max_recoveries": 2},
        {"on_crash": "stale"},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_any_other_part_is_another_text_and_named(parts):
    usual = {"pacing": FixedPause(10)}
    assert text_of(**{**usual, **parts}) != text_of(**usual)
    found = differences(text_of(**usual), make_rules(**{**usual, **parts}))
    assert [*found] == [*parts]


def test_what_is_not_chosen_is_not_named():
    """So that a version with one more setting does not look like another choice."""
    assert terms_of(make_rules())["estimator"] == "MovingAverage()"
    assert terms_of(make_rules(backoff=LinearBackoff(2)))["backoff"] == "LinearBackoff(initial=2)"
    assert terms_of(make_rules(queue=BoundedQueue(5, order=Fifo())))["queue"] == "BoundedQueue(capacity=5)"


def test_an_address_is_no_difference():
    assert text_of(pacing=Bare(1)) == text_of(pacing=Bare(2))
    assert terms_of(make_rules(pacing=Bare()))["pacing"] == "Bare"


@attrs.frozen
class Chooses:
    by: object
    secret: str = attrs.field(default="", repr=False)


class Colour(enum.Enum):
    RED = 1


def test_functions_enumerations_and_collections_read_alike_in_every_process():
    def text(value):
        return terms_of(make_rules(backoff=Chooses(value, secret="hunter2")))["backoff"]

    assert "hunter2" not in text(1)
    assert text(text_of) == "Chooses(by=text_of)"
    assert text(functools.partial(text_of)) == "Chooses(by=partial)"
    assert text(Bare().initial_state) == "Chooses(by=Bare.initial_state)"
    assert text(Colour.RED) == "Chooses(by=Colour.RED)"
    assert text({"b": 2.0, "a": (1, None)}) == "Chooses(by={'a': (1, None), 'b': 2})"
    assert text(frozenset({"b", "a"})) == "Chooses(by={'a', 'b'})"


def test_a_long_part_is_told_by_its_digest():
    long, other = text_of(backoff=Chooses("x" * 9999)), text_of(backoff=Chooses("x" * 9998 + "y"))
    assert long != other
    assert len(long) < 3000


class Mute(Bare):
    def __repr__(self):
        raise RuntimeError("no")


def test_a_part_that_cannot_say_what_it_is_is_its_class():
    assert terms_of(make_rules(pacing=Mute()))["pacing"] == "Mute"


def test_classes_that_read_alike_are_different_if_they_learn():
    elsewhere = type("Bare", (Bare,), {"__module__": "elsewhere"})
    found = differences(text_of(pacing=elsewhere()), make_rules(pacing=Bare()))
    assert found == {"pacing": ("elsewhere.Bare", f"{__name__}.Bare")}


@pytest.mark.parametrize("stored", ["", "[]", "nonsense", '{"terms": 1}', "{}"])
def test_a_text_that_nobody_can_read_is_no_difference(stored):
    assert differences(stored, make_rules()) == {}


def test_the_error_says_what_differs_and_what_to_do():
    stored = text_of(pacing=FixedPause(10))
    with pytest.raises(PartsDifferError) as caught:
        Tenure("mail", make_rules(pacing=FixedPause(5), concurrency=4)).check(stored, 12.3, takeover=False)
    message = str(caught.value)
    assert "'mail'" in message
    assert "pacing is FixedPause(seconds=10) there, FixedPause(seconds=5) here" in message
    assert "concurrency is 1000 there, 4 here" in message
    assert "gone in 13 s" in message
    assert "takeover=True" in message


# -- in a file -------------------------------------------------------------------------------------------------------

IN_A_FILE = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


def in_a_file(test):
    for mark in IN_A_FILE:
        test = mark(test)
    return test


@in_a_file
async def test_a_file_of_an_earlier_version_has_classes_only_and_these_are_compared(file):
    async with file.open("old"):
        with sqlite3.connect(file.path) as connection:
            connection.execute(
                "UPDATE pacer_queues SET parts = json_remove(parts, '$.terms'), state = json_set(state, '$.failed', 3)"
            )
        async with file.open("another number", rules=make_rules(concurrency=7)) as ledger:
            assert (await ledger.snapshot()).queue.failed == 3
    async with file.open("old"):
        with sqlite3.connect(file.path) as connection:
            connection.execute("UPDATE pacer_queues SET parts = json_remove(parts, '$.terms')")
        with pytest.raises(PartsDifferError, match=r"pacing is pacer\.pacing\S+Unpaced there, \S+FixedPause here"):
            async with file.open("another class", rules=make_rules(pacing=FixedPause(1))):
                pass


@in_a_file
async def test_a_worker_counts_from_the_moment_at_which_its_parts_are_in_the_file(file):
    """Two that open a queue at once cannot both be right."""
    opening = _Opening(SqliteStore(file.path, clock=file.clock), Tenure("default", make_rules()), "first", False)
    connection = sqlite3.connect(file.path, isolation_level=None)
    opening.set_up(connection)  # and it has not said hello yet
    with pytest.raises(PartsDifferError):
        async with file.open("second", rules=make_rules(concurrency=7)):
            pass
    connection.close()


@attrs.frozen
class Lanes:
    """An estimator whose state has other keys with other settings."""

    names: tuple[str, ...]

    def initial_state(self):
        return dict.fromkeys(self.names, 0)

    def observed(self, state, job, duration, outcome):
        return {name: state[name] + 1 for name in self.names}

    def predict(self, state, job):
        return MovingAverage().predict(MovingAverage().initial_state(), job)


@in_a_file
async def test_who_was_taken_over_leaves_a_state_as_it_is_that_has_other_keys_than_its_own(file):
    async with file.open("before", rules=make_rules(estimator=Lanes(("a",)))) as before:
        await before.add([job("j1"), job("j2")])
        held, _ = (await before.claim(frozenset({"work"}), 2)).jobs
        async with file.open("after", rules=make_rules(estimator=Lanes(("b",))), takeover=True) as after:
            await before.settle(held, SUCCEEDED, None)
            queue = (await after.snapshot()).queue
            assert (queue.succeeded, queue.estimator) == (1, {"b": 0})


@in_a_file
async def test_who_was_taken_over_is_in_charge_again_when_its_parts_are(file):
    async with file.open("before") as before:
        await before.add([job("j1")])
        async with file.open("after", rules=make_rules(concurrency=7), takeover=True):
            assert not await before.recover(frozenset({"work"}))
        async with file.open("again"):
            assert len((await before.claim(frozenset({"work"}), 1)).jobs) == 1
