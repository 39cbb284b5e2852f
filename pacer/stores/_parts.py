"""With which strategies and settings a queue is run: whose learned state is whose, and who may go on."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from pacer._errors import PartsDifferError, TakenOverError
from pacer._rules import Rules
from pacer._snapshot import QueueState

LEARNING: Final = ("pacing", "estimator", "order")
LEFT_BEHIND: Final = "nobody can run it since other schedulers took the queue over"

Differences = Mapping[str, tuple[str, str]]
"""By name: what others were given, and what this worker was."""

_STRATEGIES: Final = ("queue", "pacing", "backoff", "estimator")
_SETTINGS: Final = ("concurrency", "max_throttles", "max_recoveries", "on_crash")
_TERMS: Final = "terms"
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_LONGEST: Final = 1000


@attrs.define(eq=False)
class Tenure:
    """Whether the strategies and settings that a worker was given are those that its queue is run with.

    They are written into the store as `text` when the worker opens the queue. When it finds another text there later,
    with other strategies or settings, it has been taken over, and is retired.

    Attributes:
        queue: The queue's name.
        rules: As the worker was given them.
        guest: Whether it only looks and steers: what it was given is not written into the store.
        text: Its strategies and settings, as JSON.
    """

    queue: str
    rules: Rules
    guest: bool = attrs.field(default=False, kw_only=True)
    text: str = attrs.field(init=False)
    _found: str = attrs.field(init=False)
    _differences: Differences = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        # One object for equal texts: `MemoryLedger` asks for each step of each job.
        self.text = self._found = sys.intern(json.dumps({**parts_of(self.rules), _TERMS: terms_of(self.rules)}))

    def check(self, stored: str, alive_for: float, *, takeover: bool) -> None:
        """May this worker open a queue for which this text is stored?

        Args:
            stored: The text.
            alive_for: Seconds for which some other worker of the queue is taken to be alive; 0 or less: there is none.
            takeover: Whether this worker may take the queue over from the others.

        Raises:
            PartsDifferError: Others are alive and work with other strategies or settings.
        """
        if self.guest:
            self.look(stored)
            return
        if alive_for <= 0 or takeover:
            return
        found = differences(stored, self.rules)
        if found:
            raise PartsDifferError(self.queue, found, alive_for)

    def look(self, stored: str) -> None:
        """This text is what is stored now."""
        if stored != self._found:
            self._found = stored
            self._differences = {} if stored == self.text else differences(stored, self.rules)

    @property
    def retired(self) -> bool:
        """Whether others have taken the queue over, as far as has been looked."""
        return bool(self._differences)

    def check_in_charge(self) -> None:
        """Raises TakenOverError if they have."""
        if self._differences:
            raise TakenOverError(self.queue, self._differences, guest=self.guest)


def terms_of(rules: Rules) -> dict[str, str]:
    """The strategies and settings, as text that people can read and that is the same for equal ones."""
    return {name: _term(getattr(rules, name)) for name in (*_STRATEGIES, *_SETTINGS)}


def stored_terms(stored: str) -> dict[str, str]:
    """The strategies and settings in this text, as text; without those that it does not name."""
    terms = _mapping(stored).get(_TERMS)
    return {name: str(term) for name, term in terms.items()} if isinstance(terms, dict) else {}


def differences(stored: str, rules: Rules) -> dict[str, tuple[str, str]]:
    """What differs between the strategies and settings in this text, of whatever version, and these."""
    data = _mapping(stored)
    theirs, ours = data.get(_TERMS), terms_of(rules)
    found = {}
    if isinstance(theirs, dict):
        found = {name: (str(theirs[name]), ours[name]) for name in ours if theirs.get(name, ours[name]) != ours[name]}
    # Classes of different modules may look the same, and texts of an earlier version have nothing but the classes.
    for name, mine in parts_of(rules).items():
        if name in data and data[name] != mine and not {name, "queue" if name == "order" else name} & found.keys():
            found[name] = (_class_text(data[name]), _class_text(mine))
    return found


# -- learned state ---------------------------------------------------------------------------------------------------


def parts_of(rules: Rules) -> dict[str, Any]:
    """The classes of the strategies that learn, as plain data: the state of one class is not fed to another."""
    return {name: _fingerprint(part_of(rules, name)) for name in LEARNING}


def part_of(rules: Rules, name: str) -> Any:
    """The strategy with this name."""
    return rules.queue.order if name == "order" else getattr(rules, name)


def changed_parts(stored: str, rules: Rules) -> set[str]:
    """The names of those that learn and are of another class than in this text."""
    data = _mapping(stored)
    return {name for name, part in parts_of(rules).items() if data.get(name) != part}


def begin_anew_where_changed(state: QueueState, stored: str, rules: Rules) -> QueueState:
    """The state that was learned with these parts, for other rules: a strategy of another class begins anew."""
    changed = changed_parts(stored, rules)
    return without_numbers_of(_with(state, rules.initial(), changed), changed) if changed else state


def keep_what_changed(state: QueueState, last: QueueState, stored: str, rules: Rules) -> QueueState:
    """The state as a retired worker leaves it: of strategies of another class than its own it has no say."""
    return _with(state, last, changed_parts(stored, rules))


def without_numbers_of(state: QueueState, parts: Iterable[str]) -> QueueState:
    """The state without the numbers that a person had set of these parts, of which there are others now."""
    gone = tuple(f"{'queue.order' if part == 'order' else part}." for part in parts)
    if not any(path.startswith(gone) for path in state.numbers):
        return state
    return attrs.evolve(
        state, numbers={path: number for path, number in state.numbers.items() if not path.startswith(gone)}
    )


def _with(state: QueueState, other: QueueState, names: Iterable[str]) -> QueueState:
    return attrs.evolve(state, **{name: getattr(other, name) for name in names})


def _mapping(stored: str) -> dict[str, Any]:
    try:
        data = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


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


def _class_text(fingerprint: Any) -> str:
    if isinstance(fingerprint, list) and len(fingerprint) == 2 and isinstance(fingerprint[1], list):
        return f"{fingerprint[0]}({', '.join(map(_class_text, fingerprint[1]))})"
    return str(fingerprint)


# -- as text ---------------------------------------------------------------------------------------------------------


def _term(value: Any) -> str:
    try:
        text = _text(value)
    except Exception:  # somebody's repr may raise anything
        return type(value).__qualname__
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... (SHA-256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]})"


def _text(value: Any) -> str:
    """As `repr`, but the same for equal values, in every process and with every version of a class.

    Settings that have their default are left out: a version with one more of them must not look like another choice.
    """
    match value:
        case Enum():
            return f"{type(value).__qualname__}.{value.name}"
        case float() if value.is_integer():
            return repr(int(value))  # 10 and 10.0 are the same setting
        case list() | tuple():
            return f"({', '.join(map(_text, value))})"
        case set() | frozenset():
            return f"{{{', '.join(sorted(map(_text, value)))}}}"
        case Mapping():
            return f"{{{', '.join(sorted(f'{_text(key)}: {_text(item)}' for key, item in value.items()))}}}"
    name, text = type(value).__qualname__, repr(value)
    if attrs.has(type(value)):
        text = f"{name}({', '.join(f'{field}={_text(item)}' for field, item in _chosen(value))})"
    # An address is another one in each process.
    return str(getattr(value, "__qualname__", name)) if _ADDRESS.search(text) else text


def _chosen(value: Any) -> Iterable[tuple[str, Any]]:
    """The settings of an attrs class that are shown by its repr and have another value than by default."""
    for field in attrs.fields(type(value)):
        if field.repr:
            item, default = getattr(value, field.name), field.default
            make = getattr(default, "factory", None)
            if make is not None:
                default = make(value) if getattr(default, "takes_self", False) else make()
            if item != default:
                yield field.alias or field.name, item
