"""Under which names a queue is kept: all with one hash tag, so that a cluster keeps them together."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

import attrs

from pacer.stores._rows import storable_text

# In this order they are the KEYS of every script; the scripts give them these names.
NAMES: Final = (
    "head",  # hash: what is known of the queue as a whole
    "jobs",  # hash: number of a job -> its row
    "data",  # hash: number of a job -> its arguments (large ones: number and "+"), or its result once it has ended
    "ids",  # hash: id of a job -> its number
    "unique",  # hash: unique key of a job that has not ended -> its number
    "ready",  # sorted set of numbers by sort key
    "due",  # sorted set of numbers, each with its sort key, by the time at which the job becomes ready
    "expiry",  # sorted set of the numbers of waiting jobs by the time at which they expire
    "running",  # set of numbers
    "ended",  # sorted set of numbers by the time of the end
    "batches",  # hash: state and batch -> how many jobs
    "kinds",  # set: task and home of waiting jobs
    "workers",  # hash: name -> until when it is alive, and what it can run
    "commits",  # hash: name of a worker -> number of its last commit, and when that was
    "lock",  # string: who holds it; it expires
    "baton",  # list: one entry if the lock has been given up and nobody has tried for it since
)
POSITIONS: Final = {name: number for number, name in enumerate(NAMES, 1)}

_PLAIN: Final = "!$&'()*+,-./:;=@_~"


def escaped(name: str) -> str:
    """The name as a part of a key: without what would end a hash tag, and never empty, which would be no hash tag."""
    return quote(storable_text(name), safe=_PLAIN) or "%"


def kind_text(task: str, home: str | None) -> str:
    """A task and a home as one text."""
    return json.dumps([task, home], separators=(",", ":"))


def number_text(seq: int) -> str:
    """The number of a job as text of one length, so that the order of texts is that of numbers."""
    return f"{seq:012x}"


@attrs.frozen(eq=False)
class Keys:
    """The names of the keys of one queue."""

    prefix: str
    queue: str
    fixed: tuple[bytes, ...] = attrs.field(init=False)
    """In the order of `NAMES`."""
    _stem: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        stem = f"{escaped(self.prefix)}:{{{escaped(self.queue)}}}"
        object.__setattr__(self, "_stem", stem)
        object.__setattr__(self, "fixed", tuple(f"{stem}:{name}".encode() for name in NAMES))

    def waiting(self, kind: str) -> bytes:
        """Sorted set: the numbers of the waiting jobs of this kind by their arrival."""
        return f"{self._stem}:waiting:{kind}".encode()

    @property
    def channel(self) -> str:
        """On which notices are published."""
        return f"{self._stem}:notices"
