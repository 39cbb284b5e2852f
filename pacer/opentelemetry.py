"""Traces: from the request that enqueues a job to the run of the job, in whichever process that is.

    scheduler = Scheduler(..., observers=(LoggingObserver(), Tracing()))

Needs the `opentelemetry` extra, which is the API of OpenTelemetry alone; which SDK makes something of it, and where
that sends it, is the application's to say.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from pacer import __version__, events
from pacer._extras import needed
from pacer.protocols import JobFacts

with needed("opentelemetry"):
    from opentelemetry import context, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

__all__ = ["Tracing"]

_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions that the names below are of."""


@attrs.define(eq=False)
class _Run:
    """One run of a job: its span stays open until the scheduler has said what became of it."""

    span: Span
    ended_at: int | None = None
    error: BaseException | None = None

    def end(self, outcome: str | None) -> None:
        """The span lasts as long as the run did; what was found out later only goes with it."""
        if outcome is not None:
            self.span.set_attribute("pacer.outcome", outcome)
        self.span.end(self.ended_at)
        self.error = None  # whose traceback leads back to here

    def fail(self, outcome: str, message: str) -> None:
        """The run was no success, and it was not the upstream's wish either."""
        # A run that is over time raises nothing, nor does one that could not begin.
        kind = "timeout" if message.startswith("timed out") else "_OTHER"
        if self.error is not None:
            kind = _full_name(type(self.error))
            self.span.record_exception(self.error, timestamp=self.ended_at)
        self.span.set_attribute("error.type", kind)
        self.span.set_status(Status(StatusCode.ERROR, message))
        self.end(outcome)

    def throttle(self, reason: str) -> None:
        """The upstream said "not now"."""
        self.span.add_event("throttled", {"pacer.reason": reason}, timestamp=self.ended_at)
        self.end("throttled")


@attrs.define(eq=False)
class Tracing:
    """An observer that makes spans of jobs, by OpenTelemetry's conventions for messaging.

    Enqueueing makes a span `create <queue>` (PRODUCER) in the trace of whoever enqueues, and the context of that span
    goes with the job. Each run makes a span `process <queue>` (CONSUMER), which lasts as long as the job's function
    runs and is the current span of what the function does. It is a child of the span of the enqueueing, and linked to
    it. `pacer.outcome` says how the run ended: succeeded, failed, rescheduled, throttled, cancelled, released or lost.

    Spans carry the job's id, the name of its task, attempts and times; no arguments, no results, no lane. Of a run that
    fails the exception is recorded, with the message that it has.

    Give each scheduler a Tracing of its own: one that is shared by several queues cannot tell them apart, and leaves
    the queue out.

    Args:
        tracer_provider: Makes the spans; by default that of `opentelemetry.trace.get_tracer_provider()`, when the first
            span is made.
        new_trace: True lets each run begin a trace of its own, which is only linked to that of the enqueueing. For
            queues in which jobs wait for longer than a trace is kept open where yours are collected.
    """

    tracer_provider: TracerProvider | None = None
    new_trace: bool = attrs.field(default=False, kw_only=True)
    _tracer: Tracer = attrs.field(init=False, repr=False)
    _queues: Counter[str] = attrs.field(init=False, factory=Counter, repr=False)
    _starting: events.JobStarted | None = attrs.field(init=False, default=None, repr=False)
    _runs: dict[str, _Run] = attrs.field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._tracer = trace.get_tracer("pacer", __version__, self.tracer_provider, _SCHEMA)

    def headers(self) -> Mapping[str, str]:
        """The context of a new span, as the configured propagators write it. Called when a job is enqueued."""
        carrier = dict[str, str]()
        name, attributes = self._named("create")
        with self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
            propagate.inject(carrier)
        return carrier

    @contextmanager
    def running(self, job: JobFacts, headers: Mapping[str, str]) -> Iterator[None]:
        """Around the job's function: a span, in the context in which the job was enqueued."""
        # Not in that of the worker's task, which goes back to whatever started the scheduler.
        origin = propagate.extract(headers, context=Context())
        run = _Run(self._span(job, origin))
        if forgotten := self._runs.get(job.id):  # it was lost to another worker, and has come back
            forgotten.end("lost")
        self._runs[job.id] = run
        token = context.attach(trace.set_span_in_context(run.span, origin))
        try:
            yield
        except BaseException as error:
            run.error = error
            raise
        finally:
            run.ended_at = time.time_ns()
            context.detach(token)

    def _span(self, job: JobFacts, origin: Context) -> Span:
        name, attributes = self._named("process")
        attributes |= {"messaging.message.id": job.id, "pacer.task": job.task}
        starting, self._starting = self._starting, None
        if starting is not None and starting.job_id == job.id:
            attributes |= {"pacer.attempt": starting.attempt, "pacer.waited": starting.waited}
        created = trace.get_current_span(origin).get_span_context()
        return self._tracer.start_span(
            name,
            Context() if self.new_trace else origin,
            SpanKind.CONSUMER,
            attributes,
            [Link(created)] if created.is_valid else None,
        )

    def _named(self, operation: str) -> tuple[str, dict[str, Any]]:
        attributes = {
            "messaging.system": "pacer",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
        }
        if len(self._queues) != 1:
            return operation, attributes
        (queue,) = self._queues
        return f"{operation} {queue}", {**attributes, "messaging.destination.name": queue}

    def __call__(self, event: Any) -> None:
        """End the span of a run when it is known what became of it."""
        match event:
            case events.JobStarted():
                self._starting = event
            case events.SchedulerStarted():
                self._begin(event.queue)
            case events.SchedulerStopped():
                self._stop(event.queue)
            case _ if (run := self._runs.get(getattr(event, "job_id", ""))) is not None and run.ended_at is not None:
                self._end(run, event)

    def _end(self, run: _Run, event: Any) -> None:
        match event:
            case events.JobSucceeded():
                run.end("succeeded")
            case events.JobFailed():
                run.fail("failed", event.error)
            case events.JobRescheduled():
                run.fail("rescheduled", event.error)
            case events.JobThrottled():
                run.throttle(event.reason)
            case events.JobCancelled():
                run.end("cancelled")
            case events.JobReleased():
                run.end("released")
            case events.OutcomeRefused():
                run.end("lost")
            case _:
                return
        del self._runs[event.job_id]

    def _begin(self, queue: str) -> None:
        self._queues[queue] += 1
        if len(self._queues) > 1:
            names = ", ".join(sorted(self._queues))
            msg = f"Tracing: shared by the queues {names}; give each scheduler a Tracing() of its own"
            raise ValueError(msg)  # it is logged

    def _stop(self, queue: str) -> None:
        self._queues[queue] -= 1
        self._queues = +self._queues
        if not self._queues:  # of what is still there nobody will hear
            for run in self._runs.values():
                run.end(None)
            self._runs.clear()


def _full_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
