"""PostgreSQL's errors as pacer's, without a password and without the contents of jobs."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from pacer._errors import CorruptStoreError, ReadOnlyStoreError, StoreError, StoreUnavailableError

_TABLES_CHANGED: Final = (
    "pacer's tables are not as they should be: start the application again, which makes or migrates what is missing, "
    "or restore them from a backup."
)
# The first that fits counts.
_KINDS: Final[tuple[tuple[type[psycopg.Error] | tuple[type[psycopg.Error], ...], type[StoreError], str], ...]] = (
    (errors.InsufficientPrivilege, ReadOnlyStoreError, "{grants}"),
    (
        errors.ReadOnlySqlTransaction,
        ReadOnlyStoreError,
        (
            "The server takes no writes: it is a standby, or default_transaction_read_only is on. Give the primary's "
            "address, or several with target_session_attrs=read-write."
        ),
    ),
    (
        (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName, errors.UndefinedFunction),
        CorruptStoreError,
        _TABLES_CHANGED,
    ),
    (
        (errors.DataCorrupted, errors.IndexCorrupted),
        CorruptStoreError,
        "The database is damaged: restore it from a backup.",
    ),
    (errors.DiskFull, StoreUnavailableError, "The server's disk is full: free some space and try again."),
    (
        (errors.TooManyConnections, errors.ConfigurationLimitExceeded),
        StoreUnavailableError,
        "Each open queue uses two connections: raise max_connections, or put a pooler in front (pooled=True).",
    ),
    (
        errors.LockNotAvailable,
        StoreUnavailableError,
        "Somebody holds a lock on pacer's tables for long: look into pg_stat_activity, and try again.",
    ),
    (
        errors.QueryCanceled,
        StoreUnavailableError,
        "The server took longer than the store's timeout: try again, or raise it.",
    ),
    (errors.IdleInTransactionSessionTimeout, StoreUnavailableError, "This process was stopped for seconds: try again."),
    (errors.SerializationFailure, StoreUnavailableError, "Try again."),
    (errors.DeadlockDetected, StoreUnavailableError, "Try again."),
    (
        (psycopg.OperationalError, psycopg.InterfaceError),
        StoreUnavailableError,
        "Check that the server runs and can be reached, and who may connect; the next call tries again.",
    ),
)


def store_error(error: psycopg.Error, database: str, grants: str) -> StoreError:
    """The StoreError for an error of PostgreSQL or of its driver, with what to do about it.

    Args:
        error: What went wrong.
        database: Which database, without a password.
        grants: What to do where privileges are missing.
    """
    if "unsupported startup parameter" in str(error):  # what a pooler says to the settings of a session
        return StoreError(f"{database}: {_told(error)}. There is a pooler in between: give the store pooled=True.")
    for kinds, kind, advice in _KINDS:
        if isinstance(error, kinds):
            return kind(f"{database}: {_told(error)}. {advice.format(grants=grants)}".rstrip())
    return StoreError(f"{database}: {_told(error)}.")


def holds_data(error: psycopg.Error) -> bool:
    """Whether its text may repeat what is in jobs, so that it must not come into a log."""
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError)


def _told(error: psycopg.Error) -> str:
    if holds_data(error):
        return f"{type(error).__name__} (SQLSTATE {error.sqlstate})"
    text = error.diag.message_primary or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines).rstrip(".") or type(error).__name__
