"""Parts are read from text as in code, and nothing but parts is made of it."""

from __future__ import annotations

import contextlib
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, Retry, backoff, estimators, pacing, queues, simulation
from pacer._compare._errors import ConfigError
from pacer._compare._parts_text import KINDS
from pacer._parts_text import DEEPEST, LONGEST, read_part
from pacer.backoff import ExponentialBackoff, FullJitter
from pacer.pacing import AllOf, Budget, FixedPause, MinInterval, OpeningHours, PerKey, TokenBucket
from pacer.queues import Priority
from pacer.simulation import ChangingLimit, Constant, CostLatency, FixedWindowLimit, Outage, Poisson, Trace, Upstream

HERE = Path("folder")


def read(text, kind="pacing"):
    return read_part(text, f"the {kind}", KINDS[kind], base=HERE)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("pacing", "FixedPause(1)", FixedPause(1)),
        ("pacing", "TokenBucket(600, per=60, burst=5)", TokenBucket(600, per=60, burst=5)),
        ("pacing", "PerKey(TokenBucket(5))", PerKey(TokenBucket(5))),
        (
            "pacing",
            "TokenBucket(600, per=60) & Budget(100_000, per=60)",
            TokenBucket(600, per=60) & Budget(100_000, per=60),
        ),
        (
            "pacing",
            "TokenBucket(1) & FixedPause(1) & MinInterval(2)",
            AllOf(TokenBucket(1), FixedPause(1), MinInterval(2)),
        ),
        ("pacing", "AllOf(TokenBucket(1), FixedPause(1))", AllOf(TokenBucket(1), FixedPause(1))),
        (
            "pacing",
            "OpeningHours('18:00', '24:00') | OpeningHours('00:00', '24:00', days='sat,sun')",
            OpeningHours("18:00", "24:00") | OpeningHours("00:00", "24:00", days="sat,sun"),
        ),
        ("pacing", "\n  TokenBucket(\n    5,  # of them\n    per=60,\n  )\n", TokenBucket(5, per=60)),
        ("backoff", "FullJitter(ExponentialBackoff(1, maximum=60))", FullJitter(ExponentialBackoff(1, maximum=60))),
        ("queue", "BoundedQueue(9, order=Priority(ageing=60))", BoundedQueue(9, order=Priority(ageing=60))),
        ("retry", "Retry(3, ExponentialBackoff(1))", Retry(3, ExponentialBackoff(1))),
        ("lead", "Constant(0.5)", Constant(0.5)),
        ("workload", "Poisson(2, lasting=60)", Poisson(2, lasting=60)),
        (
            "upstream",
            "Upstream([FixedWindowLimit(60)], CostLatency(0.5, {'tokens': 0.01}), (Outage(5, 9),), retry_after=False)",
            Upstream([FixedWindowLimit(60)], CostLatency(0.5, {"tokens": 0.01}), (Outage(5, 9),), retry_after=False),
        ),
        (
            "upstream",
            "Upstream(ChangingLimit([(0, FixedWindowLimit(60)), (60.0, FixedWindowLimit(30))]))",
            Upstream(ChangingLimit([(0, FixedWindowLimit(60)), (60.0, FixedWindowLimit(30))])),
        ),
    ],
)
def test_text_becomes_the_part_that_the_same_code_makes(kind, text, expected):
    assert read(text, kind) == expected


@pytest.mark.parametrize("text", ["Trace('a.csv', 'at')", "Trace(path='a.csv', at='at')"])
def test_relative_paths_start_where_the_file_lies(text):
    assert read(text, "workload") == Trace(HERE / "a.csv", "at")


def test_absolute_paths_stay_as_they_are(tmp_path):
    assert read(f"Trace({str(tmp_path / 'a.csv')!r}, 'at')", "workload").path == tmp_path / "a.csv"


@pytest.mark.parametrize("kind", KINDS)
def test_every_exported_part_can_be_named_in_the_place_it_is_for(kind):
    outer = {
        "pacing": set(pacing.__all__),
        "backoff": set(backoff.__all__),
        "estimator": set(estimators.__all__),
        "queue": {"BoundedQueue"},
        "retry": {"Retry"},
        "lead": {"Constant", "Exponential", "FoldedNormal", "LogNormal", "Uniform"},
        "workload": {"Backlog", "Bursts", "ClosedLoop", "DayCurve", "History", "Poisson", "Trace"},
        "upstream": {"Upstream"},
    }
    assert set(KINDS[kind].outer) >= outer[kind]
    assert set(KINDS["queue"].inner) == set(queues.__all__)
    assert not {"simulate", "Rules", "Result", "Stretch", "Limit", "Workload"} & set(KINDS[kind].known)
    assert all(inspect.isclass(part) for part in KINDS[kind].known.values())


