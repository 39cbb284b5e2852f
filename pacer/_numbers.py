"""The numbers of the parts: `pacing.seconds`, `queue.capacity`. A person may set them while the queue runs."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from pacer._rules import Rules

PARTS: Final = ("queue", "pacing", "backoff", "estimator")


@attrs.frozen
class Number:
    """A number of one of the parts.

    Attributes:
        path: Its name: the part, and the settings on the way to it: "pacing.seconds", "pacing.policies.0.rate".
        value: What it is now.
        recipe: What it was given in the code.
    """

    path: str
    value: float
    recipe: float

    @property
    def by_hand(self) -> bool:
        """Whether a person has set it."""
        return self.value != self.recipe


def numbers_of(rules: Rules) -> dict[str, float]:
    """All that can be set, by path."""
    return {f"{part}.{path}": value for part in PARTS for path, value in _numbers(getattr(rules, part))}


def _numbers(part: Any) -> Iterator[tuple[str, float]]:
    for name, value in _settings(part):
        if isinstance(value, int | float):
            yield name, value
            continue
        # Several parts of one kind, or one inside of another.
        inner = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for index, one in inner:
            if attrs.has(type(one)):
                at = name if index is None else f"{name}.{index}"
                yield from ((f"{at}.{path}", number) for path, number in _numbers(one))


def _settings(part: Any) -> Iterator[tuple[str, Any]]:
    """What the part is made of, without what is filled in by whoever opens a store."""
    if attrs.has(type(part)):
        for field in attrs.fields(type(part)):
            value = getattr(part, field.name, None)
            if field.init and field.repr and not field.name.startswith("_") and not isinstance(value, bool):
                yield field.name, value


def changed_numbers(
    rules: Rules, numbers: Mapping[str, float], changes: Mapping[str, float | None]
) -> dict[str, float]:
    """The numbers that are set by hand once these are changed, too.

    Raises:
        ValueError: There is no such number, or it cannot be this one; the message says what there is.
    """
    known, changed = numbers_of(rules), dict(numbers)
    for name, value in changes.items():
        path = _path(name, known)
        changed.pop(path, None)
        if value is not None and (number := _checked(path, value, known[path])) != known[path]:
            changed[path] = number
    _, problems = with_numbers(rules, {path: changed[path] for path in changed if path in known})
    if problems:
        raise ValueError(problems[0])
    return changed


def _path(name: str, known: Mapping[str, float]) -> str:
    """The one that is meant: `pacing.rate` will do for `pacing.policies.0.rate` if there is no other."""
    if name in known:
        return name
    part, _, rest = name.partition(".")
    meant = [path for path in known if rest and path.startswith(f"{part}.") and path.endswith(f".{rest}")]
    if len(meant) == 1:
        return meant[0]
    what = f"{name} may be {' or '.join(meant)}: name one of them" if meant else f"there is no number {name!r}"
    likely = difflib.get_close_matches(name, known, n=1)
    hint = "" if meant else f"; did you mean {likely[0]}?" if likely else "."
    there = "" if meant else f" Numbers that can be set: {', '.join(known)}."
    msg = f"{what}{hint}{there}"
    raise ValueError(msg)


def _checked(path: str, value: Any, recipe: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= sys.float_info.max:
        msg = f"{path}: give a finite number, not {value!r:.40}"
        raise ValueError(msg)
    whole = isinstance(recipe, int) and float(value).is_integer()
    return int(value) if whole else value


def with_numbers(rules: Rules, numbers: Mapping[str, float]) -> tuple[Rules, list[str]]:
    """The rules with these numbers, and what is wrong with those that could not be set."""
    parts, problems = {part: getattr(rules, part) for part in PARTS}, dict[str, str]()
    left = dict(numbers)
    while left:
        problems = {}
        for path, value in left.items():
            part, _, rest = path.partition(".")
            try:
                parts[part] = _with(parts[part], rest.split("."), value)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                problems[path] = f"{path} cannot be {value!r}: {error}"
        if len(problems) == len(left):
            break
        left = {path: left[path] for path in problems}  # a part may take them once it has the others
    return attrs.evolve(rules, **parts, recipe=rules), list(problems.values())


def _with(part: Any, path: list[str], value: float) -> Any:
    """The part with another number somewhere inside of it; its own checks apply."""
    name, *rest = path
    inner = getattr(part, name)
    if isinstance(inner, tuple):
        index, *rest = rest
        items = list(inner)
        items[int(index)] = _with(items[int(index)], rest, value)
        return _evolved(part, name, tuple(items))
    return _evolved(part, name, _with(inner, rest, value) if rest else value)


def _evolved(part: Any, name: str, value: Any) -> Any:
    """As `attrs.evolve`; some parts take the others that they are made of as positional arguments."""
    fields = attrs.fields_dict(type(part))
    if name not in fields:
        msg = f"{type(part).__name__} has no setting {name}"
        raise LookupError(msg)
    if isinstance(value, tuple) and hasattr(type(part), "__attrs_init__"):  # it has an __init__ of its own
        return type(part)(*value)
    return attrs.evolve(part, **{fields[name].alias or name: value})
