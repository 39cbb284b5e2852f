"""What the routes answer, typed: never a job's arguments, and its result only where that was asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from pacer import Estimate, Job, JobState, Receipt, Status


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class EstimateView(_View):
    """A waiting time in seconds from now, with an 80 % interval."""

    seconds: float = Field(description="Expected time.")
    low: float = Field(description="A 10 % chance that it is sooner.")
    high: float = Field(description="A 10 % chance that it is later.")


class ReceiptView(_View):
    """The answer to a job handed in."""

    job_id: str
    position: int | None = Field(description="1-based place among the waiting jobs; null if it does not wait.")
    estimate: EstimateView | None = Field(description="Until it starts; null if no time can be named.")
    created: bool = Field(description="False if the job existed already.")
    state: JobState

    @classmethod
    def of(cls, receipt: Receipt[Any]) -> Self:
        """From what `Scheduler.enqueue` gave."""
        return cls.model_validate(receipt)


class StatusView(_View):
    """The queue now, over all processes. Times are seconds."""

    queue: str = Field(description="Its name.")
    pending: int = Field(description="Waiting jobs.")
    running: int = Field(description="Running jobs.")
    capacity: int = Field(description="How many jobs may wait.")
    concurrency: int = Field(description="How many jobs may run at once.")
    succeeded: int = Field(description="Jobs that succeeded, ever.")
    failed: int = Field(description="Jobs that failed for good, ever.")
    throttled: int = Field(description="Runs that the upstream sent back, ever.")
    paused: bool = Field(description="A person has paused it.")
    failures_in_a_row: int
    hold_seconds: float = Field(description="For how long nothing starts because of failures or of the upstream.")
    hold_reason: str
    next_start_seconds: float | None = Field(description="Until a job could start; null if that takes an event.")
    waiting_for: str = Field(description="Why nothing starts right now; empty if nothing stands in the way.")
    estimate: EstimateView | None = Field(description="Until a job handed in now would start; null if unknown.")
    average_duration: float = Field(description="Expected duration of one job.")
    oldest_waiting_seconds: float | None = Field(description="Age of the job that has waited longest, delays included.")
    ready_seconds: float | None = Field(description="How long a job could have started by now; null if none is ready.")
    working: bool = Field(description="Whether the answering process takes jobs.")

    @classmethod
    def of(cls, status: Status) -> Self:
        """From what `Scheduler.status` gave."""
        return cls.model_validate(status)


class JobView(_View):
    """One job now."""

    id: str
    task: str = Field(description="Name of its function.")
    state: JobState
    position: int | None = Field(description="1-based place among the waiting jobs; null if it does not wait.")
    estimate: EstimateView | None = Field(default=None, description="Until it starts; null if it does not wait.")
    progress: float | None = Field(description="Between 0 and 1; null if it never reported.")
    message: str = Field(description="What it reported last.")
    error: str = Field(description="Why it has not succeeded (yet); empty if nothing went wrong.")
    attempt: int = Field(description="Number of the current, next or last run.")
    throttles: int = Field(description="How often the upstream sent it back.")
    recoveries: int = Field(description="How often a crash interrupted it.")
    batch_id: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, job: Job, estimate: Estimate | None) -> Self:
        """From what `Scheduler.job` and `Scheduler.estimate` gave."""
        view = cls.model_validate(job)
        view.estimate = None if estimate is None else EstimateView.model_validate(estimate)
        return view


class JobResultView(JobView):
    """One job now, with what it returned."""

    result: Any = Field(description="What its function returned; null before it has succeeded.")
