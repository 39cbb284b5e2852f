"""Under which names a queue is kept: all with one hash tag, so that a cluster keeps them together."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote, unquote

import attrs

from pacer._job import ENDED_WITHOUT_SUCCESS, JobState
from pacer.stores._rows import storable_text

# In this order they are the KEYS of every script; the scripts give them these names.
NAMES: Final = (
    "head",  # hash: what is known of the queue as a whole
    "jobs",  # hash: number of a job -> its row
    "data",  # hash: number of a job -> its arguments (large ones: number and "+"), or its result if it has succeeded
    "ids",  # hash: id of a job -> its number
    "unique",  # hash: unique key of a job that has not ended -> its number
    "ready",  # sorted set of numbers by sort key
    "due",  # sorted set of numbers, each with its sort key, by the time at which the job becomes ready
    "expiry",  # sorted set of the numbers of waiting jobs by the time at which they expire
    "running",  # set of numbers
    "ended",  # sorted set of numbers of jobs that have succeeded, by the time of the end
    "batches",  # hash: state and batch -> how many jobs
    "kinds",  # set: task and home of waiting jobs
    "workers",  # hash: name -> until when it is alive, and what it can run
    "commits",  # hash: name of a worker -> number of its last commit, and when that was
    "lock",  # string: who holds it; it expires
    "baton",  # list: one entry if the lock has been given up and nobody has tried for it since
)
POSITIONS: Final = {name: number for number, name in enumerate(NAMES, 1)}

# These a script is given behind the others, and only if it has to do with them.
MINUTES: Final = "minutes"  # sorted set: what happened in a minute, as JSON, by the number of the minute
UNSUCCESSFUL: Final = tuple(state.value for state in JobState if state in ENDED_WITHOUT_SUCCESS)


def shelf_name(state: str) -> str:
    """Of the sorted set of the jobs that have ended so, by the time of the end."""
    return "ended" if state == JobState.SUCCEEDED.value else f"ended:{state}"


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
    unsuccessful: tuple[bytes, ...] = attrs.field(init=False)
    """The sets of jobs that have ended without success, in the order of `UNSUCCESSFUL`."""
    _stem: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_stem", f"{escaped(self.prefix)}:{{{escaped(self.queue)}}}")
        object.__setattr__(self, "fixed", tuple(self.key(name) for name in NAMES))
        object.__setattr__(self, "unsuccessful", tuple(self.key(shelf_name(state)) for state in UNSUCCESSFUL))

    def key(self, name: str) -> bytes:
        """The key that is called so here."""
        return f"{self._stem}:{name}".encode()

    def waiting(self, kind: str) -> bytes:
        """Sorted set: the numbers of the waiting jobs of this kind by their arrival."""
        return self.key(f"waiting:{kind}")

    @staticmethod
    def pattern(prefix: str) -> str:
        """What the keys look like of which each queue with this prefix has one."""
        return escaped(prefix).replace("*", "\\*") + ":{*}:head"

    @staticmethod
    def queue_of(key: bytes, prefix: str) -> str | None:
        """The name of the queue that has such a key; None if it is not one of pacer's."""
        text = key.decode(errors="replace")
        inner = text.removeprefix(f"{escaped(prefix)}:{{").removesuffix("}:head")
        name = "" if inner == "%" else unquote(inner, errors="replace")
        return name if Keys(prefix, name).key("head") == key else None

    @property
    def channel(self) -> str:
        """On which notices are published."""
        return f"{self._stem}:notices"
