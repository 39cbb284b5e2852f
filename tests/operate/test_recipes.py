"""What a store says of the parts of a queue is read back, for every part of pacer's own."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from pacer import BoundedQueue, MaxWait, backoff, estimators, pacing, queues
from pacer._operate._recipe import Recipe
from pacer._rules import Rules
from pacer.backoff import CircuitBreaker, ConstantBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import AllOf, FixedPause, OpeningHours, ServerGuided, TokenBucket, Unpaced
from pacer.stores._parts import terms_of

FAMILIES = {"pacing": pacing, "backoff": backoff, "estimator": estimators, "order": queues}
NUMBERS = st.one_of(st.integers(2, 40), st.floats(1.25, 40))
SHARES = st.floats(0.0625, 0.9375)
# Settings whose values are bounded in a way of their own.
SPECIAL = {
    "weight": SHARES,
    "share": SHARES,
    "coverage": SHARES,
    "step": SHARES,
    "accuracy": st.floats(0.01, 0.5),
    "headroom": SHARES,
    "cold_factor": st.floats(1.5, 9),
    "tolerance": st.floats(1.5, 3),
    "factor": st.floats(1.5, 9),
    "minimum": st.integers(1, 2),
    "initial": st.integers(3, 9),
    "maximum": st.integers(20, 99),
    "buckets": st.integers(100, 900),
    "dimension": st.sampled_from(["requests", "tokens", 'it\'s "quoted" \\ and ünïcode\n']),
    "opens": st.sampled_from(["00:00", "08:15"]),
    "closes": st.sampled_from(["24:00", "06:30"]),
    "days": st.sampled_from(["mon-fri", "sat,sun"]),
    "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
    "weights": st.dictionaries(st.one_of(st.none(), st.text(max_size=5)), st.floats(0.5, 9), max_size=3),
    "also": st.just((OpeningHours("01:00", "02:00"),)),
}


def setting(field: attrs.Attribute, inner: st.SearchStrategy) -> st.SearchStrategy:
    kind = str(field.type)
    if field.name in SPECIAL:
        return SPECIAL[field.name]
    if any(word in kind for word in ("Policy", "Estimator", "Order")):
        return inner
    return st.integers(2, 40) if "int" in kind else NUMBERS


@st.composite
def made(draw: st.DrawFn, family: str, kind: type, depth: int = 0):
    """A part with some of its settings given."""
    inner = st.deferred(lambda: part(family, depth + 1))
    if kind is AllOf:
        return AllOf(*draw(st.lists(inner, min_size=1, max_size=3)))
    chosen = {}
    for field in attrs.fields(kind):
        needed = field.default is attrs.NOTHING
        if field.init and field.repr and (needed or draw(st.booleans())):
            chosen[field.alias] = draw(setting(field, part("order") if "Order" in str(field.type) else inner))
    try:
        return kind(**chosen)
    except ValueError:  # settings that do not go together
        reject()


def part(family: str, depth: int = 0) -> st.SearchStrategy:
    kinds = [getattr(FAMILIES[family], name) for name in FAMILIES[family].__all__]
    kinds = [kind for kind in kinds if attrs.has(kind)]
    simple = {"pacing": Unpaced(), "backoff": ConstantBackoff(3), "estimator": MovingAverage(), "order": queues.Fifo()}
    if depth > 1:
        return st.just(simple[family])
    return st.one_of([made(family, kind, depth) for kind in kinds])


def rules(**parts) -> Rules:
    usual = {
        "queue": BoundedQueue(9),
        "pacing": FixedPause(10),
        "backoff": NoBackoff(),
        "estimator": MovingAverage(),
    }
    return Rules(**{**usual, **parts})


def there_and_back(**parts) -> None:
    terms = terms_of(rules(**parts))
    recipe = Recipe.read(terms)
    assert not recipe.unknown
    assert {name: recipe.settings[name] for name in parts} == parts
    assert terms_of(Rules(**recipe.settings)) == terms


EVERY = [
    (family, getattr(module, name))
    for family, module in FAMILIES.items()
    for name in module.__all__
    if attrs.has(getattr(module, name))
]


@pytest.mark.parametrize(("family", "kind"), EVERY, ids=lambda one: getattr(one, "__name__", one))
def test_every_part_is_made_again_from_its_text(family, kind):
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
    @given(made(family, kind))
    def check(one):
        there_and_back(**({"queue": BoundedQueue(5, order=one)} if family == "order" else {family: one}))

    check()


@pytest.mark.parametrize(
    "parts",
    [
        {"queue": MaxWait(600, order=queues.Priority(ageing=60))},
        {"queue": BoundedQueue(7, when_full="wait", timeout=2.5)},
        {"pacing": FixedPause(0.05) & TokenBucket(100)},
        {"pacing": AllOf(FixedPause(1))},
        {"pacing": OpeningHours("18:00", "24:00") | OpeningHours("00:00", "24:00", days="sat,sun")},
        {"pacing": ServerGuided(fallback=TokenBucket(5))},
        {"backoff": CircuitBreaker()},
        {"concurrency": 7, "max_throttles": 1, "max_recoveries": 0, "on_crash": "stale"},
    ],
    ids=str,
)
def test_queues_combinations_and_settings_are_too(parts):
    there_and_back(**parts)


@attrs.frozen
class Mine:
    """A pacing policy of an application's own."""

    seconds: float = math.inf


def test_a_part_of_the_applications_own_is_not_guessed():
    terms = terms_of(rules(pacing=Mine(3)))
    recipe = Recipe.read(terms)
    assert recipe.unknown == {"pacing": "Mine(seconds=3) is one of your application's own"}
    assert recipe.settings["queue"] == BoundedQueue(9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "object",
        "FixedPause",
        "FixedPause(seconds=3, more=1)",
        "FixedPause(seconds=-1)",
        "FixedPause(3)",
        "FixedPause(seconds=3.0)",
        "TokenBucket(rate=" + "9" * 990 + "... (SHA-256 0123456789abcdef)",
        "__import__('os').system('true')",
        "AllOf(policies=())",
        "AllOf(policies=5)",
        "OpeningHours(opens='00:00', closes='24:00', timezone='Nowhere/At_All')",
    ],
)
def test_other_text_is_not_known_either(text):
    """What is made has the very same text, or it might be another part."""
    recipe = Recipe.read({**terms_of(rules()), "pacing": text})
    assert list(recipe.unknown) == ["pacing"]
    assert text in recipe.unknown["pacing"] or not text


def test_what_a_store_does_not_say_is_not_known():
    assert set(Recipe.read({}).unknown) == set(terms_of(rules()))
    assert Recipe.read({**terms_of(rules()), "concurrency": "True"}).unknown.keys() == {"concurrency"}
