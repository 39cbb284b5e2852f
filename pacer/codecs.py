"""How arguments and results are written to a store. A codec is a seam: see `pacer.protocols.Codec`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import attrs

from pacer._errors import NotEncodableError

__all__ = ["InProcessCodec", "JsonCodec"]

# Python reads and writes decimal integers of at most 4300 digits unless it is told otherwise; 10**4299 has 14 281 bits.
LONGEST_INT = 14_000
_TOO_DEEP = "is nested too deeply, or holds itself"


@attrs.frozen
class InProcessCodec:
    """Keeps objects as they are: nothing leaves the process."""

    def encode_call(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The pair itself."""
        return args, kwargs

    def decode_call(self, payload: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The pair itself."""
        args, kwargs = payload
        return args, kwargs

    def encode_result(self, task: str, result: Any) -> Any:
        """The object itself."""
        return result

    def decode_result(self, payload: Any) -> Any:
        """The object itself."""
        return payload


@attrs.frozen
class JsonCodec:
    """JSON, strictly: what comes out equals what went in, or it is refused.

    Accepted are None, bool, int, finite float, str, and lists and str-keyed dicts of these. A tuple would come back
    as a list, so it is refused too, with a message that says where it stands and what to do.
    """

    def encode_call(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Raises NotEncodableError, naming the argument."""
        for number, value in enumerate(args, 1):
            _check_all(value, ("argument %s of %s", number, task))
        for name, value in kwargs.items():
            _check_all(value, ("argument %r of %s", name, task))
        return _dump([list(args), dict(kwargs)], ("the arguments of %s", task))

    def decode_call(self, payload: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Raises ValueError for what `encode_call` did not write."""
        args, kwargs = json.loads(payload)
        return args, kwargs

    def encode_result(self, task: str, result: Any) -> str:
        """Raises NotEncodableError."""
        where = ("the result of %s", task)
        _check_all(result, where)
        return _dump(result, where)

    def decode_result(self, payload: Any) -> Any:
        """None for a job without a stored result."""
        return None if payload is None else json.loads(payload)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

# Where a value stands: a format with what goes into it. The first of these may be the place of the value around it. It
# becomes text only in an error message, because nearly all values are accepted.
_Place = tuple[Any, ...]
_KEY = "%s[%r]"


def _dump(value: Any, where: _Place) -> str:
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        _refuse(where, _TOO_DEEP)


def _check_all(value: Any, where: _Place) -> None:
    try:
        _check(value, where)
    except RecursionError:
        _refuse(where, _TOO_DEEP)


def _check(value: Any, where: _Place) -> None:
    kind = type(value)
    if value is None or kind is bool:
        return
    if kind is int or kind is float:
        _check_number(value, where)
    elif kind is str:
        _check_text(value, where)
    elif kind is list:
        for index, item in enumerate(value):
            _check(item, ("%s[%d]", where, index))
    elif kind is dict:
        for name, item in value.items():
            if type(name) is not str:
                _refuse(where, f"has a key of type {type(name).__name__}; JSON keys are str")
            _check_text(name, where)
            _check(item, (_KEY, where, name))
    else:
        hint = "; pass a list" if isinstance(value, tuple | set | frozenset) else ""
        _refuse(where, f"is of type {kind.__name__}, which JSON does not have{hint}")


def _check_number(value: float, where: _Place) -> None:
    if isinstance(value, int):
        if value.bit_length() > LONGEST_INT:
            _refuse(where, f"is an integer of more than {LONGEST_INT} bits; pass it as text")
    elif not math.isfinite(value):
        _refuse(where, f"is {value}, which JSON does not have")


def _check_text(value: str, where: _Place) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(where, "has a lone surrogate, which cannot be written as UTF-8")


def _text(where: _Place) -> str:
    if where[0] == _KEY and not where[2].isidentifier():  # it may be part of what is secret, as an address is
        return f"{_text(where[1])}[...]"
    text: str = where[0] % tuple(_text(one) if isinstance(one, tuple) else one for one in where[1:])
    return text


def _refuse(where: _Place, problem: str) -> NoReturn:
    msg = (
        f"{_text(where)} {problem}. Pass plain data (str, int, float, bool, None, list, dict) such as an id that the "
        "job looks up, give the store another codec, or enqueue the function unregistered to keep the job in this "
        "process."
    )
    raise NotEncodableError(msg)
