"""The exceptions of pacer.

PacerError
├── QueueFullError          the queue takes no more jobs now; says when to come back
├── JobError                a job did not end with a result
│   ├── JobFailedError      its function raised, timed out, or gave up after retries
│   ├── JobCancelledError   somebody cancelled it, or it was dropped, or has expired
│   ├── JobStaleError       a crash interrupted it and it was not run again
│   └── ResultUnavailableError   it succeeded, but its result was not kept
├── NotRetryableError       the job cannot be enqueued again; says why
├── ArgumentsUnavailableError  the arguments of the job are not kept
├── ImpossibleJobError      the pacing policy would never let the job start
├── UnknownJobError         no job has this id
├── NotRunningError         the scheduler has not been started, or has stopped
├── AlreadyRunningError     the scheduler has been started already
├── NotEncodableError       an argument cannot be written to the store
├── TaskError               a function is registered twice, under a taken name, or not although it has to be
├── LeaseLostError          this worker no longer holds the job; its outcome is refused
└── StoreError              the store cannot be used
    ├── NotOurStoreError    the file or database belongs to something else
    ├── CorruptStoreError   the file is damaged
    ├── ReadOnlyStoreError  the file or its directory cannot be written
    ├── NewerSchemaError    a newer version of pacer wrote it
    ├── OlderSchemaError    it has yet to be brought to this version
    ├── StoreUnavailableError  disk full, locked or failing: nothing was written, try again
    ├── UnknownQueueError   it holds no queue of this name
    ├── PartsDifferError    others run the queue with other settings
    ├── TakenOverError      others have taken the queue over with other settings
    └── UnsupportedBackendError  the store does not run on this event loop
Throttled                   raised *by* a job's function: the upstream said "not now"
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pacer._validation import optional_seconds

if TYPE_CHECKING:
    from pacer._limit_report import LimitReport


class PacerError(Exception):
    """The root of all errors that pacer raises."""


class QueueFullError(PacerError):
    """The queue takes no more jobs now.

    Attributes:
        capacity: How many jobs may wait.
        retry_after: Seconds until there is expected to be room, always above 0.
        reason: Why there is none, in one phrase; empty if it is that as many jobs wait as may.
    """

    def __init__(self, capacity: int, retry_after: float, reason: str = "") -> None:
        super().__init__(capacity, retry_after, reason)
        self.capacity = capacity
        self.retry_after = retry_after
        self.reason = reason

    def __str__(self) -> str:
        why = f"takes no more jobs: {self.reason}" if self.reason else f"is full ({self.capacity} jobs wait)"
        return f"the queue {why}; try again in {math.ceil(self.retry_after)} s"


class JobError(PacerError):
    """A job ended without a result.

    Attributes:
        job_id: The job.
        reason: What happened, in one line.
    """

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(job_id, reason)
        self.job_id = job_id
        self.reason = reason

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.reason}"


class JobFailedError(JobError):
    """The job's function raised, timed out, or the job was given up after its retries."""


class JobCancelledError(JobError):
    """The job was cancelled, dropped from a full queue in favour of a newer one, or had not started in time."""


class JobStaleError(JobError):
    """A crash interrupted the job and it was not run again; enqueue it anew if it still matters."""


class ResultUnavailableError(JobError):
    """The job succeeded, but its result could not be kept in the store."""


class NotRetryableError(PacerError):
    """The job cannot be enqueued again.

    Attributes:
        job_id: The job.
        reason: Why, in one phrase.
    """

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(job_id, reason)
        self.job_id = job_id
        self.reason = reason

    def __str__(self) -> str:
        return f"job {self.job_id} cannot be enqueued again: {self.reason}"


class ArgumentsUnavailableError(PacerError, LookupError):
    """The arguments of the job are not kept: it has succeeded, or they live in the process that enqueued it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return (
            f"the arguments of job {self.job_id} are not kept: those of jobs that have succeeded are removed, and "
            "those of functions that are not registered live in one process only"
        )


class ImpossibleJobError(PacerError, ValueError):
    """The pacing policy would never let this job start, for example because its cost is above the limit.

    Attributes:
        reason: What the policy says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the job can never start: {self.reason}. Lower its cost, or raise the policy's limit."


class UnknownJobError(PacerError, LookupError):
    """No job has this id (it never existed, or its record has been removed after the retention time)."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"no job has the id {self.job_id!r}"


class NotRunningError(PacerError, RuntimeError):
    """The scheduler is not running: use it inside `async with scheduler:`."""


class AlreadyRunningError(PacerError, RuntimeError):
    """The scheduler is running already; one scheduler object is started once at a time."""


class NotEncodableError(PacerError, TypeError):
    """An argument or result cannot be written to the store; the message names it."""


class TaskError(PacerError, ValueError):
    """A function cannot be registered as a task, or its jobs cannot be run unless it is; the message says why."""


class LeaseLostError(PacerError):
    """This worker no longer holds the job: its lease ran out and another took over. Its outcome is refused."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"job {self.job_id} is no longer held by this worker; its outcome was refused"


