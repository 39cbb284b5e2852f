"""SQLite's errors as pacer's."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from pacer._errors import CorruptStoreError, ReadOnlyStoreError, StoreError, StoreUnavailableError

_KINDS: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_FULL: (StoreUnavailableError, "The disk is full: free some space and try again."),
    sqlite3.SQLITE_IOERR: (StoreUnavailableError, "Reading or writing failed: check the disk and try again."),
    sqlite3.SQLITE_BUSY: (
        StoreUnavailableError,
        "Somebody else holds the write lock for longer than busy_timeout: keep transactions on this file short.",
    ),
    sqlite3.SQLITE_LOCKED: (StoreUnavailableError, "A table is locked: keep transactions on this file short."),
    sqlite3.SQLITE_NOMEM: (StoreUnavailableError, "No memory is left."),
    sqlite3.SQLITE_READONLY: (
        ReadOnlyStoreError,
        "It cannot be written: check the permissions of the file and of its directory.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        ReadOnlyStoreError,
        "It cannot be opened for writing: check the permissions of the file and of its directory.",
    ),
    sqlite3.SQLITE_PERM: (ReadOnlyStoreError, "Access was denied: check the permissions of the file."),
    sqlite3.SQLITE_AUTH: (ReadOnlyStoreError, "Access was denied: check the permissions of the file."),
    sqlite3.SQLITE_CORRUPT: (CorruptStoreError, "It is damaged: restore it from a backup or move it away."),
    sqlite3.SQLITE_NOTADB: (CorruptStoreError, "It is damaged: restore it from a backup or move it away."),
}


def store_error(error: sqlite3.Error, path: Path, action: str) -> StoreError:
    """The StoreError for an error of SQLite, with what to do about it."""
    # Extended codes keep the kind in their low byte; errors of the driver itself have no code.
    kind, advice = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, (StoreError, ""))
    return kind(f"{path}: {action} failed: {error}. {advice}".rstrip())
