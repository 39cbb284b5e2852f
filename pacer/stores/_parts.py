"""Which strategies a learned state belongs to: that of one class is not fed to another."""

from __future__ import annotations

from typing import Any, Final

import attrs

from pacer._rules import Rules
from pacer._snapshot import QueueState

LEARNING: Final = ("pacing", "estimator", "order")


def parts_of(rules: Rules) -> dict[str, Any]:
    """The classes of the strategies that learn, as plain data."""
    return {name: _fingerprint(part_of(rules, name)) for name in LEARNING}


def part_of(rules: Rules, name: str) -> Any:
    """The strategy with this name."""
    return rules.queue.order if name == "order" else getattr(rules, name)


def begin_anew_where_changed(state: QueueState, parts: dict[str, Any], rules: Rules) -> QueueState:
    """The state that was learned with these parts, for other rules: a strategy of another class begins anew."""
    initial, now_parts = rules.initial(), parts_of(rules)
    changed = {name: getattr(initial, name) for name in LEARNING if parts[name] != now_parts[name]}
    return attrs.evolve(state, **changed) if changed else state


def _fingerprint(part: Any) -> Any:
    """Its class, and the classes of the strategies that it is made of, if any."""
    name = f"{type(part).__module__}.{type(part).__qualname__}"
    if not attrs.has(type(part)):
        return name
    inner: list[Any] = []
    for field in attrs.fields(type(part)):
        value = getattr(part, field.name, None)
        items = value if isinstance(value, list | tuple) else [value]
        inner += [_fingerprint(item) for item in items if hasattr(item, "initial_state")]
    return [name, inner] if inner else name
