"""What there is of one queue in the memory of this process, whoever has it open."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

import attrs

from pacer._job import JobRecord
from pacer._minutes import KEPT, Tally
from pacer._snapshot import QueueState
from pacer.stores._waiting import WaitingJobs


@attrs.frozen(eq=False)
class Watcher:
    """What one of the workers wants to be told of the doings of the others; see `Ledger.watch`."""

    changed: Callable[[], None]
    ended: Callable[[str | None], None]


@attrs.frozen
class WorkerSaid:
    """What is known of one of the workers: until when it is alive, what it can run, and how much at once."""

    until: float
    tasks: frozenset[str]
    slots: int


@attrs.define(eq=False)
class QueueData:
    """All there is of one named queue."""

    state: QueueState
    parts: str
    """With which strategies and settings it is run: the `Tenure.text` of the worker that opened it last."""
    waiting: WaitingJobs = attrs.field(factory=WaitingJobs)
    running: dict[str, JobRecord] = attrs.field(factory=dict)
    jobs: dict[str, JobRecord] = attrs.field(factory=dict)
    finished: OrderedDict[str, JobRecord] = attrs.field(factory=OrderedDict)
    """In the order in which they ended. The first leaves for each that comes: a dict would search for it."""
    expired: list[JobRecord] = attrs.field(factory=list)
    """Jobs that have expired and have yet to be told of."""
    unique: dict[str, JobRecord] = attrs.field(factory=dict)
    batches: dict[str, list[JobRecord]] = attrs.field(factory=dict)
    workers: dict[str, WorkerSaid] = attrs.field(factory=dict)
    watchers: dict[str, Watcher] = attrs.field(factory=dict)
    minutes: deque[Tally] = attrs.field(factory=lambda: deque(maxlen=KEPT))
    """What happened in minutes that are over."""
    seq: int = 0
    loop: object = None
    shift: float = 0.0
    left_at: float | None = None
    left_wall: float = 0.0
