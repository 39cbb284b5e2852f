"""What a rehearsed scheduler did: runs, holds, and the whole as a timeline."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from pacer import events
from pacer._errors import JobFailedError, JobStaleError
from pacer._job import JobState
from pacer.testing._enqueued import EnqueuedJob, call_text

_MOST_LINES = 60


@attrs.frozen(kw_only=True)
class JobRun:
    """One run of one job. Times are seconds since the scheduler was started.

    Attributes:
        job_id: The job.
        task: The name of its function.
        attempt: Its number, from 1; throttled and interrupted runs do not count.
        started_at: When it started.
        ended_at: When it ended; None if it still runs.
        waited: Seconds since it could have started as far as the job itself is concerned.
        outcome: "succeeded", "failed" (for good), "retried" (failed, and is tried again), "throttled", "cancelled",
            "released" (unfinished at a stop), "interrupted" (by a crash), "refused" (another worker had taken the
            job over), or "running".
        error: One line on why; empty if nothing went wrong.
        exception: What its function raised, with its traceback; None if it returned, or is not known.
    """

    job_id: str
    task: str
    attempt: int
    started_at: float
    ended_at: float | None = None
    waited: float = 0.0
    outcome: str = "running"
    error: str = ""
    exception: BaseException | None = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Hold:
    """A time in which no job started.

    Attributes:
        at: When it began, in seconds since the scheduler was started.
        seconds: How long it was to last.
        reason: Why.
    """

    at: float
    seconds: float
    reason: str


@attrs.frozen(kw_only=True)
class Report:
    """What has happened in a rehearsal. `print(report)` shows it as a timeline.

    Attributes:
        enqueued: The jobs that were enqueued, in order.
        runs: Runs of jobs, by their start.
        holds: Times in which no job started, because of a backoff or of what the upstream said.
        lasted: Seconds from the start of the scheduler to the last event.
        lines: The timeline.
    """

    enqueued: Sequence[EnqueuedJob]
    runs: Sequence[JobRun]
    holds: Sequence[Hold]
    lasted: float
    lines: Sequence[str] = attrs.field(repr=False)
    failure: BaseException | None = attrs.field(default=None, repr=False)
    """The first thing that went wrong for good: what a job's function raised, or a JobError, or a strategy's fault."""

    @property
    def starts(self) -> list[float]:
        """When runs started, in seconds since the scheduler was started."""
        return [run.started_at for run in self.runs]

    @property
    def outcomes(self) -> list[str]:
        """How runs ended, by their start."""
        return [run.outcome for run in self.runs]

    @property
    def waits(self) -> list[float]:
        """Seconds that each run could have started sooner, by their start."""
        return [run.waited for run in self.runs]

    def __str__(self) -> str:
        lines = list(self.lines[-_MOST_LINES:])
        if len(self.lines) > _MOST_LINES:
            lines.insert(0, f"({len(self.lines) - _MOST_LINES} lines before)")
        return "\n".join(lines) or "nothing happened"


_ENDS: Mapping[type, str] = {
    events.JobSucceeded: "succeeded",
    events.JobFailed: "failed",
    events.JobRescheduled: "retried",
    events.JobThrottled: "throttled",
    events.JobCancelled: "cancelled",
    events.JobReleased: "released",
    events.JobRecovered: "interrupted",
    events.OutcomeRefused: "refused",
}
# Told by many lines of their own, or only of the scheduler itself.
_NOT_SHOWN = (events.SchedulerStarted, events.SchedulerStopped, events.JobProgressed, events.BatchEnqueued)


@attrs.define(eq=False)
class Log:
    """All that is known of a rehearsal: the events, the jobs, and what their functions raised."""

    seen: list[events.Event] = attrs.field(factory=list)
    enqueued: list[EnqueuedJob] = attrs.field(factory=list)
    raised: dict[tuple[str, int], BaseException] = attrs.field(factory=dict)
    """By job and number of its run."""
    origin: float | None = None
    _runs: dict[str, int] = attrs.field(init=False, factory=dict)
    _runs_before: dict[str, int] = attrs.field(init=False, factory=dict)
    """How often jobs had been started when the log was cleared."""

    def hear(self, event: events.Event) -> None:
        """One more event."""
        if self.origin is None:
            self.origin = event.at
        if isinstance(event, events.JobStarted):
            self._runs[event.job_id] = self.current_run(event.job_id) + 1
        self.seen.append(event)

    def current_run(self, job_id: str) -> int:
        """How often the job has been started."""
        return self._runs.get(job_id, 0)

    def since_start(self, at: float) -> float:
        """A time on the store's clock, as seconds since the first event."""
        # The clock may count from 1970, where a float is good to a few tenths of a microsecond.
        return round(at - (at if self.origin is None else self.origin), 6)

    def clear(self) -> None:
        """Forget what has happened. Times still count from the first event of all."""
        self.seen.clear()
        self.enqueued.clear()
        self._runs_before = dict(self._runs)

    def report(self) -> Report:
        """All of it, in order."""
        known = {job.job_id: job for job in self.enqueued}
        return Report(
            enqueued=tuple(self.enqueued),
            runs=tuple(self._all_runs()),
            holds=tuple(
                Hold(at=self.since_start(one.at), seconds=round(one.seconds, 6), reason=one.reason)
                for one in self.seen
                if isinstance(one, events.QueueHeld)
            ),
            lasted=self.since_start(self.seen[-1].at) if self.seen else 0.0,
            lines=_counted(
                f"{self.since_start(one.at):>9.9g} s  {_told(one, known)}"
                for one in self.seen
                if not isinstance(one, _NOT_SHOWN)
            ),
            failure=next(self._failures(known), None),
        )

    def _all_runs(self) -> list[JobRun]:
        runs, current, number = list[JobRun](), dict[str, int](), dict(self._runs_before)
        for event in self.seen:
            job_id = getattr(event, "job_id", "")
            if isinstance(event, events.JobStarted):
                number[job_id] = number.get(job_id, 0) + 1
                current[job_id] = len(runs)
                runs.append(self._begun(event, number[job_id]))
            elif type(event) in _ENDS and job_id in current:
                place = current.pop(job_id)
                runs[place] = attrs.evolve(
                    runs[place],
                    ended_at=self.since_start(event.at),
                    outcome=_ENDS[type(event)],
                    error=getattr(event, "error", "") or getattr(event, "reason", ""),
                )
        return runs

    def _begun(self, event: events.JobStarted, number: int) -> JobRun:
        return JobRun(
            job_id=event.job_id,
            task=event.task,
            attempt=event.attempt,
            started_at=self.since_start(event.at),
            waited=round(event.waited, 6),
            exception=self.raised.get((event.job_id, number)),
        )

    def _failures(self, known: Mapping[str, EnqueuedJob]) -> Iterator[BaseException]:
        for event in self.seen:
            if isinstance(event, events.JobFailed):
                raised = self.raised.get((event.job_id, self.current_run(event.job_id)))
                error = raised or JobFailedError(event.job_id, event.error)
                yield _noted(error, f"{_name(event, known)} failed, {self.since_start(event.at):g} s after the start")
            elif isinstance(event, events.JobRecovered) and event.state.final:
                kind = JobStaleError if event.state is JobState.STALE else JobFailedError
                yield kind(event.job_id, f"a crash interrupted it, and it is {event.state}")
            elif isinstance(event, events.PartMisbehaved):
                yield AssertionError(f"{event.part} misbehaved when asked for {event.question}: {event.problem}")


