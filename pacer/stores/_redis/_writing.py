"""One commit as the arguments of a script: which commands put the changed jobs where they are to be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from pacer._job import JobRecord, JobState
from pacer._minutes import KEPT, Tally
from pacer.stores._redis._keys import MINUTES, NAMES, POSITIONS, Keys, kind_text, number_text, shelf_name
from pacer.stores._redis._rows import data_field, data_text, large_field, row_text
from pacer.stores._server._backend import CLOCK_TOLERANCE, Change, Head, Place, Writing

Argument = str | bytes

WAITING: Final = (Place.READY, Place.DELAYED)
# Lua hands over no more than some thousand arguments at once. Even, since most come in pairs.
_AT_ONCE: Final = 1000


def due_text(job: JobRecord) -> str:
    """A delayed job: its number, and where it is to stand once it is ready."""
    return number_text(job.seq) + repr(float(job.sort_key))


def batch_field(state: str, batch_id: str) -> str:
    """Where the jobs of a batch in this state are counted."""
    return f"{state}:{batch_id}"


def head_fields(head: Head, stamp: str, sorted_: int, known: Head | None) -> list[Argument]:
    """A head as pairs; without the long ones that are there already."""
    fields: list[Argument] = ["version", str(head.version), "stamp", stamp, "sorted", str(sorted_)]
    fields += ("at", repr(head.at))
    for name in ("ready", "delayed", "seq", "arrivals", "roster"):
        fields += (name, str(getattr(head, name)))
    if known is None or known.offset != head.offset:
        fields += ("offset", repr(head.offset))
    for name in ("state", "parts"):
        if known is None or getattr(known, name) != getattr(head, name):
            fields += (name, getattr(head, name))
    return fields


@attrs.define(eq=False)
class _Commands:
    """Arguments for each key, collected so that one command takes many of them."""

    _texts: list[Argument] = attrs.field(init=False, factory=list)

    def add(self, command: str, key: int, arguments: list[Argument]) -> None:
        """One command, or several if it has many arguments."""
        for first in range(0, len(arguments), _AT_ONCE):
            some = arguments[first : first + _AT_ONCE]
            self._texts += (command, str(key), str(len(some)))
            self._texts += some

    @property
    def texts(self) -> list[Argument]:
        """As the script takes them."""
        return self._texts


@attrs.define(eq=False)
class Commit:
    """What one commit does to each of the keys."""

    _keys: Keys
    _new_ids: list[Argument] = attrs.field(init=False, factory=list)
    _grows: bool = attrs.field(init=False, default=False)
    """Whether there is more to do than before, for which the server may have no memory."""
    _new_uniques: list[str] = attrs.field(init=False, factory=list)
    _free_uniques: set[str] = attrs.field(init=False, factory=set)
    _back_ids: list[Argument] = attrs.field(init=False, factory=list)
    """Of jobs that had ended: these have to be there still."""
    _added: dict[tuple[str, str], list[Argument]] = attrs.field(init=False, factory=dict)
    _removed: dict[tuple[str, str], list[Argument]] = attrs.field(init=False, factory=dict)
    _came: dict[str, list[Argument]] = attrs.field(init=False, factory=dict)
    """By kind: arrivals and numbers."""
    _left: dict[str, list[Argument]] = attrs.field(init=False, factory=dict)
    _counts: Counter[str] = attrs.field(init=False, factory=Counter)
    _others: dict[str, int] = attrs.field(init=False, factory=dict)
    """Names of keys that not every script is given, and their places behind those that it is."""

    def change(self, change: Change) -> None:
        """A job is to be as this says."""
        job, was, place = change.job, change.was, change.place
        number = number_text(job.seq)
        self._add("HSET", "jobs", number, row_text(job, change.encoded))
        if was is Place.NOWHERE:
            self._new(job, number)
        elif was is Place.ENDED:
            self._come_back(change, number)
        if place is Place.ENDED:
            self._end(job, number)
        if was is not place:
            self._move(job, number, was, place)
        if place in WAITING:
            self._wait(change, number)
        elif was in WAITING:
            self._wait_no_more(job, number)
        if job.batch_id is not None and change.was_state != job.state.value:
            self._counts[batch_field(job.state.value, job.batch_id)] += 1
            if change.was_state is not None:
                self._counts[batch_field(change.was_state, job.batch_id)] -= 1

    def _new(self, job: JobRecord, number: str) -> None:
        self._grows = True
        self._new_ids.append(job.id)
        self._add("HSET", "ids", job.id, number)
        if job.payload is not None:
            self._add("HSET", "data", data_field(number, job.payload), data_text(job.payload))
        self._take_unique(job, number)

    def _take_unique(self, job: JobRecord, number: str) -> None:
        if job.unique is not None and not job.state.final:
            self._new_uniques.append(job.unique)
            self._add("HSET", "unique", job.unique, number)

    def _come_back(self, change: Change, number: str) -> None:
        """Out of the set of those that ended so; or of the one where a worker of an earlier version has put it."""
        self._grows = True
        self._back_ids.append(change.job.id)
        for state in (change.was_state or "", JobState.SUCCEEDED.value):
            self._remove("ZREM", self._shelf(state), number)
        self._take_unique(change.job, number)

    def _end(self, job: JobRecord, number: str) -> None:
        if job.unique is not None:
            self._free_uniques.add(job.unique)
            self._remove("HDEL", "unique", job.unique)
        self._add("ZADD", self._shelf(job.state.value), repr(job.ended_at), number)
        if job.state is not JobState.SUCCEEDED:
            return  # it may be run again, with its arguments
        self._remove("HDEL", "data", number, large_field(number))
        if job.result is not None:
            self._add("HSET", "data", number, data_text(job.result))

    def _shelf(self, state: str) -> str:
        name = shelf_name(state)
        if name not in POSITIONS:
            self.touch(name)
        return name

    def touch(self, name: str) -> None:
        """The script is to be given this key, too."""
        self._others.setdefault(name, len(self._others))

    def _move(self, job: JobRecord, number: str, was: Place, place: Place) -> None:
        match was:
            case Place.READY:
                self._remove("ZREM", "ready", number)
            case Place.DELAYED:
                self._remove("ZREM", "due", due_text(job))
            case Place.RUNNING:
                self._remove("SREM", "running", number)
        match place:
            case Place.READY:
                self._add("ZADD", "ready", repr(float(job.sort_key)), number)
            case Place.RUNNING:
                self._add("SADD", "running", number)

    def _wait(self, change: Change, number: str) -> None:
        job = change.job
        if change.place is Place.DELAYED:
            self._add("ZADD", "due", repr(job.ready_at), due_text(job))
        if change.arrival is not None:
            self._came.setdefault(kind_text(job.task, job.home), []).extend((str(change.arrival), number))
            if job.expires_at is not None:
                self._add("ZADD", "expiry", repr(job.expires_at), number)

    def _wait_no_more(self, job: JobRecord, number: str) -> None:
        self._left.setdefault(kind_text(job.task, job.home), []).append(number)
        if job.expires_at is not None:
            self._remove("ZREM", "expiry", number)

    def _add(self, command: str, key: str, *arguments: Argument) -> None:
        self._added.setdefault((command, key), []).extend(arguments)

    def _remove(self, command: str, key: str, *arguments: Argument) -> None:
        self._removed.setdefault((command, key), []).extend(arguments)

    # -- as a whole --------------------------------------------------------------------------------------------------

    def keys(self) -> list[bytes]:
        """All that the script touches."""
        others = map(self._keys.key, self._others)
        return [*self._keys.fixed, *others, *map(self._keys.waiting, self._kinds())]

    def _kinds(self) -> list[str]:
        return list(dict.fromkeys((*self._came, *self._left)))

    def arguments(
        self, writing: Writing, known: Head, stamp: str, fields: list[Argument], lock: str, channel: str
    ) -> list[Argument]:
        """All that the script is told; `stamp` is the one that has to be there, `fields` the head as pairs."""
        uniques = [one for one in self._new_uniques if one not in self._free_uniques]
        return [
            str(known.version),
            stamp,
            "" if writing.time is None else repr(writing.time),
            str(CLOCK_TOLERANCE),
            lock,
            channel,
            "" if writing.notice is None else writing.notice,
            writing.worker,
            str(writing.commit),
            str(len(self._new_ids)),
            *self._new_ids,
            str(len(uniques)),
            *uniques,
            str(len(self._back_ids)),
            *self._back_ids,
            "0" if self._grows else "1",
            *self._commands(writing, fields),
        ]

    def _commands(self, writing: Writing, fields: list[Argument]) -> list[Argument]:
        commands = _Commands()
        commands.add("HSET", POSITIONS["head"], fields)
        # First what goes: a unique key may be free for a new job because another has ended just now.
        for (command, key), arguments in (*self._removed.items(), *self._added.items()):
            commands.add(command, self._position(key), arguments)
        self._add_kinds(commands)
        for field, count in self._counts.items():
            if count:
                commands.add("COUNT", POSITIONS["batches"], [field, str(count)])
        _add_workers(commands, writing.workers)
        for minute in writing.minutes:
            _add_minute(commands, self._position(MINUTES), minute)
        return commands.texts

    def _position(self, key: str) -> int:
        return POSITIONS.get(key) or len(NAMES) + 1 + self._others[key]

    def _add_kinds(self, commands: _Commands) -> None:
        for number, kind in enumerate(self._kinds(), len(NAMES) + len(self._others) + 1):
            if kind in self._left:
                commands.add("ZREM", number, self._left[kind])
            if kind in self._came:
                commands.add("ZADD", number, self._came[kind])
                commands.add("SADD", POSITIONS["kinds"], [kind])
            else:
                commands.add("KIND", number, [kind])


def _add_workers(commands: _Commands, workers: Mapping[str, tuple[float, str] | None]) -> None:
    there: list[Argument] = []
    left: list[Argument] = []
    for name, said in workers.items():
        if said is None:
            left.append(name)
        else:
            there += (name, json.dumps(said))
    commands.add("HSET", POSITIONS["workers"], there)
    commands.add("HDEL", POSITIONS["workers"], left)


def _add_minute(commands: _Commands, key: int, minute: Tally) -> None:
    """One that is there already gives way, and so do those that nobody asks for any more."""
    number = int(minute[0])
    commands.add("ZREMRANGEBYSCORE", key, [str(number), str(number)])
    commands.add("ZREMRANGEBYSCORE", key, ["-inf", str(number - KEPT)])
    commands.add("ZADD", key, [str(number), json.dumps(list(minute))])


def commit_of(writing: Writing, keys: Keys) -> Commit:
    """What this comes to."""
    commit = Commit(keys)
    for change in writing.changes:
        commit.change(change)
    if writing.minutes:
        commit.touch(MINUTES)
    return commit
