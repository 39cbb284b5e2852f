"""Headers of any library, in one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Headers = Mapping[str, tuple[str, ...]]
"""Header fields: name in lower case -> its values, in the order in which they came."""

# More and longer ones do not speak of limits.
_MOST_FIELDS = 500
_LONGEST_VALUE = 2000


def read_headers(headers: Any) -> Headers:
    """Any mapping, or list of pairs, of str or bytes; a value may be a list. What cannot be read is left out."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        for name, value in _pairs(headers):
            key = _text(name).lower()
            found[key] = (*found.get(key, ()), *_values(value))
            if len(found) >= _MOST_FIELDS:
                break
    except Exception:  # noqa: S110 - somebody else's class; what has been read before it raised is good
        pass
    return found


def _pairs(headers: Any) -> Iterator[tuple[Any, Any]]:
    # `multi_items` is httpx's: its `items` joins repeated fields by commas, which are also part of dates.
    items = getattr(headers, "multi_items", None) or getattr(headers, "items", None)
    pairs: Iterable[Any] = items() if callable(items) else headers or ()
    for pair in pairs:
        if isinstance(pair, tuple | list) and len(pair) == 2:
            yield pair[0], pair[1]


def _values(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list | tuple) else (value,):
        text = _text(one).strip()
        if 0 < len(text) <= _LONGEST_VALUE:
            yield text


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)
