"""Jobs that have ended without success, and are to be run again because somebody asks for it."""

from __future__ import annotations

from typing import Final

from pacer._job import JobRecord, JobState

_NOT_ENDED_IN_VAIN: Final = {
    JobState.QUEUED: "it waits already",
    JobState.RUNNING: "it is running",
    JobState.SUCCEEDED: "it has succeeded",
}


def not_rerunnable(record: JobRecord | None, taken_by: str | None) -> str:
    """Why the job cannot be enqueued again, in one phrase; empty if it can.

    Args:
        record: The job, with its arguments; None if there is none.
        taken_by: The job that has its unique key now, if any.
    """
    if record is None:
        return "no job has this id"
    if record.state in _NOT_ENDED_IN_VAIN:
        return _NOT_ENDED_IN_VAIN[record.state]
    if record.home is not None:
        return "its function is not registered, and its arguments were those of one process; enqueue it anew"
    if record.payload is None:
        return "its arguments were not kept by the version of pacer that ended it; enqueue it anew"
    return "" if taken_by is None else f"job {taken_by} has its unique key now"


def enqueued_again(record: JobRecord, now: float) -> None:
    """Make the record that of a job which was enqueued now, and has never run. It says what was wrong until it ends."""
    record.state = JobState.QUEUED
    if record.expires_at is not None:
        record.expires_at = now + (record.expires_at - record.created_at)
    record.created_at = record.ready_at = now
    record.started_at = record.ended_at = record.first_failed_at = None
    record.promised_low = record.promised_high = record.progress = None
    record.failures = record.throttles = record.recoveries = 0
    record.retry_delay, record.message, record.cancel_requested = 0.0, "", False
