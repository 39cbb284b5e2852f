"""Validators and converters for settings: an impossible part cannot be built, and the message says why."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import attrs

# What a setting may be. Nothing physical is beyond, and products and quotients of two stay finite.
SMALLEST: Final = 1e-15
LARGEST: Final = 1e15

_SECONDS = "a number of seconds (float, int or timedelta)"


def seconds(value: float | timedelta) -> float:
    """Convert a duration to float seconds; raises TypeError for anything that is not a number or timedelta."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "; headers and settings are text until you convert them with float()" if isinstance(value, str) else ""
        msg = f"expected {_SECONDS}, got {value!r}{hint}"
        raise TypeError(msg)
    return float(value)


def optional_seconds(value: float | timedelta | None) -> float | None:
    """Like `seconds`, but None stays None."""
    return None if value is None else seconds(value)


def _fail(instance: object, attribute: attrs.Attribute[Any], rule: str, value: object) -> None:
    msg = f"{type(instance).__name__}: {attribute.name} must be {rule}, got {value!r}"
    raise ValueError(msg)


def _not_immense(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if abs(value) > LARGEST:
        _fail(instance, attribute, f"at most {LARGEST:g}" if value > 0 else f"at least {-LARGEST:g}", value)


def positive(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Accept finite numbers above zero, from `SMALLEST` to `LARGEST`."""
    if not (math.isfinite(value) and value > 0):
        _fail(instance, attribute, "a finite number above 0", value)
    if value < SMALLEST:
        _fail(instance, attribute, f"at least {SMALLEST:g}", value)
    _not_immense(instance, attribute, value)


def not_negative(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Accept finite numbers from zero up to `LARGEST`."""
    if not (math.isfinite(value) and value >= 0):
        _fail(instance, attribute, "a finite number, 0 or more", value)
    _not_immense(instance, attribute, value)


def one_or_more(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Accept finite numbers from one up to `LARGEST`."""
    if not (math.isfinite(value) and value >= 1):
        _fail(instance, attribute, "a finite number, 1 or more", value)
    _not_immense(instance, attribute, value)


def finite(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Accept all numbers but NaN, the infinities, and what is beyond `LARGEST` on either side."""
    if not math.isfinite(value):
        _fail(instance, attribute, "a finite number", value)
    _not_immense(instance, attribute, value)


def begins_within(policy: Any) -> None:
    """Raises ValueError unless the `initial` of a policy lies between its own `minimum` and `maximum`."""
    if not policy.minimum <= policy.initial <= policy.maximum:
        initial, minimum, maximum = (
            f"{value:g}" if isinstance(value, float) else value
            for value in (policy.initial, policy.minimum, policy.maximum)
        )
        msg = (
            f"{type(policy).__name__}: initial ({initial}) must be between minimum ({minimum}) and maximum ({maximum})"
        )
        raise ValueError(msg)


def share(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Accept numbers above 0 and up to 1."""
    if not 0 < value <= 1:
        _fail(instance, attribute, "above 0 and at most 1", value)


def whole(minimum: int) -> Callable[[object, attrs.Attribute[Any], int], None]:
    """Accept whole numbers from `minimum` up to `LARGEST`."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            _fail(instance, attribute, f"a whole number, {minimum} or more", value)
        _not_immense(instance, attribute, value)

    return check


def one_of(*choices: str) -> Callable[[object, attrs.Attribute[Any], str], None]:
    """Accept these words, two or more."""
    words = [repr(choice) for choice in choices]
    rule = " or ".join(words) if len(words) == 2 else "one of " + ", ".join(words)

    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in choices:
            _fail(instance, attribute, rule, value)

    return check


def part(protocol: type, like: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Accept what has all that the protocol names; `like` is an example for the message.

    A wrong part would otherwise be noticed when it is first asked, which may be at the first failure of a job.
    """
    names = [name for name in vars(protocol) if not name.startswith("_")]

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        missing = [name for name in names if not hasattr(value, name)]
        if missing or isinstance(value, type):
            why = f"which has no {missing[0]}" if missing else "a class; call it"
            msg = (
                f"{type(instance).__name__}: {attribute.name} must be a {protocol.__name__} such as {like}, "
                f"got {value!r}, {why}"
            )
            raise TypeError(msg)

    return check
