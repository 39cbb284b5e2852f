"""How the contract suites look at things and say what they found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol

import attrs

from pacer._job import ONE_REQUEST


class Check(Protocol):
    """One check of a contract suite. Its docstring is the promise it shows."""

    __name__: str

    def __call__(self, part: Any, /) -> None:
        """Raises AssertionError if the promise is broken."""


@attrs.frozen(kw_only=True)
class SampleJob:
    """Facts of a job, for asking policies and estimators in tests; see `pacer.protocols.JobFacts`."""

    id: str = "job"
    task: str = "task"
    key: str | None = None
    priority: int = 0
    cost: Mapping[str, float] = attrs.field(factory=lambda: ONE_REQUEST)
    created_at: float = 0.0
    ready_at: float = 0.0
    expires_at: float | None = None
    started_at: float | None = None


def seeded(seed: int) -> Random:
    """Random numbers that are the same in each run."""
    return Random(seed)  # noqa: S311 - repeatable is what they have to be


def expect(true: bool, promise: str) -> None:
    """Raise AssertionError with the promise if it does not hold."""
    if not true:
        raise AssertionError(promise)


def expect_equal(found: object, expected: object, promise: str) -> None:
    """Raise AssertionError with the promise and both values if they differ."""
    if found != expected:
        msg = f"{promise}: expected {expected!r}, got {found!r}"
        raise AssertionError(msg)


def check_recipe(part: object) -> None:
    """A recipe can be compared, hashed, copied and printed, so that it can be shared and shown."""
    name = type(part).__name__
    twin = copy.deepcopy(part)
    expect_equal(part, twin, f"{name}: a recipe equals its copy (make it a frozen attrs class or dataclass)")
    try:
        same = hash(part) == hash(twin)
    except TypeError as error:
        msg = f"{name}: a recipe is hashable, got {error}"
        raise AssertionError(msg) from error
    expect(same, f"{name}: equal recipes have equal hashes")
    expect(name in repr(part) and " at 0x" not in repr(part), f"{name}: repr shows the settings, got {part!r}")


def plain(state: Any, where: str) -> Any:
    """What a store gives back for this state: the state itself after JSON, which has to be the same."""
    try:
        restored = json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"{where}: a state is plain data that JSON can hold, got {state!r} ({error})"
        raise AssertionError(msg) from error
    expect(
        restored == state and repr(restored) == repr(state),
        f"{where}: a state survives JSON unchanged, but {state!r} came back as {restored!r}",
    )
    return restored


@attrs.frozen
class Call:
    """One call of a pure method, as it was recorded."""

    method: str
    state: Any
    arguments: tuple[Any, ...]
    answer: Any

    def again(self, part: object, state: Any) -> Any:
        """Ask once more."""
        return getattr(part, self.method)(state, *self.arguments)


@attrs.define(eq=False)
class CallLog:
    """Calls a part's methods and keeps what was asked and answered; raises if a state was changed in place."""

    part: Any
    calls: list[Call] = attrs.field(factory=list)

    def call(self, method: str, state: Any, *arguments: Any) -> Any:
        """Call the method, and check that it left the state alone."""
        before = copy.deepcopy(state)
        answer = getattr(self.part, method)(state, *arguments)
        expect_equal(state, before, f"{type(self.part).__name__}.{method} does not change the state it is given")
        self.calls.append(Call(method, before, arguments, copy.deepcopy(answer)))
        return answer


def expect_pure(record: Callable[[Any], list[Call]], part: Any) -> None:
    """Asked again, in another order, on a copy, from a stored state: the same answers, and the recipe is unchanged."""
    name = type(part).__name__
    pristine = copy.deepcopy(part)
    calls = record(part)
    expect_equal(part, pristine, f"{name}: a recipe does not change while it is used")
    for call in reversed(calls):
        restored = plain(call.state, f"{name}, before {call.method}")
        for promise, asked in (
            ("the same question has the same answer (no clock, no dice, no memory)", part),
            ("all memory is in the state, none in the recipe", copy.deepcopy(pristine)),
        ):
            expect_equal(call.again(asked, copy.deepcopy(restored)), call.answer, f"{name}.{call.method}: {promise}")