def _counted(lines: Iterable[str]) -> list[str]:
    """Lines that follow one another and are the same, as one."""
    groups = [(line, sum(1 for _ in same)) for line, same in itertools.groupby(lines)]
    return [line if count == 1 else f"{line} ({count} times)" for line, count in groups]


def _noted(error: BaseException, note: str) -> BaseException:
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


def _name(event: Any, known: Mapping[str, EnqueuedJob]) -> str:
    """The job by its call; by its id, if it was enqueued before anybody looked."""
    job = known.get(event.job_id)
    if job is None:
        return f"job {event.job_id}"
    return call_text(job.task.rpartition(".")[2], job.args, job.kwargs)


def _told(event: Any, known: Mapping[str, EnqueuedJob]) -> str:
    """One event in words."""
    tell = _WORDS.get(type(event))
    subject = f"{_name(event, known)} " if hasattr(event, "job_id") else ""
    return subject + (type(event).__name__ if tell is None else tell(event))


_WORDS: Mapping[type, Callable[[Any], str]] = {
    events.JobEnqueued: lambda event: f"is enqueued, place {event.position}",
    events.JobStarted: lambda event: f"starts: attempt {event.attempt}, waited {event.waited:g} s",
    events.JobSucceeded: lambda event: f"succeeds after {event.duration:g} s",
    events.JobFailed: lambda event: f"fails for good: {event.error}",
    events.JobRescheduled: lambda event: f"fails, and is tried again in {event.delay:g} s: {event.error}",
    events.JobThrottled: lambda event: f"is throttled: {event.reason or 'the upstream said not now'}",
    events.JobCancelled: lambda event: "is cancelled",
    events.JobDropped: lambda event: "is dropped for a newer one",
    events.JobExpired: lambda event: "expires",
    events.JobReleased: lambda event: "is put back unfinished",
    events.JobRecovered: lambda event: f"was interrupted by a crash, and is {event.state}",
    events.JobRetried: lambda event: "is enqueued again by hand",
    events.OutcomeRefused: lambda event: "had been taken over; its outcome is refused",
    events.ResultDropped: lambda event: f"has a result that cannot be written: {event.problem}",
    events.NumbersSet: lambda event: f"numbers are set by hand: {event.numbers}",
    events.QueueHeld: lambda event: f"the queue is held for {event.seconds:g} s: {event.reason}",
    events.QueueRefused: lambda event: f"the queue is full: {event.jobs} refused, retry after {event.retry_after:g} s",
    events.QueuePaused: lambda event: "the queue is paused by hand",
    events.HoldEnded: lambda event: "the hold is ended by hand",
    events.QueueResumed: lambda event: "the queue is resumed",
    events.PartMisbehaved: lambda event: f"{event.part} misbehaves: {event.problem}",
    events.StoreFailed: lambda event: f"the store fails to {event.action}: {event.error}",
}
