"""The seams of pacer, on one page.

Write a class with these methods and hand it to a `Scheduler`: there is nothing to inherit from. `pacer.testing` has a
contract suite for each seam that shows whether yours holds.

Policies and estimators are recipes: configuration only, hashable, safe to share between schedulers. What they learn is
a *state* that they are handed and hand back changed. A state is plain data that survives `json.dumps` and `json.loads`
unchanged: numbers, strings, None, and lists and dicts of these (a `TypedDict` is a good choice). A method never
mutates the state it is given, never waits, and never reads a clock or a random generator other than those it is given.
Times are seconds as float on the store's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from pacer._durations import Durations
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, QueueInfo, Rerun, WorkerSeen
from pacer._snapshot import LOOK_AHEAD

if TYPE_CHECKING:
    from pacer._rules import Rules
    from pacer._snapshot import QueueState, Snapshot

__all__ = [
    "NOW",
    "Added",
    "Addition",
    "Admission",
    "BackoffPolicy",
    "Beat",
    "Claimed",
    "Codec",
    "DurationEstimator",
    "Durations",
    "Expired",
    "Failure",
    "JobFacts",
    "JobOrder",
    "JobQueue",
    "Ledger",
    "LimitReport",
    "Listed",
    "Listing",
    "Observer",
    "PacingPolicy",
    "QueueInfo",
    "Rerun",
    "Settled",
    "Store",
    "When",
    "WorkerSeen",
]

S = TypeVar("S")


class JobFacts(Protocol):
    """What strategies may know of a job."""

    @property
    def id(self) -> str:
        """Unique among the jobs of its queue."""

    @property
    def task(self) -> str:
        """The name of its function."""

    @property
    def key(self) -> str | None:
        """The lane it belongs to, for example a tenant; None is a lane of its own."""

    @property
    def priority(self) -> int:
        """Larger is more urgent."""

    @property
    def cost(self) -> Mapping[str, float]:
        """What it is expected to use, by dimension: `{"requests": 1, "tokens": 1800}`."""

    @property
    def created_at(self) -> float:
        """When it was enqueued."""

    @property
    def ready_at(self) -> float:
        """The earliest time at which it may start as far as the job itself is concerned."""

    @property
    def expires_at(self) -> float | None:
        """The time by which it has to have started; None if it may wait for ever."""

    @property
    def started_at(self) -> float | None:
        """When its current run began; None while it waits."""


@attrs.frozen
class When:
    """When a job may start, and why not sooner.

    Attributes:
        at: A time, in seconds on the clock of the question; in the past means now, `inf` means no time can be named.
        on_event: True if the answer may become sooner when something else happens (a job ends, the queue is resumed).
        reason: One phrase for people: "pause of 10 s after the last job".
        lane: True if the answer holds for jobs with this job's key only; others may start sooner.
        by_hand: True if it is a person who stopped it. Waiting for an event while no job runs is a mistake otherwise.
    """

    at: float
    on_event: bool = False
    reason: str = ""
    lane: bool = False
    by_hand: bool = False

    @property
    def never(self) -> bool:
        """Whether the job can never start, as one that costs more than a limit allows: it stops none of the others."""
        return self.at == math.inf and not self.on_event


NOW = When(-math.inf)
"""Nothing stands in the way."""


@attrs.frozen(kw_only=True)
class LimitReport:
    """What an upstream said of one of its limits.

    Attributes:
        name: The dimension: "requests", "tokens", ... If the upstream has several limits of one dimension, the others
            have more to their name after a slash: "requests/daily".
        limit: How much is allowed a window; None if not said.
        remaining: How much of it is left; None if not said.
        reset_in: Seconds until `remaining` grows again, or until it is full again; None if not said.
        window: Seconds that a window lasts; None if not said.
        as_of: Seconds from the start of the run until it was true: 0 of the first answer, which was asked for then.
    """

    name: str
    limit: float | None = None
    remaining: float | None = None
    reset_in: float | None = None
    window: float | None = None
    as_of: float = 0.0


class PacingPolicy(Protocol[S]):
    """Says when the next job may start. For every `started` there is exactly one `ended`.

    Seven more names are looked for, and may be left out. `rate_limit(state, now) -> float | None` says how many starts
    of cost 1 a second there can be in the long run, as far as the policy is about a rate. `slows_on_throttle = True`
    says that the policy itself starts fewer jobs after a throttle, so that the queue need not be held when the upstream
    names no time. `on_clock(epoch)` gives the same policy for a clock that showed 0 at that Unix time; a policy that
    speaks of the calendar needs it, because not every store's clock counts from 1970. `rested(state, now) -> bool` says
    whether, while none of its jobs runs, a new state would let nobody start sooner than this one; a policy needs it
    that lets a job start although a part of a limit is used up, so that `PerKey` does not forget that part.
    `with_rate(state, now, rate)` gives the state with a rate that a person has set (None: that of the recipe), for
    `Scheduler.set_rate`. `hold_ended(state, now)` gives the state with a hold of the queue over that was to last longer
    (`Outcome.hold`), for `Scheduler.end_hold`; a policy needs it that counts from the end of a hold. `starts_ahead =
    True` says that the end of a run never makes the next job start later, unless the run cost more than it was charged.
    A store with many workers may then give out start times a moment ahead of the clock: `earliest` and `started` are
    called for that moment, and an `ended` that comes before it is told when it comes. So `now` never goes back.
    """

    def initial_state(self) -> S:
        """The state of a queue that has never run a job."""

    def earliest(self, state: S, now: float, job: JobFacts, running: int) -> When:
        """When may `job` start, with `running` jobs running? Asked often; changes nothing."""

    def started(self, state: S, now: float, job: JobFacts, running: int) -> S:
        """`job` starts now, beside `running` others. Charge for it."""

    def ended(self, state: S, now: float, job: JobFacts, outcome: Outcome, running: int) -> S:
        """A started job has ended, beside `running` others still running. Learn from it, or give back.

        With `outcome.unused` it had not begun at all; others may have been given a start after it.
        """


@attrs.frozen
class Failure:
    """The failure that a backoff policy is asked about.

    Attributes:
        count: Failures in a row up to and including this one; 1 or more.
        previous: The delay that followed the failure before, in seconds; 0 at the first.
        elapsed: Seconds since the first failure of the row.
        retry_after: Seconds that the upstream asked to wait; None if it did not.
        successes: Jobs of the queue that succeeded lately. Each counts 1 at first and fades, to 1/e in 60 s.
        retries: The same for jobs that were put back to be retried.
    """

    count: int
    previous: float = 0.0
    elapsed: float = 0.0
    retry_after: float | None = None
    successes: float = 0.0
    retries: float = 0.0


class BackoffPolicy(Protocol):
    """Says how long to wait after a failure: for the queue's failures in a row, or for the retries of one job.

    One more method is looked for, and may be left out: `most_running(failures: int) -> int | None` says how many jobs
    may run at once while the queue's failures in a row are this many, as a circuit breaker does whose probe is out;
    None for any number. It is asked of a queue's backoff policy only.
    """

    def delay(self, failure: Failure, random: Random) -> float | None:
        """Seconds to wait, 0 or more. None: give up (for a queue's streak, no delay). `random` is for jitter."""


class DurationEstimator(Protocol[S]):
    """Says how long jobs take."""

    def initial_state(self) -> S:
        """The state before any job has been seen."""

    def observed(self, state: S, job: JobFacts, duration: float, outcome: Outcome) -> S:
        """A run of `duration` seconds has ended. Whether failures teach is the estimator's choice."""

    def predict(self, state: S, job: JobFacts) -> Durations:
        """How long will a run of this job take?"""


class JobOrder(Protocol[S]):
    """Says which of the waiting jobs is next, by a number that each of them is given when it comes in."""

    def initial_state(self) -> S:
        """The state of a queue that has never held a job."""

    def place(self, state: S, job: JobFacts, expected: Callable[[], float]) -> tuple[float, S]:
        """The job's sort key, and the state after it. `expected()` is the expected duration of the job in seconds.

        Asked once for each job that comes in, and before that by a queue that forecasts whether to let it in, which
        drops the state. Smaller keys start first; equal keys in order of arrival.
        """

    def started(self, state: S, job: JobFacts, sort_key: float) -> S:
        """The job with this key leaves the queue to be run."""


@attrs.frozen
class Admission:
    """Whether jobs may enter a queue.

    Attributes:
        accepted: True if all of them may.
        drop: How many of the oldest waiting jobs have to go first.
        retry_after: If refused for another reason than `capacity`: seconds after which it is worth another try; None
            if that is when there is expected to be room.
        reason: Why they were refused, for people: "a job would start in about 700 s". Empty: too many wait.
    """

    accepted: bool
    drop: int = 0
    retry_after: float | None = None
    reason: str = ""


class JobQueue(Protocol):
    """Says which jobs may enter, and in what order they leave."""

    @property
    def capacity(self) -> int:
        """How many jobs may wait."""

    @property
    def order(self) -> JobOrder[Any]:
        """Which of the waiting jobs is next."""

    @property
    def wait_timeout(self) -> float | None:
        """Seconds that `enqueue` waits for a slot when refused; 0 refuses at once, None waits for ever."""

    def admit(self, incoming: int, waiting: int, expected_wait: Callable[[], float | None]) -> Admission:
        """May `incoming` jobs enter beside `waiting` others?

        `expected_wait()` is the forecast start of the last of them, in seconds from now; None if no time can be named.
        """


class Observer(Protocol):
    """Is told what happened: any callable with one argument, one of `pacer.events`. It must return soon.

    Two more names are looked for, and may be left out. `headers() -> Mapping[str, str]` is called when a job is
    enqueued; what it gives goes with the job, wherever that runs. `running(job, headers)` gives a context manager that
    is entered around the call of the job's function, in its own context, with the `JobFacts` and what went with it.
    """

    def __call__(self, event: Any, /) -> object:
        """Called once for each event, in order. What it returns is not looked at; what it raises is logged."""


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
