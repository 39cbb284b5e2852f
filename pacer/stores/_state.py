"""Learned state as text, and back, whatever has happened to the text meanwhile."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pacer._minutes import usable
from pacer._promises import NARROWEST, WIDEST
from pacer._rules import Rules
from pacer._snapshot import QueueState
from pacer.stores._parts import LEARNING, changed_parts, part_of, without_numbers_of

_COUNTS: Final = frozenset({"failures", "succeeded", "failed", "throttled"})
_NUMBERS: Final = frozenset(
    {
        "first_failed_at",
        "last_failed_at",
        "last_delay",
        "hold_until",
        "recent_successes",
        "recent_retries",
        "recent_at",
        "promised_at",
        "claimed_to",
    }
)
_SCALES: Final = frozenset({"low_scale", "high_scale"})
_MAPPINGS: Final = frozenset({"numbers", "ticks"})


def encode_state(state: QueueState, kept: Mapping[str, Any] | None = None) -> str:
    """As JSON; with some of the learned states as they stood before, see `not_ours`."""
    return json.dumps({**state.to_json(), **kept} if kept else state.to_json(), separators=(",", ":"))


def encoded(
    state: QueueState, kept: Mapping[str, Any] | None, last: QueueState | None, rules: Rules
) -> tuple[QueueState, str]:
    """The state and its text. If it is not what JSON can hold, it is not quite the state that was given.

    `last` is the state that was written before, if any was.
    """
    try:
        return state, encode_state(state, kept)
    except (TypeError, ValueError, RecursionError):  # a strategy has given what is no plain data
        state = _writable(state, last or rules.initial(), rules)
        return state, encode_state(state, kept)


def _writable(state: QueueState, last: QueueState, rules: Rules) -> QueueState:
    """The state with what JSON can hold; a strategy that has given anything else keeps what it had `last`."""
    for name in LEARNING:
        try:
            json.dumps(getattr(state, name))
        except (TypeError, ValueError, RecursionError) as error:
            rules.guard.note(part_of(rules, name), "state", error)
            state = attrs.evolve(state, **{name: getattr(last, name)})
    return state


def decode_state(text: str, parts: str, rules: Rules) -> QueueState:
    """What `encode_state` wrote, as far as it can be read and belongs to these parts; the rest begins anew.

    What could not be used is noted with the rules' guard, which reports it.
    """
    initial, data = rules.initial(), _mapping(text)
    if data is None:
        rules.guard.note(QueueState, "from_json", "the stored state cannot be read; the queue learns anew")
        return initial
    fresh = initial.to_json()
    wrong = [name for name in fresh if name not in LEARNING and not _usable(name, data.get(name, fresh[name]))]
    changed = changed_parts(parts, rules)
    for name in LEARNING:
        if name in changed:
            # Not a fault: somebody has chosen another strategy.
            data[name] = fresh[name]
        elif name not in data or not _same_shape(fresh[name], data[name]):
            wrong.append(name)
    if wrong:
        rules.guard.note(QueueState, "from_json", f"stored {', '.join(wrong)} cannot be used; learnt anew")
    state = QueueState.from_json({**fresh, **data, **{name: fresh[name] for name in wrong}})
    return without_numbers_of(state, changed)


def not_ours(text: str, parts: str, rules: Rules) -> dict[str, Any]:
    """The learned states in this text in which the strategies of these rules have no say, as they stand.

    A worker whose queue was taken over writes them back as it has found them.
    """
    data, initial, changed = _mapping(text) or {}, rules.initial(), changed_parts(parts, rules)
    return {
        name: data[name]
        for name in LEARNING
        if name in data and (name in changed or not _same_shape(getattr(initial, name), data[name]))
    }


def _mapping(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _usable(name: str, value: Any) -> bool:
    if name in _COUNTS:
        return type(value) is int and value >= 0
    if name in _SCALES:
        return _finite(value) and NARROWEST <= value <= WIDEST
    if name in _MAPPINGS:
        return isinstance(value, dict) and all(map(_finite, value.values()))
    if name in ("minute", "past"):
        minutes = [value] if name == "minute" and value else value
        return isinstance(minutes, list | tuple) and all(map(usable, minutes))
    if name in _NUMBERS:
        return (value is None and name == "last_failed_at") or _finite(value)
    return type(value) is (bool if name == "paused" else str)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _same_shape(fresh: Any, value: Any) -> bool:
    """Whether a strategy can be expected to understand it: the keys of its initial state are there."""
    if isinstance(fresh, Mapping):
        return isinstance(value, Mapping) and all(key in value and _same_shape(fresh[key], value[key]) for key in fresh)
    if isinstance(fresh, list | tuple):
        return isinstance(value, list)
    number = isinstance(fresh, int | float)
    return not number or (isinstance(value, int | float) and math.isfinite(value))
