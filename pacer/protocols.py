"""The seams of pacer: those of strategies and observers on one page, and by name what a store and a codec are asked.

Write a class with these methods and hand it to a `Scheduler`: there is nothing to inherit from. `pacer.testing` has a
contract suite for each seam that shows whether yours holds.

Policies and estimators are recipes: configuration only, hashable, safe to share between schedulers. What they learn is
a *state* that they are handed and hand back changed. A state is plain data that survives `json.dumps` and `json.loads`
unchanged: numbers, strings, None, and lists and dicts of these (a `TypedDict` is a good choice). A method never
mutates the state it is given, never waits, and never reads a clock or a random generator other than those it is given.
Times are seconds as float on the store's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol, TypeVar

import attrs

from pacer._durations import Durations
from pacer._job import Outcome
from pacer._limit_report import LimitReport
from pacer._overview import Listed, Listing, QueueInfo, Rerun, WorkerSeen
from pacer._store_seam import Added, Addition, Beat, Claimed, Codec, Expired, Ledger, Settled, Store
from pacer._when import NOW, When

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
