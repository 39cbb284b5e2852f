"""Stores by the URLs that settings and command lines hold, and what to call a store where people read it."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final
from urllib.parse import unquote

import attrs

from pacer.protocols import Store

_FORMS: Final = "sqlite:///jobs.db, postgresql://user@host/database or redis://host:6379/0"
# Greedy, because a password may hold what it should not: a slash, or an @.
_PASSWORD_IN_URL: Final = re.compile(r"(://[^:/@\s]*):\S*@")
_PASSWORD_IN_WORDS: Final = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE)


@attrs.frozen
class Kind:
    """A database that stores are made for.

    Attributes:
        name: What people call it.
        module: Where its store is; importing it needs the driver.
        store: The store's class.
    """

    name: str
    module: str
    store: str


_SQLITE: Final = Kind("SQLite", "pacer.stores.sqlite", "SqliteStore")
_POSTGRES: Final = Kind("PostgreSQL", "pacer.stores.postgres", "PostgresStore")
_REDIS: Final = Kind("Redis", "pacer.stores.redis", "RedisStore")
_KINDS: Final = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
}
# An @ behind what the driver takes for the host: it is a part of the password.
_STRAY_AT: Final = re.compile(r"\s*[^:/?#=\s]+://[^/?#]+[/?#][^=]*@")
_WORDS: Final = re.compile(r"\s*[a-z_]+\s*=")


@attrs.frozen
class StoreUrl:
    """A URL that names a store.

    Attributes:
        kind: Of which database.
        location: What its store takes: the path of the file, or the URL as the driver understands it.
    """

    kind: Kind
    location: str = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Raises ValueError, without the password. A DSN in words (host=... dbname=...) is PostgreSQL's."""
        if _WORDS.match(url):
            return cls(_POSTGRES, url)
        scheme, separator, rest = url.partition("://")
        # What SQLAlchemy calls a driver is none of ours: postgresql+asyncpg names the same database.
        scheme = scheme.lower().partition("+")[0]
        if not separator or scheme not in _KINDS:
            msg = f"{redacted(url)!r} is not the URL of a store; expected one such as {_FORMS}"
            raise ValueError(msg)
        kind = _KINDS[scheme]
        return cls(kind, _path(url, rest) if kind is _SQLITE else f"{scheme}://{rest}")

    @property
    def shown(self) -> str:
        """For people: without the password."""
        return redacted(self.location)

    def store(self, **settings: Any) -> Store:
        """The store, with these settings.

        Raises:
            ModuleNotFoundError: The driver is not installed; the message says what to install.
        """
        store: Store = getattr(importlib.import_module(self.kind.module), self.kind.store)(self.location, **settings)
        return store


def _path(url: str, rest: str) -> str:
    """As SQLAlchemy has it: three slashes and a relative path, four and an absolute one."""
    if not rest.startswith("/") or rest == "/":
        msg = f"{url!r} names no file; expected sqlite:///jobs.db, or sqlite:////var/lib/app/jobs.db for a whole path"
        raise ValueError(msg)
    return unquote(rest[1:])


def redacted(text: str) -> str:
    """The text with *** for any password of a URL or of a DSN's words."""
    return _PASSWORD_IN_WORDS.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def splits_a_password(url: str) -> bool:
    """Whether a password in the URL holds what would have to be written as %XX, so that it is not read as one."""
    return _STRAY_AT.match(url) is not None


def described(store: Store) -> str:
    """The store for people, on one line: its class and where it keeps its jobs."""
    name = type(store).__name__
    for attribute in ("path", "dsn", "url"):
        where = getattr(store, attribute, None)
        if where is not None:
            return f"{name}({redacted(str(where))})"
    return name
