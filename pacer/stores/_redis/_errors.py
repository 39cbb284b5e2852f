"""Redis's errors as pacer's."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import redis.exceptions

from pacer._errors import CorruptStoreError, ReadOnlyStoreError, StoreError, StoreUnavailableError

_Kind = tuple[type[StoreError], str]

# By the first word of an answer. Inside a script it may stand anywhere in it.
_ANSWERS: Final[dict[str, _Kind]] = {
    "OOM": (
        StoreUnavailableError,
        (
            "Its memory is full (maxmemory): no new jobs are taken until some have ended and been removed, or it is "
            "given more. Running jobs go on."
        ),
    ),
    "READONLY": (
        StoreUnavailableError,
        "It is a replica and takes no writes: give the URL of the primary. After a failover it may soon be one.",
    ),
    "MISCONF": (StoreUnavailableError, "It cannot write its snapshot to disk and takes no writes: check its disk."),
    "NOREPLICAS": (StoreUnavailableError, "It has too few replicas to take writes (min-replicas-to-write)."),
    "LOADING": (StoreUnavailableError, "It is starting and loads its data: try again soon."),
    "BUSY": (StoreUnavailableError, "It is busy with a script or function of somebody: try again soon."),
    "MASTERDOWN": (StoreUnavailableError, "It is a replica that has lost its primary."),
    "CLUSTERDOWN": (StoreUnavailableError, "The cluster is down or has slots that nobody serves."),
    "TRYAGAIN": (StoreUnavailableError, "The cluster is moving the queue's slot: try again soon."),
    "ASK": (StoreUnavailableError, "The cluster is moving the queue's slot: try again soon."),
    "NOAUTH": (StoreError, "It asks for a password: put it into the URL, redis://:password@host or user:password@."),
    "WRONGPASS": (StoreError, "It refused the user name or password in the URL."),
    "NOPERM": (
        StoreError,
        (
            "The user in the URL may not do this: it needs the keys and channels that begin with the prefix, and "
            "+@read +@write +@scripting +@pubsub +@connection +time; with +info +config|get it also sees what may "
            "be lost."
        ),
    ),
    "WRONGTYPE": (
        CorruptStoreError,
        (
            "A key of the queue holds something else: somebody has written to it. Give another prefix, or remove the "
            "keys of this queue if its jobs do not matter."
        ),
    ),
    "MOVED": (StoreUnavailableError, "The cluster sends from node to node: try again soon."),
    "CROSSSLOT": (StoreError, "The server does not keep the keys of one queue together as a cluster does."),
}
# Versions of the driver differ in whether "MOVED" and the slot are a part of the text.
_NODE: Final = re.compile(r"(\S*):(\d+)$")
_WORD: Final = re.compile(rf"(?<![A-Za-z])({'|'.join(_ANSWERS)})(?= |$)")


def store_error(error: Exception, name: str, action: str) -> StoreError:
    """The StoreError for an error of the driver, with what to do about it."""
    kind, advice = _kind(error)
    return kind(f"{name}: {action} failed: {_text(error)} {advice}".rstrip())


def _text(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _kind(error: Exception) -> _Kind:
    if isinstance(error, redis.exceptions.AuthenticationError):
        return _ANSWERS["NOAUTH" if "required" in str(error).lower() else "WRONGPASS"]
    if "max number of clients" in str(error):
        return StoreUnavailableError, "Each open queue uses two connections: raise maxclients, or close some of others."
    if word := getattr(error, "status_code", None) or code(error):
        return _ANSWERS.get(word, (StoreError, ""))
    if isinstance(error, redis.exceptions.TimeoutError):
        return StoreUnavailableError, "It did not answer in time: check that it runs and is not overloaded."
    if isinstance(error, redis.exceptions.ConnectionError | OSError):
        return StoreUnavailableError, "Check that the server runs, and that the URL is right."
    return StoreError, ""


def code(error: Exception) -> str:
    """The word with which the server says what is wrong; empty if it did not."""
    for kind, word in _TYPES.items():
        if isinstance(error, kind):
            return word
    found = _WORD.search(str(error)) if isinstance(error, redis.exceptions.ResponseError) else None
    return found[1] if found else ""


_TYPES: Final[dict[type[Exception], str]] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.TryAgainError: "TRYAGAIN",
    redis.exceptions.ClusterCrossSlotError: "CROSSSLOT",
    redis.exceptions.MovedError: "MOVED",
    redis.exceptions.AskError: "ASK",
}


def moved_to(error: redis.exceptions.ResponseError) -> dict[str, str | int] | None:
    """Where a cluster says that the queue is: host and port, or the port if the host is the same. None: it does not."""
    place = _NODE.search(str(error)) if code(error) == "MOVED" else None
    if place is None:
        return None
    host, port = place.groups()
    return {"port": int(port), **({"host": host} if host else {})}


def read_only(name: str) -> ReadOnlyStoreError:
    """Of a server that is a replica when it is connected to."""
    return ReadOnlyStoreError(f"{name} is a replica and takes no writes. Give the URL of the primary.")


def shown(url: str) -> str:
    """The URL without user, password and options."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or 'localhost'}{port}{parts.path}"
