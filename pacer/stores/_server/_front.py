"""The ready jobs of a queue in order: the first of them in memory, the others read when they are needed."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

import attrs

from pacer._job import JobRecord
from pacer._snapshot import Facts, facts
from pacer.stores._rows import SEQ, SORT_KEY, Row, encode, facts_of, row_of
from pacer.stores._server._backend import FRONT, Backend, Content, Key

_BEFORE_ALL: Final[Key] = (-math.inf, 0)
_AFTER_ALL: Final[Key] = (math.inf, 2**63)
_LARGEST_CHUNK: Final = 512
# More jobs than these are not kept, even if all of them are known.
_KEPT: Final = 1024

Entry = Row | JobRecord
"""A ready job as it was read, or as it was added here."""


@attrs.define(eq=False)
class Front:
    """What is in order on the server, with what this transaction has added and taken.

    A job that was added here and that is beyond what has been read is kept apart until it has been written.
    """

    _backend: Backend
    _keys: list[Key] = attrs.field(init=False, factory=list)
    _entries: dict[Key, Entry] = attrs.field(init=False, factory=dict)
    _read_to: Key = attrs.field(init=False, default=_BEFORE_ALL)
    _chunk: int = attrs.field(init=False, default=FRONT)
    _last: Key | None = attrs.field(init=False, default=None)
    """No ready job has a larger key than this."""
    _beyond: dict[Key, JobRecord] = attrs.field(init=False, factory=dict)
    _came: list[Key] = attrs.field(init=False, factory=list)
    """Keys that the server does not know yet, sorted."""
    _gone: list[Key] = attrs.field(init=False, factory=list)
    """Keys that it still has, sorted."""

    def reset(self, content: Content) -> None:
        """Begin with what was read."""
        self.written()
        self._entries = {_key(row): row for row in content.front}
        self._keys = list(self._entries)
        self._read_to = self._keys[-1] if len(self._keys) >= FRONT else _AFTER_ALL
        self._chunk, self._last = FRONT, content.last

    def written(self) -> None:
        """The server has all of it now."""
        self._beyond, self._came, self._gone = {}, [], []

    # -- jobs that come and go ---------------------------------------------------------------------------------------

    def add(self, job: JobRecord) -> None:
        """A job is ready."""
        key = (job.sort_key, job.seq)
        insort(self._came, key)
        if self._last is None or key > self._last:
            self._last = key
        if self._keys and len(self._keys) >= _KEPT and key > self._keys[-1] and key <= self._read_to:
            self._read_to = self._keys[-1]
        if key <= self._read_to:
            insort(self._keys, key)
            self._entries[key] = job
        else:
            self._beyond[key] = job

    def remove(self, job: JobRecord) -> None:
        """A ready job has left."""
        key = (job.sort_key, job.seq)
        if self._entries.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        self._beyond.pop(key, None)
        index = bisect_left(self._came, key)
        if index < len(self._came) and self._came[index] == key:
            del self._came[index]
        else:
            insort(self._gone, key)

    # -- looking at them ---------------------------------------------------------------------------------------------

    def in_order(self, ready: int) -> Iterator[Row]:
        """Rows of the ready jobs, of which there are so many. Jobs may be removed between two steps, not added."""
        last = _BEFORE_ALL
        while True:
            index = bisect_left(self._keys, last)
            if index < len(self._keys) and self._keys[index] == last:
                index += 1
            if index < len(self._keys):
                last = self._keys[index]
                yield row_in(self._entries[last])
            elif not self._read_on(ready):
                return

    def first(self, ready: int) -> list[Entry]:
        """The first ready jobs: some, if there are any."""
        if not self._keys:
            self._read_on(ready)
        return [self._entries[key] for key in self._keys[:FRONT]]

    def named(self, count: int, ready: int) -> list[Entry]:
        """The first ready jobs, as far as a forecast looks at them."""
        if len(self._keys) >= min(count, ready):
            return [self._entries[key] for key in self._keys[:count]]
        found: dict[Key, Entry] = {_key(row): row for row in self._backend.named(count + len(self._gone))}
        for key in self._came:
            found[key] = self._entries[key] if key in self._entries else self._beyond[key]
        for key in self._gone:
            found.pop(key, None)
        return [found[key] for key in sorted(found)[:count]]

    def ahead_of(self, key: Key, ready: int) -> int:
        """How many of the ready jobs have smaller keys."""
        if self._last is None or key > self._last:
            return ready
        if key == self._last:
            return ready - 1
        if key <= self._read_to:
            return bisect_left(self._keys, key)
        known = self._backend.ahead_of(key)
        return known + bisect_left(self._came, key) - bisect_left(self._gone, key)

    def _read_on(self, ready: int) -> bool:
        if ready <= len(self._keys) or self._read_to == _AFTER_ALL:
            return False
        rows = self._backend.in_order(self._read_to, self._chunk)
        up_to = _key(rows[-1]) if len(rows) >= self._chunk else _AFTER_ALL
        found: dict[Key, Entry] = {_key(row): row for row in rows}
        for key in self._gone:
            found.pop(key, None)
        for key in [key for key in self._beyond if key <= up_to]:
            found[key] = self._beyond.pop(key)
        self._read_to, self._chunk = up_to, min(2 * self._chunk, _LARGEST_CHUNK)
        self._entries.update(found)
        self._keys += sorted(found)
        return True


def _key(row: Row) -> Key:
    return row[SORT_KEY], row[SEQ]


def row_in(entry: Entry) -> Row:
    """The row of a ready job."""
    return row_of(entry, encode(entry)) if isinstance(entry, JobRecord) else entry


def facts_in(entry: Entry) -> Facts:
    """What strategies may know of a ready job."""
    return facts(entry) if isinstance(entry, JobRecord) else facts_of(entry)
