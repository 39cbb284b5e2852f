"""The context of a trace goes from the process that enqueues to the one that runs, through every store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from applications import command, copied, served
from opentelemetry.sdk.trace import ReadableSpan
from servers import PostgresServer, RedisServer
from test_observing_pages import exported
from tracing import Spans, attribute, ids, links
from waiting import until

from pacer import Retry, Scheduler, call
from pacer.backoff import ConstantBackoff
from pacer.opentelemetry import Tracing
from pacer.protocols import Store
from pacer.stores.postgres import PostgresStore
from pacer.stores.redis import RedisStore
from pacer.stores.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

MakeStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path, postgres_schema: str, redis_prefix: str) -> MakeStore:
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return lambda: PostgresStore(server.dsn, schema=postgres_schema)
    if request.param == "redis":
        other: RedisServer = request.getfixturevalue("redis")
        return lambda: RedisStore(other.url, prefix=redis_prefix)
    return lambda: SqliteStore(tmp_path / "jobs.db", share=True)


async def work(trouble: str = "") -> None:
    if trouble:
        raise OSError(trouble)


def process(store: Store, spans: Spans, *, works: bool) -> Scheduler:
    """The scheduler of one process, with an SDK of its own."""
    scheduler = Scheduler(
        store=store, name="llm", worker_concurrency=None if works else 0, observers=(Tracing(spans.provider),)
    )
    scheduler.task(name="work", retry=Retry(attempts=2, backoff=ConstantBackoff(0.01)))(work)
    return scheduler


def children(of: ReadableSpan, spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans.ended if span.parent is not None and ids(span.parent) == ids(of.context)]


async def test_a_run_in_one_process_is_the_child_of_a_request_in_another(make_store: MakeStore) -> None:
    web, worker = Spans(), Spans()
    async with process(make_store(), web, works=False) as enqueues, process(make_store(), worker, works=True):
        with web.tracer.start_as_current_span("POST /one") as one:
            first = await enqueues.enqueue(work, "no route")
        with web.tracer.start_as_current_span("POST /two"):
            await enqueues.enqueue_many([call(work), call(work)])
        assert await enqueues.drain(timeout=30)
        # An id that is there already gives back that job, which stays in the trace that it is in.
        with web.tracer.start_as_current_span("POST /again"):
            await enqueues.options(job_id=first.job_id).enqueue(work)
    assert web.named("process llm") == []
    assert worker.named("create llm") == []
    (create,) = children(web.one("POST /one"), web)
    failed, last = children(create, worker)
    assert [attribute(span, "messaging.message.id") for span in (failed, last)] == [first.job_id] * 2
    assert [attribute(span, "pacer.outcome") for span in (failed, last)] == ["rescheduled", "failed"]
    assert links(failed) == links(last) == [ids(create.context)]
    assert ids(failed.context)[0] == ids(one.get_span_context())[0]
    runs = [children(span, worker) for span in children(web.one("POST /two"), web)]
    assert [[attribute(span, "pacer.outcome") for span in run] for run in runs] == [["succeeded"], ["succeeded"]]
    (unused,) = children(web.one("POST /again"), web)
    assert children(unused, worker) == []


async def test_a_job_of_a_transaction_is_in_the_trace_of_who_committed_it(tmp_path: Path) -> None:
    path, web, worker = tmp_path / "jobs.db", Spans(), Spans()
    stores = [SqliteStore(path, share=True) for _ in range(2)]
    async with process(stores[0], web, works=False) as enqueues, process(stores[1], worker, works=True):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        with web.tracer.start_as_current_span("POST /orders"):
            receipt = await enqueues.using(connection).enqueue(work)
        connection.execute("COMMIT")
        connection.close()
        with anyio.fail_after(30):
            await enqueues.wait(receipt.job_id)
    (create,) = children(web.one("POST /orders"), web)
    (run,) = children(create, worker)
    assert attribute(run, "messaging.message.id") == receipt.job_id


def test_the_application_of_the_page_and_a_worker_process_make_one_trace(tmp_path: Path) -> None:
    copied(tmp_path, "tracing_app", **{"    observers=(Log": "    worker_concurrency=0,\n    observers=(Log"})
    at_once, log = {"OTEL_BSP_SCHEDULE_DELAY": "100"}, tmp_path / "worker.log"
    with served(tmp_path, "tracing_app", **at_once) as web:
        job_id = web.submit("One fish")
        with command(tmp_path, log, "pacer", "worker", "tracing_app:scheduler", **at_once):
            until(lambda: '"name": "process default"' in log.read_text(encoding="utf-8"))
        until(lambda: '"name": "create default"' in web.said)
    create, run = exported(web.said)["create default"], exported(log.read_text(encoding="utf-8"))["process default"]
    assert run["parent_id"] == create["context"]["span_id"]
    assert run["context"]["trace_id"] == create["context"]["trace_id"]
    assert run["attributes"]["messaging.message.id"] == job_id
    assert run["links"][0]["context"]["span_id"] == create["context"]["span_id"]
