"""What the page is told, typed. It is between the page and its server, and changes when they need it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from pacer import JobState
from pacer.fastapi import EstimateView, StatusView

_LABEL = 200
_GIST = 500
_WHOLE = 20_000


def _text(value: Any, most: int) -> Any:
    """Of a length that a page can show, and of characters that UTF-8 has: jobs may say anything."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= most else f"{value[: most - 1]}…"
    return text.encode("utf-8", "replace").decode()


Id = Annotated[str, BeforeValidator(partial(_text, most=_WHOLE))]
Label = Annotated[str, BeforeValidator(partial(_text, most=_LABEL))]
Gist = Annotated[str, BeforeValidator(partial(_text, most=_GIST))]
Whole = Annotated[str, BeforeValidator(partial(_text, most=_WHOLE))]


class Data(BaseModel):
    """Made from the scheduler's own values."""

    model_config = ConfigDict(from_attributes=True)


class StatusData(StatusView):
    """The queue now. Times are seconds."""

    waiting_for: Gist
    hold_reason: Gist
    rate_limit: float | None
    numbers_by_hand: Mapping[str, float]


class JobData(Data):
    """A job in a list: long texts are cut."""

    id: Id
    task: Label
    state: JobState
    position: int | None
    key: Label | None
    priority: int
    created_at: datetime
    ready_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    throttles: int
    recoveries: int
    progress: float | None
    message: Gist
    error: Gist


class WholeJobData(JobData):
    """A job by itself."""

    batch_id: Label | None
    expires_at: datetime | None
    worker: Label | None
    cost: Mapping[Label, float]
    message: Whole
    error: Whole


class UpcomingData(Data):
    """A job that is among the next, and when it starts."""

    job: JobData
    estimate: EstimateView | None


class ExplanationData(Data):
    """A job, and why it has not started."""

    job: WholeJobData
    ahead: int | None
    reason: Gist
    seconds: float | None
    estimate: EstimateView | None


class MinuteData(Data):
    """What happened in a minute."""

    at: datetime
    started: int
    mean_wait: float
    longest_wait: float
    succeeded: int
    failed: int
    throttled: int


class WorkerData(Data):
    """Somebody who has the queue open."""

    name: Label
    alive_seconds: float
    tasks: list[Label]
    slots: int


class EndedData(BaseModel):
    """Jobs that ended in a way that people should know of: how many are kept in each state, and the last of them."""

    counts: Mapping[JobState, int]
    last: Mapping[JobState, list[JobData]]


class JobPageData(Data):
    """A part of a list of jobs, and where it goes on."""

    jobs: list[JobData]
    after: str | None


class NumberData(Data):
    """A number of a part."""

    path: str
    value: float
    recipe: float
    by_hand: bool


class ArgumentsData(BaseModel):
    """A job's arguments, as text."""

    positional: list[Whole]
    named: dict[Whole, Whole]


class RetriedData(Data):
    """What came of jobs that were to be run again."""

    count: int
    refused: dict[Id, Gist]
