"""What goes in and out over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, Field, field_validator

from pacer import Receipt, Status
from pacer.fastapi import EstimateView


class Paper(BaseModel):
    """A paper to analyse."""

    title: Annotated[str, Field(min_length=1, max_length=300)]
    text: Annotated[str, Field(min_length=1, max_length=200_000)]
    job_id: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] = Field(
        default_factory=lambda: uuid4().hex,
        description="Choose it yourself and you may send the request again without having the work done again.",
    )


class Accepted(BaseModel):
    """The paper is in the queue."""

    job_id: str
    queue_position: int | None = Field(description="1-based; null if the job existed already and does not wait.")
    estimated_wait: EstimateView | None = Field(description="Seconds until the analysis starts.")
    created: bool = Field(description="False if this job_id existed already.")

    @classmethod
    def of(cls, receipt: Receipt[Any]) -> Accepted:
        """From what `enqueue` gave."""
        wait = None if receipt.estimate is None else EstimateView.model_validate(receipt.estimate)
        return cls(job_id=receipt.job_id, queue_position=receipt.position, estimated_wait=wait, created=receipt.created)


class Batch(BaseModel):
    """Papers that are accepted together, or not at all."""

    papers: Annotated[list[Paper], Field(min_length=1, max_length=50)]

    @field_validator("papers")
    @classmethod
    def _distinct(cls, papers: list[Paper]) -> list[Paper]:
        if len({paper.job_id for paper in papers}) < len(papers):
            msg = "two papers have the same job_id"
            raise ValueError(msg)
        return papers


class AcceptedBatch(BaseModel):
    """All papers are in the queue."""

    batch_id: str
    jobs: list[Accepted]


class QueueStatus(BaseModel):
    """The queue now. Times are seconds."""

    pending: int
    running: int
    max_size: int
    processed_total: int
    failed_total: int
    throttled_total: int
    estimated_wait_seconds: int | None
    estimated_wait: EstimateView | None
    avg_job_duration_seconds: float
    worker_running: bool
    waiting_for: str = Field(description="Why nothing starts right now.")
    next_start_seconds: float | None = Field(description="Until something can start; null if that takes an event.")

    @classmethod
    def of(cls, status: Status) -> QueueStatus:
        """From what `Scheduler.status` gave."""
        wait = None if status.estimate is None else EstimateView.model_validate(status.estimate)
        return cls(
            pending=status.pending,
            running=status.running,
            max_size=status.capacity,
            processed_total=status.succeeded,
            failed_total=status.failed,
            throttled_total=status.throttled,
            estimated_wait_seconds=None if wait is None else round(wait.seconds),
            estimated_wait=wait,
            avg_job_duration_seconds=round(status.average_duration, 1),
            worker_running=status.working,
            waiting_for=status.waiting_for,
            next_start_seconds=status.next_start_seconds,
        )


class PaperJob(BaseModel):
    """One paper's analysis, finished or not."""

    id: str
    title: str
    status: str
    created_at: str
    updated_at: str
    queue_position: int | None = None
    estimated_wait: EstimateView | None = None
    progress: float | None = None
    message: str = ""
    error: str = ""
    result: str | None = None
