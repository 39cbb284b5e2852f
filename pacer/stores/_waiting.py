"""The waiting jobs of one queue in memory, in order, with their positions."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import islice

import attrs

from pacer._job import JobRecord
from pacer.stores._lazily import Lazily

_Entry = tuple[float, int, JobRecord]


def _entry(record: JobRecord) -> _Entry:
    return (record.sort_key, record.seq, record)


def _due(record: JobRecord) -> tuple[float, int]:
    """Stands just before the entry of a delayed job."""
    return (record.ready_at, record.seq)


def _first(entry: _Entry) -> float:
    return entry[0]


def _record(entry: _Entry) -> JobRecord:
    return entry[2]


_NOTHING = Lazily[_Entry, JobRecord]([], _record)


@attrs.define(eq=False)
class WaitingJobs:
    """Ready jobs in a sorted list, delayed ones in another by the time at which they become ready.

    Jobs leave at the front nearly always, so the front is an index that moves, and the list is cut now and then:
    taking the first and appending the last cost the same however many wait.
    """

    _ready: list[_Entry] = attrs.field(init=False, factory=list)
    _front: int = attrs.field(init=False, default=0)
    _delayed: list[_Entry] = attrs.field(init=False, factory=list)
    _by_arrival: dict[int, JobRecord] = attrs.field(init=False, factory=dict)
    _expiries: list[_Entry] = attrs.field(init=False, factory=list)
    """A heap. Jobs that have left the queue stay in it for a while."""
    _shown: Lazily[_Entry, JobRecord] = attrs.field(init=False, default=_NOTHING)
    """What `front` gave last, as long as it is true: receipts keep it, and many of them may share it."""

    def __len__(self) -> int:
        return len(self._by_arrival)

    def __iter__(self) -> Iterator[JobRecord]:
        """All waiting jobs: ready ones in order, then delayed ones by time."""
        for index in range(self._front, len(self._ready)):
            yield self._ready[index][2]
        for _, _, record in self._delayed:
            yield record

    def add(self, record: JobRecord, now: float) -> int:
        """Put a job in; returns its 1-based position."""
        self._by_arrival[record.seq] = record
        if record.expires_at is not None:
            self._expires(record, record.expires_at)
        self._take_due(now)
        if record.ready_at > now:
            insort(self._delayed, (record.ready_at, record.seq, record))
            return self._delayed_position(record)
        entry = _entry(record)
        if not self._ready or self._ready[-1] < entry:
            self._ready.append(entry)
            return len(self._ready) - self._front
        index = bisect_left(self._ready, entry, lo=self._front)
        self._ready.insert(index, entry)
        if index - self._front < len(self._shown):
            self._shown = _NOTHING
        return index - self._front + 1

    def remove(self, record: JobRecord) -> None:
        """Take a job out, wherever it stands."""
        del self._by_arrival[record.seq]
        index = self._front if self.first() is record else self._index(record)
        if index is None:
            del self._delayed[bisect_left(self._delayed, _due(record))]
            return
        self._shown = _NOTHING
        if index == self._front:
            self._front += 1
            if self._front * 2 > len(self._ready):
                del self._ready[: self._front]
                self._front = 0
        else:
            del self._ready[index]

    def first(self) -> JobRecord | None:
        """The first of those known to be ready."""
        return self._ready[self._front][2] if self._front < len(self._ready) else None

    def ready(self, now: float) -> Iterator[JobRecord]:
        """Jobs that may start as far as they are concerned, in order. Do not change the queue while iterating."""
        self._take_due(now)
        for index in range(self._front, len(self._ready)):
            yield self._ready[index][2]

    def delayed(self) -> Iterator[JobRecord]:
        """The others, by the time at which they become ready."""
        for _, _, record in self._delayed:
            yield record

    def next_ready_at(self) -> float | None:
        """When the first of the delayed jobs becomes ready; None if there is none."""
        return self._delayed[0][0] if self._delayed else None

    def position(self, record: JobRecord, now: float) -> int:
        """1-based: ready jobs by their order; a delayed job counts all ready ones and the delayed ones due before."""
        self._take_due(now)
        index = self._index(record)
        return self._delayed_position(record) if index is None else index - self._front + 1

    def place_of(self, sort_key: float, now: float) -> int:
        """Where a new job with this key would come to stand, if it is ready at once."""
        self._take_due(now)
        return bisect_right(self._ready, sort_key, lo=self._front, key=_first) - self._front + 1

    def oldest(self, count: int) -> list[JobRecord]:
        """The jobs that came into the queue first (a job that came back counts from its return)."""
        return list(islice(self._by_arrival.values(), count))

    def front(self, count: int) -> Sequence[JobRecord]:
        """The first of those known to be ready, at this moment."""
        if len(self._shown) != min(count, len(self._ready) - self._front):
            self._shown = Lazily(self._ready[self._front : self._front + count], _record)
        return self._shown

    def expired(self, now: float) -> list[JobRecord]:
        """The jobs whose time to start is over. They are still in here."""
        if not self._expiries:
            return []
        found = dict[int, JobRecord]()
        while (at := self.next_expiry()) is not None and at <= now:
            _, seq, record = heapq.heappop(self._expiries)
            found[seq] = record
        return list(found.values())

    def next_expiry(self) -> float | None:
        """When the first job's time to start is over; None if all may wait for ever."""
        while self._expiries and not self._holds(self._expiries[0]):
            heapq.heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def _expires(self, record: JobRecord, at: float) -> None:
        if len(self._expiries) > 2 * len(self._by_arrival) + 100:
            # A job that came back is in it more than once.
            left = {entry[1]: entry for entry in self._expiries if self._holds(entry)}
            self._expiries = list(left.values())
            heapq.heapify(self._expiries)
        heapq.heappush(self._expiries, (at, record.seq, record))

    def _holds(self, entry: _Entry) -> bool:
        """Whether the job has not left the queue, nor come back with another time."""
        at, seq, record = entry
        return self._by_arrival.get(seq) is record and record.expires_at == at

    def _take_due(self, now: float) -> None:
        """Delayed jobs whose time has come are ready."""
        if not self._delayed or self._delayed[0][0] > now:
            return
        due = bisect_right(self._delayed, now, key=_first)
        for _, _, record in self._delayed[:due]:
            insort(self._ready, _entry(record), lo=self._front)
        del self._delayed[:due]
        self._shown = _NOTHING

    def _index(self, record: JobRecord) -> int | None:
        index = bisect_left(self._ready, _entry(record), lo=self._front)
        found = index < len(self._ready) and self._ready[index][2] is record
        return index if found else None

    def _delayed_position(self, record: JobRecord) -> int:
        return len(self._ready) - self._front + bisect_left(self._delayed, _due(record)) + 1
