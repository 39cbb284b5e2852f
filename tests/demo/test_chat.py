"""Calling a chat service: which service, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from pacer import JobFailedError, Scheduler
from pacer.demo._analysis import analyse as expected_analysis
from pacer.demo._chat import ChatService, analyse
from pacer.demo._servers import serving
from pacer.demo.upstream import Limits, create_upstream
from pacer.events import JobThrottled
from pacer.testing import Recorder

PAPER = "Antrag: Radwege. Der Landtag fordert 20 Millionen Euro für Radwege an allen Landesstraßen bis 2030."


def test_a_dashscope_key_selects_dashscope() -> None:
    chat = ChatService.from_environment({"DASHSCOPE_API_KEY": "k", "OPENAI_BASE_URL": "http://other"})
    assert "dashscope" in chat.base_url
    assert chat.base_url.endswith("/compatible-mode/v1")
    assert (chat.api_key, chat.model, chat.local) == ("k", "qwen-plus", False)
    chosen = {"DASHSCOPE_API_KEY": "k", "DASHSCOPE_BASE_URL": "http://d/v1", "DASHSCOPE_MODEL": "qwen-max"}
    chat = ChatService.from_environment(chosen)
    assert (chat.base_url, chat.model) == ("http://d/v1", "qwen-max")


def test_an_openai_base_url_selects_that_service_and_a_key_alone_selects_nothing() -> None:
    chat = ChatService.from_environment({"OPENAI_BASE_URL": "http://o/v1", "OPENAI_API_KEY": "k", "OPENAI_MODEL": "m"})
    assert (chat.base_url, chat.api_key, chat.model, chat.local) == ("http://o/v1", "k", "m", False)
    assert ChatService.from_environment({"OPENAI_API_KEY": "k"}).local


def test_the_key_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(ChatService.from_environment({"DASHSCOPE_API_KEY": "s3cret"}))


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_an_answer_comes_back_as_text_and_a_429_is_seen_by_the_scheduler_without_help() -> None:
    upstream = create_upstream(Limits(requests=1), speed=100)
    with serving(upstream, 0, "--upstream-port") as url:
        chat = ChatService.stand_in(int(url.rsplit(":", 1)[1]))
        recorder = Recorder()
        async with chat.client() as client, Scheduler(observers=(recorder,)) as scheduler:
            receipts = [await scheduler.enqueue(analyse, client, chat.model, PAPER) for _ in range(2)]
            answers = [await scheduler.wait(receipt) for receipt in receipts]
    assert answers == [expected_analysis(PAPER)] * 2
    assert [throttled.reason for throttled in recorder.of(JobThrottled)] == ["limit_requests"]


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_a_429_for_an_overdue_bill_is_a_failure_and_is_asked_once() -> None:
    asked: list[Any] = []
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def overdue() -> JSONResponse:
        asked.append(1)
        return JSONResponse({"error": {"code": "PrepaidBillOverdue", "message": "Your bill is overdue."}}, 429)

    with serving(app, 0, "--upstream-port") as url:
        chat = ChatService(base_url=f"{url}/v1", api_key="k", model="m")
        async with chat.client() as client, Scheduler() as scheduler:
            with pytest.raises(JobFailedError, match="Your bill is overdue"):
                await scheduler.wait(await scheduler.enqueue(analyse, client, "m", PAPER))
    assert len(asked) == 1


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize(
    "body",
    [
        b"<html>a login page</html>",
        b'{"hello": []}',
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"role": "assistant", "content": null}}]}',
    ],
)
async def test_an_answer_that_holds_no_text_is_a_failure_that_says_so(body: bytes) -> None:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete() -> Response:
        media_type = "text/html" if body.startswith(b"<") else "application/json"
        return Response(body, media_type=media_type)

    with serving(app, 0, "--upstream-port") as url:
        async with ChatService(base_url=f"{url}/v1", api_key="k", model="m").client() as client:
            with pytest.raises(ValueError, match="without a text"):
                await analyse(client, "m", PAPER)
