"""What a server may lose of what it has acknowledged."""

from __future__ import annotations

from typing import Any, Final

import psycopg

_RISKS: Final = {
    ("fsync", "off"): "a crash of its machine may destroy the database. Set fsync = on.",
    ("full_page_writes", "off"): "a crash of its machine may destroy the database. Set full_page_writes = on.",
    ("synchronous_commit", "off"): (
        "a crash of the server loses what it has acknowledged in the last moments. Set synchronous_commit = on for "
        "this role or database."
    ),
}


def risks_of(connection: psycopg.Connection[Any], database: str) -> list[str]:
    """A sentence for each setting with which what is acknowledged is not safe."""
    names = [name for name, _ in _RISKS]
    found = connection.execute("SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1)", (names,))
    return [
        f"{database}: {name} is {setting}: {_RISKS[name, setting]}"
        for name, setting in found.fetchall()
        if (name, setting) in _RISKS
    ]
