"""What OpenTelemetry is told of jobs."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from tracing import Spans, attribute, ids, links, outcomes

from pacer import Retry, Scheduler, Throttled, call, events
from pacer.backoff import ConstantBackoff
from pacer.opentelemetry import Tracing

pytestmark = pytest.mark.anyio


@pytest.fixture
def spans() -> Spans:
    return Spans()


def traced(spans: Spans, *, new_trace: bool = False, **parts: Any) -> Scheduler:
    return Scheduler(observers=(Tracing(spans.provider, new_trace=new_trace),), **parts)


async def work() -> None:
    await anyio.sleep(1)


async def test_a_job_is_in_the_trace_of_the_request_that_enqueued_it(spans: Spans) -> None:
    async with traced(spans, name="llm") as scheduler:
        with spans.tracer.start_as_current_span("POST /papers"):
            receipt = await scheduler.options(job_id="paper-7").enqueue(work)
        await scheduler.wait(receipt)
    request, create, process = spans.one("POST /papers"), spans.one("create llm"), spans.one("process llm")
    assert ids(create.parent) == ids(request.context)
    assert create.kind is SpanKind.PRODUCER
    assert ids(process.parent) == ids(create.context)
    assert links(process) == [ids(create.context)]
    assert process.kind is SpanKind.CONSUMER
    assert process.status.status_code is StatusCode.UNSET
    assert attribute(process, "pacer.outcome") == "succeeded"


async def test_spans_have_the_names_of_the_conventions(spans: Spans) -> None:
    async with traced(spans, name="llm") as scheduler:
        await scheduler.wait(await scheduler.options(job_id="paper-7").enqueue(work))
    create, process = spans.one("create llm"), spans.one("process llm")
    kinds = messaging.MessagingOperationTypeValues
    for span, kind in ((create, kinds.CREATE), (process, kinds.PROCESS)):
        assert span.name == f"{kind.value} llm"
        assert attribute(span, messaging.MESSAGING_SYSTEM) == "pacer"
        assert attribute(span, messaging.MESSAGING_OPERATION_NAME) == kind.value
        assert attribute(span, messaging.MESSAGING_OPERATION_TYPE) == kind.value
        assert attribute(span, messaging.MESSAGING_DESTINATION_NAME) == "llm"
    assert attribute(process, messaging.MESSAGING_MESSAGE_ID) == "paper-7"
    assert attribute(process, "pacer.task") == f"{__name__}.work"
    assert attribute(process, "pacer.attempt") == 1
    assert attribute(process, "pacer.waited") >= 0
    scope = process.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("pacer", Schemas.V1_44_0.value)


async def test_each_run_has_a_span_that_says_how_it_ended(spans: Spans) -> None:
    answers = iter([Throttled(5, reason="tokens"), OSError("no route"), None])

    async def troubled() -> None:
        await anyio.sleep(1)
        if answer := next(answers):
            raise answer

    async with traced(spans) as scheduler:
        with spans.tracer.start_as_current_span("request"):
            retry = Retry(attempts=2, backoff=ConstantBackoff(1))
            receipt = await scheduler.options(retry=retry).enqueue(troubled)
        await scheduler.wait(receipt)
    throttled, failed, succeeded = spans.named("process default")
    create = spans.one("create default")
    assert {ids(span.parent) for span in (throttled, failed, succeeded)} == {ids(create.context)}
    assert outcomes(spans) == ["throttled", "rescheduled", "succeeded"]
    assert [attribute(span, "pacer.attempt") for span in (throttled, failed, succeeded)] == [1, 1, 2]
    # A throttle is no error: nobody has failed.
    assert throttled.status.status_code is StatusCode.UNSET
    assert attribute(throttled, error_attributes.ERROR_TYPE) is None
    (event,) = throttled.events
    assert (event.name, dict(event.attributes or {})) == ("throttled", {"pacer.reason": "tokens"})
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "OSError: no route"
    assert attribute(failed, error_attributes.ERROR_TYPE) == "OSError"
    (event,) = failed.events
    assert (event.name, (event.attributes or {})["exception.message"]) == ("exception", "no route")


async def test_a_run_that_fails_for_good_is_over_time_or_is_cancelled_says_so(spans: Spans) -> None:
    async def fail() -> None:
        raise ExceptionGroup("both", [OSError("a"), ValueError("b")])

    async with traced(spans) as scheduler:
        await scheduler.enqueue(fail)
        await scheduler.drain()
        await scheduler.options(timeout=2).enqueue(anyio.sleep, 10)
        await scheduler.drain()
        endless = await scheduler.enqueue(anyio.sleep_forever)
        await anyio.sleep(1)
        await scheduler.cancel(endless.job_id)
        await scheduler.drain()
        await scheduler.enqueue(anyio.sleep_forever)
        await anyio.sleep(1)
    failed, late, cancelled, released = spans.named("process default")
    assert outcomes(spans) == ["failed", "failed", "cancelled", "released"]
    assert attribute(failed, "error.type") == "ExceptionGroup"
    assert attribute(late, "error.type") == "timeout"
    assert late.status.description == "timed out after 2 s"
    assert {span.status.status_code for span in (cancelled, released)} == {StatusCode.UNSET}
    assert not cancelled.events
    assert not released.events


async def test_what_a_job_does_is_part_of_its_span_in_tasks_and_in_threads(spans: Spans) -> None:
    current = []

    def note() -> None:
        current.append(ids(trace.get_current_span().get_span_context()))
        with spans.tracer.start_as_current_span("call of the upstream"):
            pass

    async def in_a_task() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.lowlevel.checkpoint)
            note()

    async with traced(spans) as scheduler:
        for function in (in_a_task, note):  # the latter runs in a thread
            await scheduler.wait(await scheduler.enqueue(function))
    runs = spans.named("process default")
    assert current == [ids(span.context) for span in runs]
    assert [ids(span.parent) for span in spans.named("call of the upstream")] == current


async def test_a_job_that_nobody_traced_begins_a_trace_whatever_the_scheduler_was_started_in(spans: Spans) -> None:
    with spans.tracer.start_as_current_span("start of the application"):
        async with traced(spans) as scheduler:
            token = context.attach(context.Context())
            try:
                await scheduler.wait(await scheduler.enqueue(work))
            finally:
                context.detach(token)
    assert spans.one("create default").parent is None
    assert ids(spans.one("process default").parent) == ids(spans.one("create default").context)


async def test_runs_can_have_traces_of_their_own_that_are_linked(spans: Spans) -> None:
    async with traced(spans, new_trace=True) as scheduler:
        await scheduler.wait(await scheduler.enqueue(work))
    create, process = spans.one("create default"), spans.one("process default")
    assert process.parent is None
    assert links(process) == [ids(create.context)]
    assert ids(process.context)[0] != ids(create.context)[0]


async def test_each_job_of_a_batch_has_a_span_of_its_own(spans: Spans) -> None:
    async with traced(spans, concurrency=3) as scheduler:
        with spans.tracer.start_as_current_span("request"):
            await scheduler.enqueue_many([call(work) for _ in range(3)])
        await scheduler.drain()
    creates, runs = spans.named("create default"), spans.named("process default")
    assert len(runs) == 3
    assert {ids(span.parent) for span in runs} == {ids(span.context) for span in creates}


async def test_a_periodic_job_begins_a_trace_whatever_the_scheduler_was_started_in(spans: Spans) -> None:
    """And there is a span for each job, and none for looking whether there could be one."""
    scheduler = traced(spans, name="llm")
    scheduler.every(60)(work)
    with spans.tracer.start_as_current_span("main"):
        async with scheduler:
            await anyio.sleep(130)
    created = spans.named("create llm")
    assert [span.parent for span in created] == [None, None]
    assert sum(name.startswith("create") for name in spans.names) == 2
    assert [ids(span.parent) for span in spans.named("process llm")] == [ids(span.context) for span in created]


async def test_baggage_goes_with_the_job(spans: Spans) -> None:
    found = []

    async def look() -> None:
        found.append(baggage.get_baggage("release"))

    async with traced(spans) as scheduler:
        token = context.attach(baggage.set_baggage("release", "blue"))
        try:
            receipt = await scheduler.enqueue(look)
        finally:
            context.detach(token)
        await scheduler.wait(receipt)
    assert found == ["blue"]


async def test_without_an_sdk_or_when_not_sampled_jobs_run_and_nothing_is_kept() -> None:
    for provider in (None, TracerProvider(sampler=ALWAYS_OFF)):
        async with Scheduler(observers=(Tracing(provider),)) as scheduler:
            await scheduler.wait(await scheduler.enqueue(work))


async def test_a_tracing_that_two_queues_share_leaves_the_queue_out_and_says_so(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    tracing = Tracing(spans.provider)
    async with Scheduler(observers=(tracing,), name="a") as first, Scheduler(observers=(tracing,), name="b"):
        await first.wait(await first.enqueue(work))
    assert "shared by the queues a, b; give each scheduler a Tracing() of its own" in caplog.text
    assert spans.names == ["create", "process"]
    async with first:
        await first.wait(await first.enqueue(work))
    assert spans.names[2:] == ["create a", "process a"]


async def test_the_span_of_a_run_of_which_nobody_hears_ends_with_the_scheduler(spans: Spans) -> None:
    """Its store was away until the scheduler stopped, say."""
    tracing = Tracing(spans.provider)
    tracing(events.SchedulerStarted(0.0, "default", "w"))

    class Job:
        id, task = "1", "work"

    with tracing.running(Job(), {}):  # type: ignore[arg-type]
        pass
    assert spans.names == []
    tracing(events.SchedulerStopped(0.0, "default", "w"))
    assert spans.names == ["process default"]
    assert outcomes(spans) == [None]
