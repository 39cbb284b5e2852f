"""What the core asks of a store, and what a store answers. Public as part of `pacer.protocols`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, QueueInfo, Rerun, WorkerSeen
from pacer._snapshot import LOOK_AHEAD
from pacer._when import When

if TYPE_CHECKING:
    from pacer._rules import Rules
    from pacer._snapshot import QueueState, Snapshot


class Codec(Protocol):
    """Turns arguments and results into what a store can hold, and back."""

    def encode_call(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Raises NotEncodableError, naming the argument."""

    def decode_call(self, payload: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments that `encode_call` was given."""

    def encode_result(self, task: str, result: Any) -> Any:
        """Raises NotEncodableError."""

    def decode_result(self, payload: Any) -> Any:
        """The result that `encode_result` was given."""


@attrs.frozen
class Added:
    """One job that was handed to a store.

    Attributes:
        record: The job, or the one that exists already under this id or unique key.
        position: Its 1-based place among the waiting jobs; None if it does not wait.
        created: False if it existed already.
    """

    record: JobRecord
    position: int | None
    created: bool


@attrs.frozen
class Addition:
    """The answer to `Ledger.add`.

    Attributes:
        jobs: One for each record handed in, in that order.
        dropped: The jobs that had to leave a full queue for them.
        snapshot: The queue just after it.
    """

    jobs: Sequence[Added]
    dropped: Sequence[JobRecord]
    snapshot: Snapshot


@attrs.frozen
class Claimed:
    """Jobs that this worker now holds and must run, and when to ask again if there are none."""

    jobs: Sequence[JobRecord]
    next: When
    now: float


@attrs.frozen
class Expired:
    """Jobs that have left the queue because their time was over, and when that of the next one is; None for none."""

    jobs: Sequence[JobRecord]
    next: float | None


@attrs.frozen
class Settled:
    """What the end of one run changed.

    Attributes:
        record: The job after it; in state `queued` it will run again at `record.ready_at`.
        hold: Seconds that the whole queue is now held because of it.
        queue: The queue's state after it.
    """

    record: JobRecord
    hold: float
    queue: QueueState


@attrs.frozen
class Beat:
    """The answer to a heartbeat: which of the jobs this worker has lost, and which it is asked to cancel."""

    lost: frozenset[str]
    cancel: frozenset[str]


class Ledger(Protocol):
    """An open store, as one worker on one queue uses it. Every method is atomic: all of it happens, or nothing.

    What may happen is decided by the rules that the ledger was opened with, never by the ledger.

    Two more names are looked for, and may be left out. `async stage(connection, records) -> Addition` adds jobs in the
    transaction of somebody's connection, for `Scheduler.using`; None where there are no such transactions.
    `arrived() -> Sequence[Addition]` gives the jobs that this worker has taken into the queue after such a transaction
    was committed, once; `changed` of `watch` is called when there are some.
    """

    @property
    def rules(self) -> Rules:
        """What decides: as the ledger was opened with, on its clock, with the numbers that a person has set."""

    @property
    def heartbeat(self) -> float | None:
        """Seconds between calls of `beat` and `recover`; None if nobody else can take this worker's jobs."""

    @property
    def poll(self) -> float | None:
        """Seconds after which other processes may have changed the queue unseen; None if there are none."""

    @property
    def risks(self) -> Sequence[str]:
        """What may be lost with the database as it is set up, a sentence each; none if all is well."""

    def watch(self, changed: Callable[[], None], ended: Callable[[str | None], None]) -> None:
        """Have these called, on the event loop, when others have changed the queue. One that cannot tell is polled.

        `changed`: a job may start, or there may be room. `ended`: the job with this id has ended, or waits again; None:
        any job may have.
        """

    def now(self) -> float:
        """The store's clock."""

    def utc(self, at: float) -> datetime:
        """A time on the store's clock, for people."""

    # In the order in which a job meets them:
    async def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all of these jobs, or none. Raises QueueFullError. Durable when it returns."""

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take up to `limit` jobs that may start now and that this worker can run: by task name, or by home.

        Some may be for a moment that is yet to come: they must not begin before their `started_at`.
        """

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        """Extend the leases of these jobs and write down their progress."""

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        """A run has ended. Raises LeaseLostError if this worker no longer holds the job."""

    async def release(self, held: Sequence[JobRecord], *, begun: bool = True) -> None:
        """Give back unfinished jobs, to be run again. It costs them nothing.

        Not `begun`: their functions have not been called, and the pacing policy may give back what they were charged.
        """

    async def recover(self, tasks: frozenset[str], slots: int = 1) -> Sequence[JobRecord]:
        """Take jobs from workers that are gone: to be run again, stale or dead. Returns those changed.

        `tasks` are the functions that this worker knows; a job that no live worker can run becomes stale. `slots`, how
        many jobs it runs at once, is told to people only: a worker without slots vouches for its functions, too.
        """

    async def expire(self) -> Expired:
        """Take out the waiting jobs whose time to start is over."""

    # What people ask and say:
    async def job(self, job_id: str) -> JobRecord | None:
        """The job as it is now; None if there is none with this id."""

    async def position(self, job_id: str) -> int | None:
        """Its 1-based place among the waiting jobs; None if it does not wait."""

    async def snapshot(self, ahead: int = LOOK_AHEAD) -> Snapshot:
        """The queue as it is now, with up to `ahead` of the jobs that are next named, for a forecast."""

    async def batch(self, batch_id: str) -> BatchProgress | None:
        """How far the batch is; None if there is none with this id."""

    async def listed(self, listing: Listing) -> Listed:
        """Some of the jobs in one state, in its order. It looks at a bounded number of jobs, however many there are."""

    async def tally(self, most: int) -> Mapping[JobState, int]:
        """How many ended jobs are kept in each state, each counted up to so many; states without jobs are left out."""

    async def history(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order; minutes in which nothing did are left out."""

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those who have the queue open, those included that have vanished and have not been missed yet."""

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel a waiting job; ask the holder of a running one to. Returns the state found; None if unknown."""

    async def set_paused(self, paused: bool) -> None:
        """Whether jobs may start, for all workers at once. Survives a restart."""

    async def end_hold(self) -> bool:
        """A hold ends now, for all workers at once, as `Rules.end_hold` says. Returns whether there was one."""

    async def set_rate(self, rate: float | None) -> None:
        """At which rate jobs start, for all workers at once, as `Rules.set_rate` says. Survives a restart."""

    async def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        """Numbers of the parts, for all workers at once, as `Rules.set_numbers` says. Survives a restart."""

    async def rerun(self, job_ids: Sequence[str]) -> Rerun:
        """Enqueue jobs again that ended without success, one after the other, as long as there is room.

        Each comes back under its id and to its old place, enqueued now, with nothing counted against it.
        """

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        """Add these jobs for this time of a periodic schedule, unless somebody else already has.

        `was` is the time for which that was done last, as in `QueueState.ticks`; None for never. If it is another one,
        nothing is done, and the answer is None. Without records the time is only passed over. Raises QueueFullError.
        """


class Store(Protocol):
    """Where jobs and learned state live: a recipe (path, settings) that can be opened by many workers at once."""

    @property
    def codec(self) -> Codec:
        """How arguments and results are written."""

    async def queues(self) -> Sequence[QueueInfo]:
        """The queues that there are, by name. Makes and changes nothing. Raises StoreError."""

    def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AbstractAsyncContextManager[Ledger]:
        """Open the store for one worker on one queue. Makes or migrates what is missing. Raises StoreError.

        Workers that are alive share a queue if their strategies and settings are equal. With others it raises
        PartsDifferError, or takes the queue over: then `add`, `claim` and `set_rate` of the workers before raise
        TakenOverError; what these run, they end as usual, and it teaches only strategies of the same class.

        A `guest` looks and steers, and is not one of the workers. It makes nothing: a queue that is not there raises
        UnknownQueueError. If its strategies and settings are not those of the queue, `add`, `rerun`, `set_rate` and
        `set_numbers` raise TakenOverError, as for workers before a takeover; all else works.
        """
