"""The contracts of codecs and observers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import attrs

from pacer._errors import NotEncodableError
from pacer._job import JobState
from pacer.events import Event
from pacer.protocols import Codec, Observer
from pacer.testing._expect import Check, expect, expect_equal

_PLAIN: Sequence[Any] = (
    None,
    True,
    0,
    -1,
    2**63 - 1,
    0.1,
    1e-300,
    "",
    "Drucksache 7/4711: „Größe“ \U0001f4c4 \x00\n",
    [],
    {},
    [1, "a", None, [2.5, {"b": [False]}]],
    {"ä": {"": [1]}, "n": None},
)
_AWKWARD: Sequence[Any] = (
    (1, 2),
    {1, 2},
    frozenset({1}),
    b"bytes",
    float("inf"),
    float("nan"),
    {1: "a"},
    [{"a": (1,)}],
    datetime(2024, 5, 1, tzinfo=UTC),
    "\ud800",
    object(),
    lambda: None,
)


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and repr(one) == repr(other) and one == other)


def check_codec_keeps_plain_data(codec: Codec) -> None:
    """None, bool, int, float, str, and lists and str-keyed dicts of these come back as they went in."""
    name = type(codec).__name__
    for value in _PLAIN:
        args, kwargs = codec.decode_call(codec.encode_call("task", [value, 1], {"value": value}))
        expect_equal(len(args), 2, f"{name}: no argument is lost")
        expect(_same(args[0], value), f"{name}: the argument {value!r} comes back as it was; got {args[0]!r}")
        expect(_same(dict(kwargs), {"value": value}), f"{name}: {value!r} comes back by name; got {kwargs!r}")
        result = codec.decode_result(codec.encode_result("task", value))
        expect(_same(result, value), f"{name}: the result {value!r} comes back as it was; got {result!r}")


def check_codec_refuses_what_it_cannot_keep(codec: Codec) -> None:
    """A value that would not come back as it was is refused with NotEncodableError, which names the argument."""
    name = type(codec).__name__
    for value in _AWKWARD:
        try:
            payload = codec.encode_call("task", [], {"document": value})
        except NotEncodableError as error:
            expect("document" in str(error), f"{name}.encode_call: the error names the argument; got {error}")
        else:
            _, kwargs = codec.decode_call(payload)
            expect(
                _same(kwargs["document"], value),
                f"{name}: {value!r} comes back as it was or is refused with NotEncodableError; got {kwargs!r}",
            )
        try:
            payload = codec.encode_result("task", value)
        except NotEncodableError:
            continue
        result = codec.decode_result(payload)
        expect(_same(result, value), f"{name}: the result {value!r} comes back as it was or is refused; got {result!r}")


def check_codec_leaves_arguments_alone(codec: Codec) -> None:
    """Encoding changes neither arguments nor results."""
    name = type(codec).__name__
    for value in _PLAIN:
        args, kwargs, result = [value, 1], {"value": value}, [value]
        before = copy.deepcopy((args, kwargs, result))
        codec.encode_call("task", args, kwargs)
        codec.encode_result("task", result)
        expect_equal((args, kwargs, result), before, f"{name}: encoding changes nothing")


def check_codec_knows_no_result(codec: Codec) -> None:
    """A job without a stored result has the result None."""
    promise = f"{type(codec).__name__}.decode_result(None) is None, the result of a job without one"
    expect_equal(codec.decode_result(None), None, promise)


CODEC_CHECKS: Sequence[Check] = (
    check_codec_keeps_plain_data,
    check_codec_refuses_what_it_cannot_keep,
    check_codec_leaves_arguments_alone,
    check_codec_knows_no_result,
)
"""The promises of a codec, one function each."""


def check_codec(codec: Codec) -> None:
    """Run all of CODEC_CHECKS on a codec. Raises AssertionError naming the broken promise."""
    for check in CODEC_CHECKS:
        check(codec)


_SAMPLES: Mapping[str, Any] = {
    "float": 1.5,
    "float | None": 2.5,
    "int": 3,
    "str": "text",
    "bool": True,
    "JobState": JobState.QUEUED,
    "tuple[float, float] | None": (1.0, 2.0),
    "Mapping[str, float | None]": {"pacing.seconds": 5.0, "queue.capacity": None},
}


def sample_events() -> list[Event]:
    """One event of each kind in `pacer.events`, for trying observers."""
    return [kind(**{field.name: _SAMPLES[str(field.type)] for field in attrs.fields(kind)}) for kind in get_args(Event)]


def check_observer(observer: Observer) -> None:
    """An observer takes every event there is without raising, and is a plain function, not `async def`.

    Raises:
        AssertionError: It raises, or returns something that would have to be awaited.
    """
    for event in sample_events():
        kind = type(event).__name__
        try:
            answer = observer(event)
        except Exception as error:
            msg = f"an observer takes every event; {kind} made it raise {type(error).__name__}: {error}"
            raise AssertionError(msg) from error
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            msg = f"an observer is a plain function: nobody awaits what it returned for {kind}. Hand events over, for "
            raise AssertionError(msg + "example with a memory object stream's send_nowait")
