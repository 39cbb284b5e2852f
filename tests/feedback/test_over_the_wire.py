"""Real clients, a real server on loopback, and a scheduler that learns from its answers without being told to."""

from __future__ import annotations

import time
import urllib.request
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.error import HTTPError

import aiohttp
import anthropic
import anyio
import attrs
import httpx
import openai
import pytest
import requests
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from listening import Listening

from pacer import JobFailedError, OutcomeKind, Scheduler, current_job
from pacer.backoff import ConstantBackoff
from pacer.demo._servers import serving
from pacer.events import JobThrottled
from pacer.feedback import report_response, report_response_sync
from pacer.testing import Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.asyncio_only]

WAIT = 0.25
SOON = {"Retry-After-Ms": "250", "Retry-After": "1"}
TOKENS = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "400", "x-ratelimit-reset-tokens": "6m0s"}
BUSY = {"error": {"code": "limit_requests", "type": "limit_requests", "message": "Requests rate limit exceeded: sk-x"}}
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "us"}]}


@attrs.define(eq=False)
class Upstream:
    """Answers what it has been given, one after the other, and then 200; knows when it was asked."""

    script: deque[tuple[int, dict[str, str], Any]] = attrs.field(factory=deque)
    asked_at: list[float] = attrs.field(factory=list)
    url: str = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def answer(request: Request) -> Response:
            self.asked_at.append(time.monotonic())
            status, headers, body = self.script.popleft() if self.script else (200, TOKENS, MODELS)
            return JSONResponse(body, status, headers)

        return app


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    with serving(upstream.app(), 0, "") as url:
        upstream.url = url
        yield upstream


# -- one way to ask for each client library; none of them knows of pacer ---------------------------------------------


async def with_httpx(url: str) -> None:
    async with httpx.AsyncClient() as client:
        (await client.get(url)).raise_for_status()


def with_httpx_in_a_thread(url: str) -> None:
    with httpx.Client() as client:
        client.get(url).raise_for_status()


def with_requests(url: str) -> None:
    requests.get(url, timeout=5).raise_for_status()


def with_urllib(url: str) -> None:
    try:
        with urllib.request.urlopen(url) as answer:
            answer.read()
    except HTTPError as error:
        error.close()
        raise


async def with_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url):
        pass


async def with_openai(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
        await client.models.list()


async def with_anthropic(url: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        await client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "?"}])


CLIENTS = [
    with_httpx,
    with_httpx_in_a_thread,
    with_requests,
    with_urllib,
    with_aiohttp,
    with_openai,
    with_anthropic,
]
# These leave the body unread, or do not keep it.
WITHOUT_A_BODY = {with_urllib, with_aiohttp}


@attrs.define(eq=False)
class Watched:
    scheduler: Scheduler
    pacing: Listening
    recorder: Recorder


@asynccontextmanager
async def watched(**parts: Any) -> AsyncGenerator[Watched]:
    pacing, recorder = Listening(), Recorder()
    async with Scheduler(pacing=pacing, observers=(recorder,), **parts) as scheduler:
        yield Watched(scheduler, pacing, recorder)


@pytest.mark.parametrize("ask", CLIENTS)
async def test_a_429_holds_the_queue_for_as_long_as_it_says(upstream: Upstream, ask: Callable[[str], Any]) -> None:
    upstream.script.append((429, {**SOON, **TOKENS}, BUSY))
    async with watched() as run:
        receipts = [await run.scheduler.enqueue(ask, upstream.url) for _ in range(2)]
        for receipt in receipts:
            await run.scheduler.wait(receipt)
        job = await run.scheduler.job(receipts[0].job_id)
    first, second, third = upstream.asked_at
    assert second - first >= WAIT
    assert third >= second
    assert (job.throttles, job.attempt) == (1, 1)
    (throttled,) = run.recorder.of(JobThrottled)
    assert throttled.reason == ("HTTP 429" if ask in WITHOUT_A_BODY else "limit_requests")
    outcome = run.pacing.heard[0]
    assert (outcome.kind, outcome.retry_after) == (OutcomeKind.THROTTLED, WAIT)
    (limit,) = outcome.limits
    assert (limit.name, limit.limit, limit.remaining, limit.reset_in) == ("tokens", 1000.0, 400.0, 360.0)


@pytest.mark.parametrize("ask", CLIENTS)
async def test_a_500_is_a_failure_that_says_how_long_to_wait(upstream: Upstream, ask: Callable[[str], Any]) -> None:
    upstream.script.append((500, {**SOON, **TOKENS}, {"error": {"message": "broken"}}))
    async with watched() as run:
        with pytest.raises(JobFailedError):
            await run.scheduler.wait(await run.scheduler.enqueue(ask, upstream.url))
    (outcome,) = run.pacing.heard
    assert (outcome.kind, outcome.retry_after, outcome.limits[0].name) == (OutcomeKind.FAILED, WAIT, "tokens")


