"""Parts out of text: `PerKey(TokenBucket(5)) & MinInterval(1)` is read as Python, and nothing but parts is made of it.

The text is parsed, never evaluated: calls of the names that are known, with literals, other parts, and `&` or `|`
between parts. All else is refused.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs

import pacer
from pacer import Retry, backoff, estimators, pacing, queues
from pacer._compare._errors import ConfigError, choices

LONGEST: Final = 4000
"""Characters; a text that is longer is no configuration."""
DEEPEST: Final = 20
_SHOWN: Final = 60

Names = Mapping[str, type]


@attrs.frozen
class Kind:
    """What the text of one key may name.

    Attributes:
        what: What it is called in messages.
        outer: What the whole text may be.
        inner: What may stand inside, besides.
    """

    what: str
    outer: Names
    inner: Names

    @property
    def known(self) -> Names:
        """All of them."""
        return {**self.outer, **self.inner}


def family(module: Any, *offers: str) -> dict[str, type]:
    """What a module exports and can be made, as far as it has these methods and properties."""
    exported = {name: getattr(module, name) for name in module.__all__}
    return {
        name: part
        for name, part in exported.items()
        if inspect.isclass(part)
        and not getattr(part, "_is_protocol", False)
        and all(_offers(part, name) for name in offers)
    }


def _offers(part: type, name: str) -> bool:
    """Whether it has a method or a property of this name; a field is neither."""
    return hasattr(part, name) and not inspect.ismemberdescriptor(getattr(part, name))


_BACKOFF: Final = family(backoff)

STRATEGIES: Final[Mapping[str, Kind]] = {
    "pacing": Kind("a pacing policy", family(pacing), {}),
    "backoff": Kind("a backoff policy", _BACKOFF, {}),
    "estimator": Kind("an estimator", family(estimators), {}),
    "queue": Kind("a queue", family(pacer, "admit", "wait_timeout"), family(queues, "place")),
    "retry": Kind("a retry", {"Retry": Retry}, _BACKOFF),
}
"""By the key under which such a text stands."""


def read_part(text: object, key: str, kind: Kind, *, base: Path) -> Any:
    """The part that a text names. Relative paths in it start from `base`. Raises a ConfigError that names the key."""
    if not isinstance(text, str):
        problem = f"must be text that names {kind.what} as in code, got {text!r}; choices: {', '.join(kind.outer)}"
        raise ConfigError(key, problem)
    try:
        return _Reader(key, kind, base).part(_parsed(text, key, kind))
    except RecursionError as error:
        raise ConfigError(key, f"is nested too deep: {_short(text)}") from error


def read_stored(text: str, name: str) -> Any:
    """The part that a store describes, as `pacer.stores` writes it down, under the name "pacing", "queue" and so on.

    Raises ConfigError: it is none of pacer's own, or cannot be made here.
    """
    kind = STRATEGIES[name]
    try:
        return _Reader(name, kind, Path(), stored=True).part(_parsed(text, name, kind))
    except RecursionError as error:
        raise ConfigError(name, f"is nested too deep: {_short(text)}") from error


def _parsed(text: str, key: str, kind: Kind) -> ast.expr:
    if len(text) > LONGEST:
        raise ConfigError(key, f"is {len(text)} characters long; at most {LONGEST} are read")
    if not text.strip():
        raise ConfigError(key, f"is empty; it must name {kind.what}; choices: {', '.join(kind.outer)}")
    try:
        # In brackets, so that it may go over several lines, with comments.
        body = ast.parse(f"(\n{text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(key, f"cannot be read ({reason}): {_short(text)}") from error
    if body.lineno == 1 and not isinstance(body, ast.Tuple):  # "a) & (b" has closed and opened our brackets
        raise ConfigError(key, f"cannot be read (unmatched ')'): {_short(text)}")
    return body


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


@attrs.frozen
class _Reader:
    key: str
    kind: Kind
    base: Path
    stored: bool = False
    """Whether it is text that a store holds: all settings by name, (x) for a tuple of one, inf for no end."""

    def part(self, node: ast.expr) -> Any:
        """The whole text."""
        made = self._value(node, 0)
        outer = tuple(self.kind.outer.values())
        if not isinstance(made, outer):
            found = f"{type(made).__name__}(...)" if type(made) in self.kind.known.values() else _short(repr(made))
            self._refuse(f"{found} is not {self.kind.what}; choices: {', '.join(self.kind.outer)}")
        return made

    def _refuse(self, problem: str, cause: Exception | None = None) -> NoReturn:
        raise ConfigError(self.key, problem) from cause

    def _value(self, node: ast.expr, depth: int) -> Any:
        """A literal, or a part."""
        if depth > DEEPEST:
            self._refuse(f"is nested more than {DEEPEST} deep")
        found: Any = None
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                found = node.value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=(int() | float()) as number)):
                found = -number
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                made = [self._value(one, depth + 1) for one in elements]
                found = made if isinstance(node, ast.List) else tuple(made)
            case ast.Dict(keys=keys, values=values):
                found = self._mapping(keys, values, depth)
            case ast.Call():
                found = self._call(node, depth)
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                found = self._combined(node, depth)
            case ast.Name(id="inf") if self.stored:
                found = math.inf
            case ast.Name(id=name):
                self._named(name)
                self._refuse(f"{name} needs its settings in brackets, as in {name}(...)")
            case _:
                text = _short(ast.unparse(node))
                self._refuse(f"{text!r} cannot stand here: only parts with their settings, numbers and text")
        return found

    def _mapping(self, keys: list[ast.expr | None], values: list[ast.expr], depth: int) -> dict[Any, Any]:
        made = {}
        for name, value in zip(keys, values, strict=True):
            if not isinstance(name, ast.Constant):
                self._refuse("the names in {...} must be text or numbers")
            made[name.value] = self._value(value, depth + 1)
        return made

    def _combined(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self._value(node.left, depth + 1), self._value(node.right, depth + 1)
        sign = "&" if isinstance(node.op, ast.BitAnd) else "|"
        if not all(type(side) in self.kind.known.values() for side in (left, right)):
            self._refuse(f"{sign} goes between parts, not between {left!r} and {right!r}")
        try:
            return left & right if sign == "&" else left | right
        except TypeError as error:
            names = " and ".join(type(side).__name__ for side in (left, right))
            self._refuse(f"{names} cannot be combined by {sign}", error)

    def _named(self, name: str) -> type:
        found = self.kind.known.get(name)
        if found is None:
            self._refuse(f"there is no {name} here; {choices(name, self.kind.known)}")
        return found

    def _call(self, node: ast.Call, depth: int) -> Any:
        if not isinstance(node.func, ast.Name):
            self._refuse(f"{_short(ast.unparse(node.func))!r} cannot be called here; {choices('', self.kind.known)}")
        name = node.func.id
        part = self._named(name)
        if any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords):
            self._refuse(f"{name}: * and ** cannot stand here")
        arguments = [self._value(one, depth + 1) for one in node.args]
        settings: dict[str, Any] = {}
        for one in node.keywords:
            if one.arg in settings:
                self._refuse(f"{name}: {one.arg} is given twice")
            settings[str(one.arg)] = self._value(one.value, depth + 1)
        if self.stored:
            arguments, settings = _as_stored(part, arguments, settings)
        self._check_settings(part, arguments, settings)
        if isinstance(settings.get("path"), str):
            settings["path"] = self.base / settings["path"]
        elif arguments and isinstance(arguments[0], str) and _settings(part)[:1] == ["path"]:
            arguments[0] = self.base / arguments[0]
        return self._made(part, arguments, settings)

    def _check_settings(self, part: type, arguments: list[Any], settings: dict[str, Any]) -> None:
        known = _settings(part)
        for name in settings:
            if name not in known:
                there_are = choices(name, known) if known else "it has none by name"
                self._refuse(f"{part.__name__} has no setting {name}; {there_are}")
        try:
            inspect.signature(part).bind(*arguments, **settings)
        except TypeError as error:
            self._refuse(f"{part.__name__}: {error}; its settings: {', '.join(known) or 'none'}", error)

    def _made(self, part: type, arguments: list[Any], settings: dict[str, Any]) -> Any:
        try:
            return part(*arguments, **settings)
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, OSError) as error:
            told = str(error) or type(error).__name__
            known = f"; its settings: {', '.join(_settings(part))}" if not isinstance(error, ValueError) else ""
            prefix = "" if told.startswith(part.__name__) else f"{part.__name__}: "
            self._refuse(f"{prefix}{told}{known}", error)


def _settings(part: type) -> list[str]:
    """What can be given by name, in order."""
    there = inspect.signature(part).parameters
    return [name for name, one in there.items() if one.kind is not inspect.Parameter.VAR_POSITIONAL]


def _as_stored(part: type, arguments: list[Any], settings: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Settings as the part takes them, of those that a store has written by name."""
    several = {field.name for field in attrs.fields(part) if str(field.type).startswith("tuple[")}
    settings = {
        name: (value,) if name in several and not isinstance(value, tuple) else value
        for name, value in settings.items()
    }
    for name, one in inspect.signature(part).parameters.items():
        if one.kind is inspect.Parameter.VAR_POSITIONAL and name in settings:
            arguments = [*arguments, *settings.pop(name)]
    return arguments, settings