def test_all_of_a_simulation_that_can_be_made_can_be_named():
    named = set(KINDS["workload"].known) | set(KINDS["upstream"].known)
    recipes = {
        name
        for name in simulation.__all__
        if inspect.isclass(part := getattr(simulation, name))
        and not getattr(part, "_is_protocol", False)
        and not issubclass(part, Exception)
    }
    results = {"Arrival", "Client", "Happening", "Promises", "Result", "Spread", "Stretch", "Timeline", "Totals"}
    assert recipes - results == named


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("TokenBuket(1)", "there is no TokenBuket here; did you mean TokenBucket? choices: AdaptiveRate, AllOf, "),
        ("tokenbucket(1)", "did you mean TokenBucket?"),
        ("FullJitter(1)", "there is no FullJitter here; choices: AdaptiveRate, "),
        ("TokenBucket(rat=1)", "TokenBucket has no setting rat; did you mean rate? choices: rate, per, burst"),
        ("TokenBucket()", "TokenBucket: missing a required argument: 'rate'; its settings: rate, per, burst"),
        ("TokenBucket(1, 2, 3, 4)", "TokenBucket: too many positional arguments; its settings: rate, per, burst"),
        ("TokenBucket(-1)", "TokenBucket: rate must be a finite number above 0, got -1"),
        ("TokenBucket(1e999)", "TokenBucket: rate must be a finite number above 0, got inf"),
        ("TokenBucket('a')", "TokenBucket: must be real number, not str; its settings: rate, per, burst"),
        ("TokenBucket(1, rate=2)", "TokenBucket: multiple values for argument 'rate'; its settings: rate, per, burst"),
        ("TokenBucket(1, per=1, per=2)", "TokenBucket: per is given twice"),
        ("AllOf(policies=[1])", "AllOf has no setting policies; it has none by name"),
        ("AllOf()", "AllOf: policies must be at least one"),
        ("PerKey(TokenBucket(0))", "TokenBucket: rate must be a finite number above 0, got 0"),
        ("TokenBucket", "TokenBucket needs its settings in brackets, as in TokenBucket(...)"),
        ("TokenBucket(1), FixedPause(1)", "is not a pacing policy; choices: AdaptiveRate, "),
        ("7", "7 is not a pacing policy; choices: AdaptiveRate, "),
        ("1 & 2", "& goes between parts, not between 1 and 2"),
        ("TokenBucket(1) & 2", "& goes between parts"),
        ("TokenBucket(1) | TokenBucket(2)", "TokenBucket and TokenBucket cannot be combined by |"),
        ("TokenBucket(1) + TokenBucket(2)", "'TokenBucket(1) + TokenBucket(2)' cannot stand here"),
        ("TokenBucket(1) and TokenBucket(2)", "cannot stand here: only parts with their settings, numbers and text"),
        ("TokenBucket(", "cannot be read ("),
        ("TokenBucket(1)) & (TokenBucket(2)", "cannot be read (unmatched ')')"),
        ("", "is empty; it must name a pacing policy; choices: AdaptiveRate, "),
        (" \n", "is empty"),
        (3, "must be text that names a pacing policy as in code, got 3; choices: AdaptiveRate, "),
        (None, "must be text that names"),
        (["TokenBucket(1)"], "must be text that names"),
    ],
)
def test_what_is_wrong_is_said_with_the_key_and_the_choices(text, problem):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith("the pacing: ")
    assert problem in str(caught.value)


def test_a_part_of_another_place_is_not_taken():
    with pytest.raises(ConfigError, match=r"JobMix\(\.\.\.\) is not a workload; choices: Backlog, "):
        read("JobMix()", "workload")
    with pytest.raises(ConfigError, match=r"ChangingLimit: 'int' object is not iterable; its settings: steps"):
        read("Upstream(ChangingLimit(5))", "upstream")


HOSTILE = [
    "__import__('os').system('true')",
    "eval('1')",
    "open('secret')",
    "TokenBucket.__init__.__globals__",
    "TokenBucket(1).__class__.__mro__",
    "TokenBucket(open('secret'))",
    "TokenBucket(rate=(lambda: 1)())",
    "TokenBucket(10 ** 10 ** 10)",
    "TokenBucket('a' * 10**10)",
    "TokenBucket(*[1])",
    "TokenBucket(**{'rate': 1})",
    "TokenBucket(rate := 1)",
    "TokenBucket(f'{1}')",
    "TokenBucket(b'1')",
    "TokenBucket(1j)",
    "TokenBucket(...)",
    "TokenBucket({1})",
    "TokenBucket([x for x in [1]][0])",
    "TokenBucket({**{}})",
    "TokenBucket({TokenBucket(1): 1})",
    "TokenBucket(not 1)",
    "TokenBucket(~1)",
    "TokenBucket(1 if 1 else 2)",
    "TokenBucket(1 < 2)",
    "(TokenBucket)(1)(2)",
    "(yield)",
    "await x",
    "x = 1",
    "import os",
    "1; 2",
    "# nothing",
    "TokenBucket(1)\x00",
    "\ud800",
    "(" * 300 + "1",
    "-" * (LONGEST - 1) + "1",
    "x" + ".a" * (LONGEST // 2 - 1),
    "a&" * (LONGEST // 2 - 1) + "a",
    "PerKey(" * (DEEPEST + 2) + "Unpaced()" + ")" * (DEEPEST + 2),
    "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2),
    "1" * LONGEST,
    "TokenBucket(1)" + " " * LONGEST,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_whatever_is_no_part_is_refused_and_never_run(text, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("it was evaluated"))
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert len(str(caught.value)) < 1000


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_by_name(text):
    with contextlib.suppress(ConfigError):
        assert hasattr(read(text), "earliest")


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.integers(1, 1000))
def test_what_is_printed_is_read_again(rate, per, burst):
    part = PerKey(TokenBucket(rate, per=per, burst=burst)) & FixedPause(per)
    assert read(repr(part)) == part
