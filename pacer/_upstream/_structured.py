"""Lists of items with parameters, as structured fields of HTTP (RFC 9651) write them.

Only what the fields `RateLimit` and `RateLimit-Policy` can hold: thirty lines are less than a dependency.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Item = tuple[str, Mapping[str, float | str]]

_STRING = r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
_WORD = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
_NUMBER = r"-?\d{1,15}(?:\.\d{1,3})?(?![\d.])"
_OTHER = r":[A-Za-z0-9+/=]*:|\?[01]|@-?\d{1,15}"  # byte sequences, booleans, dates
_NAME = re.compile(f"{_STRING}|{_WORD}", re.ASCII)
_PARAMETER = re.compile(rf"; *([a-z*][a-z0-9_.*-]*)(?:=(?:({_NUMBER})|({_STRING}|{_WORD}|{_OTHER})))?", re.ASCII)
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def read_list(text: str) -> list[Item]:
    """The items of a list, `"burst";q=100;w=60, "daily";q=1000`; none at all if any part of it is malformed."""
    text = text.strip(" ")
    items: list[Item] = []
    at = 0
    while name := _NAME.match(text, at):
        parameters: dict[str, float | str] = {}
        at = name.end()
        while parameter := _PARAMETER.match(text, at):
            key, digits, word = parameter.groups()
            parameters[key] = float(digits) if digits else _bare(word or "")
            at = parameter.end()
        items.append((_bare(name[0]), parameters))
        if at == len(text):
            return items
        comma = _COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    return []


def _bare(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
