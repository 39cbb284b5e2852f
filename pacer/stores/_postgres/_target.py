"""Where a database is and how it is connected to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from pacer.stores._from_url import splits_a_password

_PORT: Final = "5432"
_PORTS: Final = re.compile(r"[0-9,\s]*")
# Reaching a host that is gone is noticed after 10 + 3 * 5 s, also while nothing is asked of it.
_KEEPALIVES: Final = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# A worker that is stopped while it holds the lock of a queue holds up the others for so long.
STOPPED_FOR: Final = 3.0
# One lock may have to wait until another has been taken away.
LOCK_WITHIN: Final = 3 * STOPPED_FOR
# Each statement has one good plan, by an index, whatever the tables' statistics say; those are missing or old right
# after many jobs have come in. And it is planned once.
_PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def dsn_text(value: Any) -> str:
    """The DSN, if it is one. An error never shows it: what looks wrong may be the password."""
    if not isinstance(value, str):
        msg = f"PostgresStore: dsn must be a str, got {type(value).__name__}"
        raise TypeError(msg)
    if not _can_be_read(value):
        msg = (
            "PostgresStore: dsn cannot be read. Give a URI (postgresql://user:password@host:5432/database; special "
            "characters of the password as %XX), or words (host=... dbname=... user=... password=...)."
        )
        raise ValueError(msg)
    return value


def _can_be_read(dsn: str) -> bool:
    """Whether it can, and the driver takes no part of the password for something else, which would be shown."""
    try:
        found = conninfo_to_dict(dsn)
    except psycopg.Error:
        return False
    # libpq takes the first @ for the end of the password. A path that begins with one is of an abstract socket.
    host, port = (str(found.get(name) or "") for name in ("host", "port"))
    return not (splits_a_password(dsn) or "@" in host[1:]) and _PORTS.fullmatch(port) is not None


def redacted(dsn: str) -> str:
    """The database and the user that a DSN names, without password."""
    found = conninfo_to_dict(dsn)
    host = str(found.get("host") or found.get("hostaddr") or "")
    port = str(found.get("port") or _PORT)
    where = (
        f"[local socket{f' {host}' if host else ''}]:{port}" if not host or host.startswith("/") else _at(host, port)
    )
    user, name = found.get("user"), found.get("dbname")
    return f"postgresql://{f'{user}@' if user else ''}{where}/{name or user or ''}"


def _at(hosts: str, ports: str) -> str:
    listed, numbers = hosts.split(","), ports.split(",")
    if len(numbers) == 1:
        numbers *= len(listed)
    return ",".join(f"{host}:{port}" for host, port in zip(listed, numbers, strict=False))


@attrs.frozen
class Target:
    """A database, and how to connect to it.

    Attributes:
        dsn: As it was given, with the password in it.
        schema: Where pacer's tables are.
        connect_timeout: Seconds for connecting to one host.
        timeout: Seconds for one answer of the server.
        pooled: Whether there is a pooler in between that gives each transaction another session.
    """

    dsn: str = attrs.field(repr=redacted)
    schema: str
    connect_timeout: float
    timeout: float
    pooled: bool

    @property
    def name(self) -> str:
        """For people; without a password."""
        return redacted(self.dsn)

    @property
    def patience(self) -> float:
        """Seconds after which an answer that has not come is taken to be lost on the way."""
        return self.timeout + 2.0

    def arguments(self) -> dict[str, Any]:
        """What `connect` is called with."""
        given = conninfo_to_dict(self.dsn)
        own: dict[str, Any] = {
            "application_name": "pacer",
            **_KEEPALIVES,
            "connect_timeout": max(2, round(self.connect_timeout)),
        }
        arguments = {**own, **given, "client_encoding": "utf8", "autocommit": True}
        if self.pooled:
            return {**arguments, "prepare_threshold": None}
        words = [str(given.get("options") or ""), *(f"-c {name}={value}" for name, value in self._session().items())]
        return {**arguments, "prepare_threshold": 0, "options": " ".join(words).strip()}

    def _session(self) -> Mapping[str, str]:
        return {
            **_PLANS,
            "default_transaction_isolation": r"read\ committed",
            "statement_timeout": _milliseconds(self.timeout),
            "lock_timeout": _milliseconds(LOCK_WITHIN),
            "idle_in_transaction_session_timeout": _milliseconds(STOPPED_FOR),
        }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
