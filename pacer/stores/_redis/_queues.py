"""Which queues there are on a server, or on all nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pacer._overview import QueueInfo
from pacer.stores._parts import stored_terms
from pacer.stores._redis._keys import Keys
from pacer.stores._redis._wire import Wire

# So many keys a server looks at before it does something else.
_AT_ONCE: Final = 1000


def queues_on(wire: Wire, prefix: str) -> list[QueueInfo]:
    """The queues with this prefix, by name. All keys of the server are looked through, a few at a time."""
    found: dict[str, QueueInfo] = {}
    masters = wire.masters()
    try:
        for master in masters:
            # Looked through first: a node that sends elsewhere for one key is not asked for others after that.
            for name in list(_names(master, prefix)):
                layout, parts = master.ask("HMGET", Keys(prefix, name).key("head"), "layout", "parts")
                if layout is not None and parts is not None:
                    found[name] = QueueInfo(name, stored_terms(parts.decode(errors="replace")))
    finally:
        for master in masters:
            if master is not wire:
                master.close()
    return [found[name] for name in sorted(found)]


def _names(wire: Wire, prefix: str) -> Iterator[str]:
    pattern, cursor = Keys.pattern(prefix), b"0"
    while True:
        cursor, keys = wire.ask("SCAN", cursor, "MATCH", pattern, "COUNT", _AT_ONCE)
        for key in keys:
            name = Keys.queue_of(key, prefix)
            if name is not None:
                yield name
        if cursor == b"0":
            return
