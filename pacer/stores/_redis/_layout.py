"""What is looked at before a server is used: whether it takes writes and keeps them, and what is under our keys."""

from __future__ import annotations

from typing import Final

from pacer._errors import (
    CorruptStoreError,
    NewerSchemaError,
    NotOurStoreError,
    OlderSchemaError,
    StoreError,
    StoreUnavailableError,
)
from pacer.stores._redis._errors import read_only
from pacer.stores._redis._keys import MINUTES, NAMES, UNSUCCESSFUL, Keys, shelf_name
from pacer.stores._redis._scripts import LOOK
from pacer.stores._redis._wire import Wire

LAYOUT: Final = 2
"""Which version of the keys and of what they hold this is. In version 1, `ended` had all jobs that had ended."""

_BEHIND: Final = (*map(shelf_name, UNSUCCESSFUL), MINUTES)
_SETS: Final = {"head": b"hash", "running": b"set", "kinds": b"set", "lock": b"string", "baton": b"list"}
_SETS_OF: Final = dict.fromkeys(("ready", "due", "expiry", "ended", *_BEHIND), b"zset")
_OLDEST: Final = (6, 2)


def check_server(wire: Wire) -> tuple[str, ...]:
    """Raises a StoreError if the server cannot be used. Returns what may be lost with it, in sentences."""
    wire.ask("PING")  # a server that asks for a password says so to this
    try:
        info = _info(wire)
    except StoreUnavailableError:
        raise
    except StoreError:
        return (f"{wire.name} does not let this user ask (INFO) whether it keeps what is written to it.",)
    check_version(info.get("redis_version", ""), wire.name)
    if info.get("role") == "slave":
        raise read_only(wire.name)
    return tuple(f"{wire.name} {risk}" for risk in _risks(info, _fsync(wire)))


def check_version(version: str, name: str) -> None:
    """Raises a StoreError if it is known to be too old. Valkey says with which Redis it is compatible."""
    numbers = version.split(".")[:2]
    if len(numbers) == 2 and all(one.isdigit() for one in numbers) and tuple(map(int, numbers)) < _OLDEST:
        msg = f"{name} is Redis {version}, and pacer needs {'.'.join(map(str, _OLDEST))} or later. Upgrade it."
        raise StoreError(msg)


def _info(wire: Wire) -> dict[str, str]:
    text: bytes = wire.ask("INFO")
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def _fsync(wire: Wire) -> str | None:
    """None where the provider does not let one ask."""
    try:
        answer = wire.ask("CONFIG", "GET", "appendfsync")
    except StoreUnavailableError:
        raise
    except StoreError:
        return None
    return answer[1].decode() if answer else None


def _risks(info: dict[str, str], fsync: str | None) -> list[str]:
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"evicts keys when its memory is full (maxmemory-policy {policy}): a queue may lose all of its jobs at any "
            "moment. Set maxmemory-policy to noeviction; then new jobs are refused instead."
        )
    if info.get("aof_enabled") == "0":
        found.append(
            "does not write what it is told to a file at once (appendonly no): when it stops, all that came after its "
            "last snapshot is lost, or all there is if it makes none. Set appendonly to yes."
        )
    elif fsync == "no":
        found.append(
            "leaves it to the system when to write to disk (appendfsync no): a crash of the machine loses about half "
            "a minute. Set appendfsync to everysec, or to always to lose nothing."
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        found.append("cannot write its file (aof_last_write_status): check its disk.")
    return found


def check_layout(wire: Wire, keys: Keys) -> int | None:
    """Raises a StoreError if under the queue's keys is anything but a queue of this version or an earlier one.

    Returns the version; None if there is no queue.
    """
    types, layout = wire.run(LOOK, [*keys.fixed, *map(keys.key, _BEHIND)], (), again=True)
    shown = keys.fixed[0].decode()
    named = zip((*NAMES, *_BEHIND), types, strict=True)
    wrong = [name for name, found in named if found not in (b"none", _type(name))]
    if wrong or (types[0] != b"none" and layout is None):
        kind, what = (CorruptStoreError, "") if layout else (NotOurStoreError, "something else than a queue of pacer")
        what = what or f"things of other kinds ({', '.join(wrong)})"
        msg = f"{wire.name}: {shown} and the keys beside it hold {what}; nothing was changed. Give another prefix."
        raise kind(msg)
    if layout is not None and not layout.isdigit():
        msg = f"{wire.name}: {shown} holds no version that makes sense: {layout!r}. Restore it, or give another prefix."
        raise CorruptStoreError(msg)
    if layout is not None and int(layout) > LAYOUT:
        msg = (
            f"{wire.name}: {shown} was written by a newer version of pacer (layout {int(layout)}, this one knows "
            f"{LAYOUT}); nothing was changed. Upgrade pacer-scheduler, or give another prefix."
        )
        raise NewerSchemaError(msg)
    return None if layout is None else int(layout)


def older(name: str, layout: int) -> OlderSchemaError:
    """What a guest is told of a queue that no worker of this version has opened yet."""
    return OlderSchemaError(name, layout, LAYOUT, "Start a scheduler of this version on the queue once.")


def _type(name: str) -> bytes:
    return _SETS.get(name) or _SETS_OF.get(name) or b"hash"
