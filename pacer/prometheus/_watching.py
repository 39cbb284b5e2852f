"""One watched scheduler: its events are counted, and its status is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import attrs

from pacer import JobState, NotRunningError, Scheduler, events
from pacer._views import Status
from pacer.prometheus._instruments import Instruments

_RECOVERED = {JobState.QUEUED: "recovered"}


@attrs.define(eq=False, repr=False)
class Watching:
    """The observer of one scheduler, and the last that was read of its queue."""

    scheduler: Scheduler
    instruments: Instruments
    read_timeout: float
    reading: Status | None = attrs.field(init=False, default=None)
    """None while the scheduler does not run, or nothing has been read yet."""
    read_at: float = attrs.field(init=False, default=0.0)
    """When that was, in Unix time of this host, as Prometheus has it."""
    _loop: anyio.lowlevel.EventLoopToken | None = attrs.field(init=False, default=None)
    _thread: int = attrs.field(init=False, default=0)
    _reading_now: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _started: dict[str, float] = attrs.field(init=False, factory=dict)
    """When the jobs that run here began."""
    _tasks: set[str] = attrs.field(init=False, factory=set)
    _actions: Mapping[type[Any], Callable[[Any], None]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._actions = {
            events.SchedulerStarted: self._scheduler_started,
            events.SchedulerStopped: self._scheduler_stopped,
            events.JobEnqueued: self._enqueued,
            events.JobRetried: self._retried,
            events.QueueRefused: self._refused,
            events.JobStarted: self._job_started,
            events.JobSucceeded: self._outcome("succeeded", run="succeeded"),
            events.JobFailed: self._outcome("failed", run="failed"),
            events.JobRescheduled: self._outcome("rescheduled", run="failed"),
            events.JobThrottled: self._throttled,
            events.JobCancelled: self._outcome("cancelled", run="cancelled"),
            events.JobExpired: self._outcome("expired"),
            events.JobDropped: self._outcome("dropped"),
            events.JobReleased: self._outcome("released"),
            events.OutcomeRefused: self._outcome("lost"),
            events.JobRecovered: self._recovered,
            events.ResultDropped: self._result_dropped,
            events.QueueHeld: self._held,
            events.StoreFailed: self._store_failed,
            events.PartMisbehaved: self._part_misbehaved,
        }

    def __repr__(self) -> str:
        return f"<metrics of queue {self.queue!r}>"

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.scheduler.name

    @property
    def started(self) -> bool:
        """Whether the scheduler runs in this process."""
        return self._loop is not None

    # -- status ------------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read the status anew; called on any event loop. If it cannot be read, the last reading stays."""
        if self._loop == anyio.lowlevel.current_token():
            await self._read()
        elif self._loop is not None:
            await anyio.to_thread.run_sync(self.read_from_thread)

    def read_from_thread(self) -> None:
        """The same, called by any thread. On that of the event loop it does nothing: it would wait for itself."""
        loop = self._loop
        if loop is None or threading.get_ident() == self._thread:
            return
        # One at a time, so that not every scrape leaves a thread behind that waits for a loop that is stuck.
        if self._reading_now.acquire(blocking=False):
            try:
                anyio.from_thread.run(self._read, token=loop)
            except BaseException:
                if self._loop is loop:
                    raise
                # Meanwhile the scheduler has stopped, and perhaps its event loop; each says so by an error of its own.
            finally:
                self._reading_now.release()

    async def _read(self) -> None:
        try:
            with anyio.fail_after(self.read_timeout):
                self.reading = await self.scheduler.status()
            self.read_at = time.time()
        except NotRunningError:
            self.reading = None
        except Exception:  # whatever the store's driver raises; the scheduler tells of its own failures
            self.instruments.read_failures.labels(self.queue).inc()

    # -- events ------------------------------------------------------------------------------------------------------

    def __call__(self, event: Any) -> None:
        """Count one event."""
        action = self._actions.get(type(event))
        if action is not None:
            action(event)

    def _know(self, task: str) -> tuple[str, str]:
        if task not in self._tasks:
            self._tasks.add(task)
            self.instruments.know_task(self.queue, task)
        return self.queue, task

    def _scheduler_started(self, event: events.SchedulerStarted) -> None:
        self._loop, self._thread = anyio.lowlevel.current_token(), threading.get_ident()
        self.instruments.know_queue(self.queue)

    def _scheduler_stopped(self, event: events.SchedulerStopped) -> None:
        self.reading = self._loop = None
        self._started.clear()

    def _enqueued(self, event: events.JobEnqueued) -> None:
        self.instruments.enqueued.labels(*self._know(event.task)).inc()

    def _retried(self, event: events.JobRetried) -> None:
        self.instruments.retried.labels(*self._know(event.task)).inc()

    def _refused(self, event: events.QueueRefused) -> None:
        self.instruments.refused.labels(self.queue).inc(event.jobs)

    def _job_started(self, event: events.JobStarted) -> None:
        self._started[event.job_id] = event.at
        self.instruments.start_delay.labels(*self._know(event.task)).observe(max(0.0, event.waited))
        promised = event.promised
        if promised is not None:
            low, high = promised
            verdict = "early" if event.at < low else "late" if event.at > high else "inside"
            self.instruments.forecasts.labels(self.queue, verdict).inc()
            self.instruments.forecast_error.labels(self.queue).observe(abs(event.at - (low + high) / 2))

    def _outcome(self, outcome: str, *, run: str | None = None) -> Callable[[Any], None]:
        def count(event: Any) -> None:
            self.instruments.outcomes.labels(*self._know(event.task), outcome).inc()
            self._ended(event, run)

        return count

    def _ended(self, event: Any, outcome: str | None) -> None:
        """A run is over, if one was; only those that came to an end by themselves say how long runs take."""
        started = self._started.pop(event.job_id, None)
        if started is not None and outcome is not None:
            took = max(0.0, event.at - started)
            self.instruments.duration.labels(*self._know(event.task), outcome).observe(took)

    def _throttled(self, event: events.JobThrottled) -> None:
        self.instruments.throttles.labels(*self._know(event.task)).inc()
        self._ended(event, "throttled")

    def _recovered(self, event: events.JobRecovered) -> None:
        outcome = _RECOVERED.get(event.state, event.state.value)
        self.instruments.outcomes.labels(*self._know(event.task), outcome).inc()

    def _result_dropped(self, event: events.ResultDropped) -> None:
        self.instruments.results_dropped.labels(*self._know(event.task)).inc()

    def _held(self, event: events.QueueHeld) -> None:
        self.instruments.holds.labels(self.queue).inc()

    def _store_failed(self, event: events.StoreFailed) -> None:
        self.instruments.store_failures.labels(self.queue, event.action).inc()

    def _part_misbehaved(self, event: events.PartMisbehaved) -> None:
        self.instruments.part_faults.labels(self.queue, event.part).inc()