@pytest.mark.parametrize("ask", [ask for ask in CLIENTS if ask not in WITHOUT_A_BODY])
async def test_an_unpaid_bill_is_asked_about_once(upstream: Upstream, ask: Callable[[str], Any]) -> None:
    upstream.script.append((429, SOON, {"error": {"code": "PrepaidBillOverdue", "message": "Pay."}}))
    async with watched() as run:
        with pytest.raises(JobFailedError):
            await run.scheduler.wait(await run.scheduler.enqueue(ask, upstream.url))
    assert len(upstream.asked_at) == 1


async def test_anthropic_is_overloaded_with_529_and_tells_its_limits_by_date(upstream: Upstream) -> None:
    headers = {
        "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-10-21T07:28:12Z",
        **SOON,
    }
    upstream.script.append((529, headers, {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}))
    async with watched() as run:
        await run.scheduler.wait(await run.scheduler.enqueue(with_anthropic, upstream.url))
    outcome = run.pacing.heard[0]
    assert (outcome.kind, outcome.error, outcome.retry_after) == (OutcomeKind.THROTTLED, "overloaded_error", WAIT)
    (limit,) = outcome.limits
    assert (limit.name, limit.remaining) == ("input_tokens", 0.0)


async def test_a_connection_that_is_refused_is_a_failure(upstream: Upstream) -> None:
    async with watched() as run:
        with pytest.raises(JobFailedError, match="ConnectError"):
            await run.scheduler.wait(await run.scheduler.enqueue(with_httpx, "http://127.0.0.1:1"))
    assert run.pacing.heard[0].kind is OutcomeKind.FAILED


async def test_a_read_that_times_out_is_a_failure() -> None:
    async def slow(url: str) -> None:
        async with httpx.AsyncClient(timeout=0.05) as client:
            await client.get(url)

    async def never(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1"))
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(listener.serve, never)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with watched() as run:
            with pytest.raises(JobFailedError, match="ReadTimeout"):
                await run.scheduler.wait(await run.scheduler.enqueue(slow, f"http://127.0.0.1:{port}"))
        group.cancel_scope.cancel()
    assert run.pacing.heard[0].kind is OutcomeKind.FAILED


# -- good answers, through hooks -------------------------------------------------------------------------------------


async def hooked_httpx(url: str) -> None:
    async with httpx.AsyncClient(event_hooks={"response": [report_response]}) as client:
        await client.get(url)


def hooked_httpx_in_a_thread(url: str) -> None:
    with httpx.Client(event_hooks={"response": [report_response_sync]}) as client:
        client.get(url)


def hooked_requests(url: str) -> None:
    answer = requests.get(url, timeout=5, hooks={"response": report_response_sync})
    assert answer.status_code == 200


async def hooked_openai(url: str) -> None:
    http_client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [report_response]})
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0, http_client=http_client) as client:
        await client.models.list()
    current_job().report(cost={"requests": 1, "tokens": 123})


@pytest.mark.parametrize("ask", [hooked_httpx, hooked_httpx_in_a_thread, hooked_requests, hooked_openai])
async def test_a_hook_reports_the_limits_of_good_answers(upstream: Upstream, ask: Callable[[str], Any]) -> None:
    async with watched() as run:
        await run.scheduler.wait(await run.scheduler.enqueue(ask, upstream.url))
    (outcome,) = run.pacing.heard
    (limit,) = outcome.limits
    assert (outcome.kind, limit.name, limit.remaining) == (OutcomeKind.SUCCEEDED, "tokens", 400.0)
    assert limit.reset_in == pytest.approx(360.0, abs=5)
    assert outcome.cost == ({"requests": 1.0, "tokens": 123.0} if ask is hooked_openai else None)


async def test_with_a_hook_the_answers_that_a_client_retries_by_itself_are_heard_too(upstream: Upstream) -> None:
    upstream.script.append((429, {"Retry-After-Ms": "1", "x-ratelimit-remaining-requests": "0"}, BUSY))

    async def ask(url: str) -> None:
        http_client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [report_response]})
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=1, http_client=http_client) as client:
            await client.models.list()

    async with watched(backoff=ConstantBackoff(60)) as run:
        await run.scheduler.wait(await run.scheduler.enqueue(ask, upstream.url))
    (outcome,) = run.pacing.heard
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert {limit.name: limit.remaining for limit in outcome.limits} == {"requests": 0.0, "tokens": 400.0}
