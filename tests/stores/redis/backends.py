"""Two workers on one queue in Redis, without the rest of pacer; and jobs to put there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import redis

from pacer._job import JobRecord, JobState
from pacer.stores._redis._backend import RedisBackend
from pacer.stores._redis._keys import Keys
from pacer.stores._redis._wire import Wire
from pacer.stores._rows import encode
from pacer.stores._server._backend import Backend, Change, Head, Place, Writing

EMPTY = Head(version=0, state="{}", parts="{}")
_commits = itertools.count(1)


def backend(url: str, prefix: str, worker: str = "a", queue: str = "default") -> RedisBackend:
    made = RedisBackend(Wire(url, 5.0), Keys(prefix, queue), worker)
    made.connect()
    made.create(EMPTY)
    return made


def job(seq: int, **fields: Any) -> JobRecord:
    given: dict[str, Any] = {"task": "work", "payload": f"[{seq}]", "created_at": 1.0, "ready_at": 1.0, **fields}
    return JobRecord(**{"id": f"j{seq}", "seq": seq, "sort_key": float(seq), **given})


def came(record: JobRecord, place: Place = Place.READY) -> Change:
    return Change(record, Place.NOWHERE, place, record.seq, encode(record), None)


def started(record: JobRecord, was: Place = Place.READY) -> Change:
    new = attrs.evolve(record, state=JobState.RUNNING, worker="a", started_at=2.0)
    return Change(new, was, Place.RUNNING, None, None, "queued")


def ended(
    record: JobRecord,
    was: Place = Place.READY,
    at: float = 3.0,
    result: Any = None,
    state: JobState = JobState.SUCCEEDED,
) -> Change:
    new = attrs.evolve(record, state=state, ended_at=at, result=result, payload=None, worker=None)
    return Change(new, was, Place.ENDED, None, None, "running" if was is Place.RUNNING else "queued")


def back(record: JobRecord, state: JobState = JobState.FAILED, arrival: int = 1000) -> Change:
    """It had ended so, and waits again."""
    return Change(record, Place.ENDED, Place.READY, arrival, None, state.value)


def writing(head: Head, changes: Sequence[Change] = (), **fields: Any) -> Writing:
    """A commit on this head that changes these jobs, with the numbers of the head kept right."""
    ready, delayed = head.ready, head.delayed
    for one in changes:
        ready += (one.place is Place.READY) - (one.was is Place.READY)
        delayed += (one.place is Place.DELAYED) - (one.was is Place.DELAYED)
    new = attrs.evolve(head, version=head.version + 1, ready=ready, delayed=delayed)
    given: dict[str, Any] = {"time": None, "worker": "a", "commit": next(_commits), "workers": {}, **fields}
    return Writing(head=new, changes=changes, **given)


def commit(backend: Backend, *changes: Change, **fields: Any) -> bool:
    """Read, and write on top of it."""
    return backend.write(writing(backend.load(None, lock=False).head, changes, **fields))


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=None)


def keys_of(url: str, prefix: str) -> set[str]:
    """What is there, without prefix and queue."""
    with client(url) as server:
        return {key.decode().partition("}:")[2] for key in server.keys(f"{prefix}:*")}


def ids(rows: Sequence[Sequence[Any]]) -> list[str]:
    return [row[0] for row in rows]
