"""Jobs as people look for them: page by page, the next ones, and one of them that has not started yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from pacer._errors import UnknownJobError
from pacer._forecast import OVERTAKERS, forecast_start
from pacer._job import Estimate, Job, JobRecord, JobState
from pacer._overview import Listing, Mark
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, Snapshot
from pacer._views import view
from pacer._worker import Worker
from pacer.protocols import Ledger

MOST_COUNTED: Final = 1000

Entry = tuple[Mark, JobRecord]


@attrs.frozen
class JobPage:
    """Some of many jobs.

    Attributes:
        jobs: In their order, without results. Positions are named where all waiting jobs were asked for.
        after: What to ask for the next page with; None if these were the last. A page may be short, and even empty,
            and not be the last: of jobs that do not fit only so many are looked at for one page.
    """

    jobs: Sequence[Job]
    after: str | None


@attrs.frozen
class Upcoming:
    """One of the next jobs.

    Attributes:
        job: The job.
        estimate: Time from now until it starts; None if no time can be named (paused).
    """

    job: Job
    estimate: Estimate | None


@attrs.frozen
class Explanation:
    """Why a job has not started yet.

    Attributes:
        job: The job.
        ahead: How many jobs are to start before it; None if it does not wait.
        reason: What keeps jobs from starting right now, in one phrase; empty if nothing does, or it does not wait.
        seconds: How much longer that lasts; None if no time can be named, as when it ends with a running job.
        estimate: Time from now until it starts; None if it does not wait, or no time can be named (paused, no worker).
    """

    job: Job
    ahead: int | None
    reason: str
    seconds: float | None
    estimate: Estimate | None


async def found(ledger: Ledger, job_id: str) -> JobRecord:
    """The job. Raises UnknownJobError."""
    record = await ledger.job(job_id)
    if record is None:
        raise UnknownJobError(job_id)
    return record


async def list_jobs(
    worker: Worker, states: Sequence[JobState], task: str | None, key: str | None, limit: int, after: str | None
) -> JobPage:
    """One page of the jobs in these states. Raises ValueError."""
    wanted = list(dict.fromkeys(states)) or [JobState.QUEUED]
    if len(wanted) > 1 and not all(state.final for state in wanted):
        msg = "jobs: ask for waiting ones, for running ones, or for any that have ended; these have no order in common"
        raise ValueError(msg)
    mark = None if after is None else Mark.parse(after)
    ledger = worker.ledger
    pages = [await ledger.listed(Listing(state=state, task=task, key=key, limit=limit, after=mark)) for state in wanted]
    entries = [entry for page in pages for entry in page.jobs]
    ends = [page.after for page in pages if page.after is not None]
    if len(wanted) > 1:
        entries, ends = _merged(entries, ends)
    goes_on = ends[0] if ends else None
    if len(entries) > limit:
        entries = entries[:limit]
        goes_on = entries[-1][0]
    first = None
    if wanted == [JobState.QUEUED] and task is None and key is None and entries:
        first = await ledger.position(entries[0][1].id)
    jobs = [
        view(record, None if first is None else first + number, ledger.utc, None)
        for number, (_, record) in enumerate(entries)
    ]
    return JobPage(jobs, None if goes_on is None else str(goes_on))


def _merged(entries: Sequence[Entry], ends: Sequence[Mark]) -> tuple[list[Entry], list[Mark]]:
    """Ended jobs of several states, the last first, as far as none of another state can be missing among them."""
    ordered = sorted(entries, key=lambda one: _when(one[0]), reverse=True)
    if not ends:
        return ordered, []
    end = max(ends, key=_when)
    return [entry for entry in ordered if _when(entry[0]) >= _when(end)], [end]


def _when(mark: Mark) -> tuple[float, int]:
    return mark.at, mark.seq


async def upcoming_jobs(worker: Worker, limit: int) -> Sequence[Upcoming]:
    """The next jobs and their forecasts. Raises ValueError."""
    ledger, listing = worker.ledger, Listing(state=JobState.QUEUED, limit=limit)
    snapshot = await ledger.snapshot(min(limit + OVERTAKERS, LOOK_AHEAD))
    page = await ledger.listed(listing)
    return [
        Upcoming(view(record, position, ledger.utc, None), forecast_start(worker.rules, snapshot, record, position))
        for position, (_, record) in enumerate(page.jobs, 1)
    ]


async def explanation(worker: Worker, record: JobRecord) -> Explanation:
    """Why this job has not started."""
    ledger = worker.ledger
    position = await ledger.position(record.id)
    job = view(record, position, ledger.utc, None)
    if position is None:
        return Explanation(job, None, "", None, None)
    if not await _runnable(worker, record):
        return Explanation(job, position - 1, f"no worker is there that can run {record.task}", None, None)
    snapshot = await ledger.snapshot()
    reason, seconds = _in_the_way(worker.rules.tuned(snapshot.queue), record, snapshot)
    estimate = forecast_start(worker.rules, snapshot, record, position)
    return Explanation(job, position - 1, reason, seconds, estimate)


def _in_the_way(rules: Rules, record: JobRecord, snapshot: Snapshot) -> tuple[str, float | None]:
    """What keeps the job from starting, and for how many seconds."""
    now, queue = snapshot.now, snapshot.queue
    when = rules.next_start(queue, now, record, len(snapshot.running))
    if record.ready_at > max(now, when.at if when.at < math.inf else now) and not queue.paused:
        again = "its next attempt" if record.failures else "its delay"
        return f"{again} is not due yet", record.ready_at - now
    if when.at <= now:
        return "", 0.0
    return when.reason, None if when.at == math.inf else when.at - now


async def _runnable(worker: Worker, record: JobRecord) -> bool:
    """Whether some worker is there that runs jobs, and knows this one's function."""
    seen = [one for one in await worker.ledger.workers() if one.alive_seconds > 0 and one.slots]
    return any(one.name == record.home if record.home is not None else record.task in one.tasks for one in seen)