class StoreError(PacerError):
    """The store cannot be used; the message says what to do."""


class NotOurStoreError(StoreError):
    """The file or database belongs to something else; nothing was changed."""


class CorruptStoreError(StoreError):
    """The file is damaged; nothing was changed."""


class ReadOnlyStoreError(StoreError):
    """The file, or the directory it is in, cannot be written; nothing was changed."""


class NewerSchemaError(StoreError):
    """A newer version of pacer wrote this store; nothing was changed."""


class OlderSchemaError(StoreError):
    """The tables are those of an earlier version of pacer, and it is not for a guest to change them.

    Attributes:
        store: Which store, for people.
        found: The version that it has.
        needed: The version that this pacer needs.
    """

    def __init__(self, store: str, found: int, needed: int, remedy: str) -> None:
        super().__init__(store, found, needed, remedy)
        self.store = store
        self.found = found
        self.needed = needed
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.store} has tables of version {self.found}, and this pacer needs {self.needed}. {self.remedy}"


class StoreUnavailableError(StoreError):
    """The store cannot do it now (disk full, locked, I/O error): nothing was written; the same call may work later."""


class UnknownQueueError(StoreError, LookupError):
    """The store holds no queue of this name.

    Attributes:
        queue: The name.
        store: Which store, for people.
        known: The names of those that it holds.
    """

    def __init__(self, queue: str, store: str, known: Sequence[str]) -> None:
        super().__init__(queue, store, known)
        self.queue = queue
        self.store = store
        self.known = known

    def __str__(self) -> str:
        there = f"it holds {', '.join(map(repr, self.known))}" if self.known else "it holds none"
        return f"{self.store} holds no queue {self.queue!r}; {there}. A scheduler makes one when it starts."


class PartsDifferError(StoreError):
    """Others have the queue open with other strategies or settings than this scheduler; nothing was changed.

    Attributes:
        queue: The queue's name.
        differences: What differs, by name: what the others were given, and what this scheduler was.
        gone_in: Seconds after which those of them that have been killed are known to be gone.
    """

    def __init__(self, queue: str, differences: Mapping[str, tuple[str, str]], gone_in: float) -> None:
        super().__init__(queue, differences, gone_in)
        self.queue = queue
        self.differences = differences
        self.gone_in = gone_in

    def __str__(self) -> str:
        return (
            f"the queue {self.queue!r} is open elsewhere with other settings: {_listed(self.differences)}. Give all "
            "schedulers of the queue the same settings, or this one another name; or stop the others first (one that "
            f"was killed is known to be gone in {math.ceil(self.gone_in)} s); or start this one with takeover=True: "
            "then the others finish what they run and take no more jobs."
        )


class TakenOverError(StoreError):
    """A scheduler with `takeover=True` has given the queue other settings: this one takes no more jobs of it.

    Attributes:
        queue: The queue's name.
        differences: What differs, by name: what the queue is run with now, and what this scheduler was given.
        guest: Whether this one is a guest, who has never had a say.
    """

    def __init__(self, queue: str, differences: Mapping[str, tuple[str, str]], *, guest: bool = False) -> None:
        super().__init__(queue, differences)
        self.queue = queue
        self.differences = differences
        self.guest = guest

    def __str__(self) -> str:
        if self.guest:
            return (
                f"the queue {self.queue!r} is run with other settings: {_listed(self.differences)}. Whoever adds jobs "
                "or sets numbers needs those of the queue."
            )
        return (
            f"the queue {self.queue!r} was taken over with other settings: {_listed(self.differences)}. This "
            "scheduler finishes what it runs and takes no more jobs; start it again with the settings of the others, "
            "or with another name."
        )


def _listed(differences: Mapping[str, tuple[str, str]]) -> str:
    return "; ".join(f"{name} is {theirs} there, {ours} here" for name, (theirs, ours) in differences.items())


class UnsupportedBackendError(StoreError, RuntimeError):
    """The store does not run on this event loop."""


class Throttled(Exception):  # noqa: N818 - it is no error: the job is put back and nobody has failed
    """Raise this from a job's function when the upstream says "not now".

    The whole queue is held for `retry_after` seconds and the job goes back to the front. It costs the job no attempt.

    Args:
        retry_after: Seconds (or a timedelta) to hold the queue. None: what the answer says that is being handled, or
            that was reported last; without one, what the backoff policy says, but at least 1 s.
        reason: Shown in status and logs, for example the upstream's error code.
        limits: What the upstream said of its limits, for policies that listen.
        cost: What the run has used, beside what it has reported.

    Limits and costs that are none, as costs that are text, are a mistake in the job's function: it fails, and says so.
    """

    def __init__(
        self,
        retry_after: float | timedelta | None = None,
        reason: str = "",
        *,
        limits: tuple[LimitReport, ...] = (),
        cost: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(retry_after, reason)
        self.retry_after = optional_seconds(retry_after)
        self.reason = reason
        self.limits = limits
        self.cost = cost

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f", retry after {self.retry_after:g} s"
        return f"throttled{wait}{': ' + self.reason if self.reason else ''}"
