"""SQL with named values, as PostgreSQL takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
from psycopg import sql

_VALUE: Final = re.compile(r"%\((\w+)\)s")


def in_schema(text: str, schema: str) -> sql.Composed:
    """The SQL with the schema's quoted name in the place of `{schema}`."""
    return sql.SQL(text).format(schema=sql.Identifier(schema))


@attrs.frozen
class Statement:
    """A statement with numbered parameters, of which the server chooses the types.

    Values are handed over as text. If the driver chose the types, by the size of a number for example, one statement
    would be prepared many times; and the driver looks through a long statement anew each time it finds names in it.

    Attributes:
        text: With `$1` and so on.
        names: Of the values, in the order of their numbers.
    """

    text: bytes
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, schema: str) -> Statement:
        """From text with `{schema}` and `%(name)s`."""
        names = list(dict.fromkeys(_VALUE.findall(text)))
        numbered = _VALUE.sub(lambda found: f"${names.index(found[1]) + 1}", text)
        return cls(in_schema(numbered, schema).as_bytes(None), tuple(names))

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters, from values by name: numbers, text and None."""
        return [
            value if value is None or isinstance(value, str) else repr(value)
            for value in [values[name] for name in self.names]
        ]
