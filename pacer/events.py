"""What happened, one frozen event a step. Observers are told of each; they carry no arguments and no results of jobs.

`at` is seconds on the store's clock; `Scheduler.utc` turns it into a datetime.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pacer._job import JobState

__all__ = [
    "AlertFailed",
    "AlertSent",
    "BatchEnqueued",
    "Event",
    "HoldEnded",
    "JobCancelled",
    "JobDropped",
    "JobEnqueued",
    "JobExpired",
    "JobFailed",
    "JobProgressed",
    "JobRecovered",
    "JobReleased",
    "JobRescheduled",
    "JobRetried",
    "JobStarted",
    "JobSucceeded",
    "JobThrottled",
    "NumbersSet",
    "OutcomeRefused",
    "PartMisbehaved",
    "QueueHeld",
    "QueuePaused",
    "QueueRefused",
    "QueueResumed",
    "QueueTakenOver",
    "RateSet",
    "ResultDropped",
    "SchedulerStarted",
    "SchedulerStopped",
    "StoreAtRisk",
    "StoreFailed",
    "TicksMissed",
]


@attrs.frozen
class SchedulerStarted:
    """The scheduler takes jobs from now on."""

    at: float
    queue: str
    worker: str


@attrs.frozen
class SchedulerStopped:
    """The scheduler takes no more jobs; unfinished ones are back in the queue."""

    at: float
    queue: str
    worker: str


@attrs.frozen
class JobEnqueued:
    """The job is in the store."""

    at: float
    job_id: str
    task: str
    position: int


@attrs.frozen
class BatchEnqueued:
    """All jobs of a batch are in the store."""

    at: float
    batch_id: str
    size: int


@attrs.frozen
class QueueRefused:
    """The queue was full: so many jobs were not taken."""

    at: float
    jobs: int
    capacity: int
    retry_after: float


@attrs.frozen
class JobDropped:
    """The job had to leave the full queue for a newer one."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class JobExpired:
    """The job had not started by the time after which it is of no use, and has left the queue."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class JobStarted:
    """The job runs here.

    Attributes:
        waited: Seconds since it was ready to.
        promised: The interval in which it had been forecast to start, for a job by which forecasts are judged; 10 % of
            the starts are meant to be before it, and 10 % after it.
    """

    at: float
    job_id: str
    task: str
    attempt: int
    waited: float
    promised: tuple[float, float] | None = None


@attrs.frozen
class JobProgressed:
    """The job's function reported how far it is, between 0 and 1."""

    at: float
    job_id: str
    fraction: float
    message: str


@attrs.frozen
class JobSucceeded:
    """The job has ended well after `duration` seconds."""

    at: float
    job_id: str
    task: str
    duration: float


@attrs.frozen
class JobFailed:
    """The job has failed for good."""

    at: float
    job_id: str
    task: str
    attempt: int
    error: str


@attrs.frozen
class JobRescheduled:
    """The job has failed and will be tried again in `delay` seconds."""

    at: float
    job_id: str
    task: str
    attempt: int
    error: str
    delay: float


@attrs.frozen
class JobThrottled:
    """The upstream said "not now"; the job is back at the front."""

    at: float
    job_id: str
    task: str
    reason: str


@attrs.frozen
class JobCancelled:
    """The job was cancelled, waiting or running."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class JobReleased:
    """The job was unfinished when the scheduler stopped, and is back in the queue."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class JobRecovered:
    """The job's worker was gone; it is now queued again, stale or dead."""

    at: float
    job_id: str
    task: str
    state: JobState


@attrs.frozen
class JobRetried:
    """A person had the job, which had ended without success, enqueued again."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class OutcomeRefused:
    """The job had been taken over by another worker; what this one found out was not written."""

    at: float
    job_id: str
    task: str


@attrs.frozen
class ResultDropped:
    """The job succeeded, but its result cannot be written to the store."""

    at: float
    job_id: str
    task: str
    problem: str


@attrs.frozen
class QueueHeld:
    """No job starts for so many seconds."""

    at: float
    seconds: float
    reason: str


@attrs.frozen
class QueuePaused:
    """A person paused the queue."""

    at: float


@attrs.frozen
class QueueResumed:
    """A person resumed the queue."""

    at: float


@attrs.frozen
class HoldEnded:
    """A person ended a hold before its time; holds that pass by themselves are not told of."""

    at: float


@attrs.frozen
class RateSet:
    """A person set the rate at which jobs start; None: back to that of the recipe."""

    at: float
    rate: float | None


@attrs.frozen
class NumbersSet:
    """A person set numbers of the parts; None: back to that of the recipe."""

    at: float
    numbers: Mapping[str, float | None]


@attrs.frozen
class PartMisbehaved:
    """A strategy raised, or gave an answer that cannot be used; a safe one was taken."""

    at: float
    part: str
    question: str
    problem: str


@attrs.frozen
class QueueTakenOver:
    """Another scheduler has given the queue other settings: this one ends what it runs, and takes no more jobs."""

    at: float
    queue: str
    error: str


@attrs.frozen
class StoreFailed:
    """The store could not do something; it is tried again in `retry_in` seconds."""

    at: float
    action: str
    error: str
    retry_in: float


@attrs.frozen
class StoreAtRisk:
    """The database is set up in a way that may lose jobs; said once for each, at the start."""

    at: float
    risk: str


@attrs.frozen
class TicksMissed:
    """The times of a schedule from `since` to `until` have passed without a job: nobody ran, or the queue was full."""

    at: float
    schedule: str
    since: float
    until: float


@attrs.frozen
class AlertSent:
    """People were told, in this process, that something is wrong (`firing`) or that it is over."""

    at: float
    alert: str
    firing: bool
    text: str


@attrs.frozen
class AlertFailed:
    """The function of an alert raised or took too long; it is called again in `retry_in` seconds, or not (None)."""

    at: float
    alert: str
    problem: str
    retry_in: float | None


Event = (
    SchedulerStarted
    | SchedulerStopped
    | JobEnqueued
    | BatchEnqueued
    | QueueRefused
    | JobDropped
    | JobExpired
    | JobStarted
    | JobProgressed
    | JobSucceeded
    | JobFailed
    | JobRescheduled
    | JobThrottled
    | JobCancelled
    | JobReleased
    | JobRecovered
    | JobRetried
    | OutcomeRefused
    | ResultDropped
    | QueueHeld
    | QueuePaused
    | QueueResumed
    | HoldEnded
    | RateSet
    | NumbersSet
    | PartMisbehaved
    | QueueTakenOver
    | StoreFailed
    | StoreAtRisk
    | TicksMissed
    | AlertSent
    | AlertFailed
)
