"""A Redis server: whether it keeps what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pacer._errors import StoreError
from pacer._operate._doctor._finding import Finding, error, note, warning
from pacer._operate._text import count_text
from pacer.stores._redis._wire import Wire

_NEARLY_FULL: Final = 0.9
_CONNECT_WITHIN: Final = 5.0


def examine_redis(url: str) -> Iterator[Finding]:
    """All that is wrong with it. Raises StoreUnavailableError."""
    wire = Wire(url, _CONNECT_WITHIN)
    try:
        info = _parsed(wire.ask("INFO", "everything"))
        yield from _role(info)
        yield from _memory(info)
        yield from _files(info)
        yield from _settings(wire)
    finally:
        wire.close()


def _parsed(text: bytes) -> Mapping[str, str]:
    lines = text.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _role(info: Mapping[str, str]) -> Iterator[Finding]:
    if info.get("role", "master") != "master":
        yield error(
            "replica",
            "this server is a replica",
            "nothing can be written to it",
            "give the address of the primary, or one that follows it",
        )


def _memory(info: Mapping[str, str]) -> Iterator[Finding]:
    evicted = int(info.get("evicted_keys", 0))
    if evicted:
        yield error(
            "evicted",
            f"{count_text(evicted, 'key has', 'keys have')} been evicted since the server started",
            "jobs or what the queue has learned may be gone",
            "set maxmemory-policy noeviction, and give jobs a server of their own",
        )
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used > most * _NEARLY_FULL:
        make = error if used >= most else warning
        yield make(
            "memory-full",
            f"{used / most:.0%} of maxmemory ({most // 2**20} MB) is used",
            "when it is full, jobs are refused",
            "raise maxmemory, or keep ended jobs for less time (keep_finished_for of the store)",
        )


def _files(info: Mapping[str, str]) -> Iterator[Finding]:
    if info.get("aof_enabled") == "1" and "err" in (
        info.get("aof_last_write_status", "ok"),
        info.get("aof_last_bgrewrite_status", "ok"),
    ):
        yield error(
            "aof-failing",
            "the server could not write its append-only file",
            "it refuses to write, or loses what it has acknowledged when it is started again",
            "look at the server's log: is its disk full?",
        )
    if info.get("rdb_last_bgsave_status", "ok") == "err":
        yield error(
            "rdb-failing",
            "the server could not write its last snapshot",
            "by default it refuses to write anything until that works again",
            "look at the server's log: is its disk full?",
        )


def _settings(wire: Wire) -> Iterator[Finding]:
    try:
        found: dict[str, str] = {}
        for name in ("maxmemory-policy", "appendonly"):
            answer: Any = wire.ask("CONFIG", "GET", name)
            found |= {answer[0].decode(): answer[1].decode()} if answer else {}
    except StoreError:
        yield note(
            "settings-hidden",
            "the server does not say how it is set up (CONFIG is not allowed)",
            "whether it keeps what it is given is not known",
            "ask who runs it: maxmemory-policy must be noeviction, and appendonly should be yes",
        )
        return
    policy = found.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        yield error(
            "eviction",
            f"maxmemory-policy is {policy}",
            "when its memory is full, the server throws jobs away",
            "set maxmemory-policy noeviction",
        )
    if found.get("appendonly", "yes") != "yes":
        yield warning(
            "no-aof",
            "appendonly is off",
            "when the server ends, jobs since its last snapshot are lost",
            "set appendonly yes",
        )
