"""The stand-in upstream over HTTP, in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from pacer.demo.upstream import FASTEST_ANSWER, SLOWEST_ANSWER, Limits, create_upstream
from pacer.feedback import limits

pytestmark = pytest.mark.anyio

PAPER = "Antrag: Radwege. Der Landtag fordert 20 Millionen Euro für Radwege an allen Landesstraßen bis 2030."


def client_of(app: Any, authorization: str = "Bearer stand-in") -> httpx.AsyncClient:
    headers = [(b"Authorization", authorization.encode())]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://upstream", headers=headers)


async def ask(client: httpx.AsyncClient, text: str = PAPER, path: str = "/v1", **more: Any) -> httpx.Response:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": text}], **more}
    return await client.post(f"{path}/chat/completions", json=body, timeout=None)


async def test_an_answer_has_the_form_of_a_chat_completion_and_the_same_text_every_time() -> None:
    async with client_of(create_upstream()) as client:
        first = (await ask(client)).json()
        second = (await ask(client, path="/compatible-mode/v1")).json()
    assert first == second
    assert first["object"] == "chat.completion"
    assert first["choices"][0]["finish_reason"] == "stop"
    assert "20 Millionen Euro" in first["choices"][0]["message"]["content"]
    usage = first["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"] > 20


@pytest.mark.parametrize("speed", [1, 100])
async def test_an_answer_takes_its_time_and_less_in_a_faster_world(speed: float) -> None:
    async with client_of(create_upstream(speed=speed)) as client:
        begun = anyio.current_time()
        await ask(client)
        took = anyio.current_time() - begun
    assert FASTEST_ANSWER <= took * speed <= SLOWEST_ANSWER


async def test_too_many_requests_a_minute_are_refused_until_the_time_that_is_named() -> None:
    async with client_of(create_upstream(Limits(requests=2))) as client:
        for _ in range(2):
            assert (await ask(client)).status_code == 200
        refused = await ask(client)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == refused.json()["error"]["type"] == "limit_requests"
        seconds, milliseconds = int(refused.headers["retry-after"]), int(refused.headers["retry-after-ms"])
        assert seconds - 1 < milliseconds / 1000 <= seconds
        await anyio.sleep(milliseconds / 1000 - 0.01)
        assert (await ask(client)).status_code == 429
        await anyio.sleep(0.01)
        assert (await ask(client)).status_code == 200


async def test_every_answer_tells_what_is_left_of_the_minute() -> None:
    async with client_of(create_upstream(Limits(requests=2, tokens=1000))) as client:
        first, second, refused = [await ask(client) for _ in range(3)]
    used = first.json()["usage"]["total_tokens"]
    left = [{one.name: (one.limit, one.remaining) for one in limits(each.headers)} for each in (first, second, refused)]
    assert left == [
        {"requests": (2, 1), "tokens": (1000, 1000 - used)},
        {"requests": (2, 0), "tokens": (1000, 1000 - 2 * used)},
        {"requests": (2, 0), "tokens": (1000, 1000 - 2 * used)},
    ]
    assert [one.reset_in for one in limits(first.headers)] == [60.0, 60.0]


async def test_a_burst_is_refused_with_a_code_of_its_own() -> None:
    async with client_of(create_upstream()) as client:
        answers: list[httpx.Response] = []

        async def one() -> None:
            answers.append(await ask(client))

        async with anyio.create_task_group() as task_group:
            task_group.start_soon(one)
            task_group.start_soon(one)
    refused, taken = sorted(answers, key=lambda answer: -answer.status_code)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit_burst_rate")
    assert taken.status_code == 200


async def test_too_many_tokens_a_minute_are_refused_as_dashscope_does() -> None:
    async with client_of(create_upstream(Limits(tokens=100))) as client:
        assert (await ask(client)).status_code == 200
        refused = await ask(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")


async def test_a_request_that_no_minute_can_hold_is_an_error_and_not_a_throttle() -> None:
    async with client_of(create_upstream(Limits(tokens=10))) as client:
        refused = await ask(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_parameter_error")
    assert "retry-after" not in refused.headers


async def test_others_who_share_the_account_can_use_up_the_minute() -> None:
    async with client_of(create_upstream(others_before={2})) as client:
        statuses = []
        for _ in range(3):
            answer = await ask(client)
            statuses.append(answer.status_code)
            await anyio.sleep(int(answer.headers.get("retry-after", 0)))
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize("header", ["", "Bearer wrong", "stand-in", "Bearer ", "Bearer schlüssel"])
async def test_only_the_right_key_is_served(header: str) -> None:
    async with client_of(create_upstream(), header) as client:
        refused = await ask(client)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert (await client.get("/calls")).json() == {"calls": []}


@pytest.mark.parametrize("more", [{"stream": True}, {"messages": []}, {"model": None}, {"messages": [{"role": "x"}]}])
async def test_a_request_that_it_cannot_serve_gets_an_error_in_the_same_form(more: dict[str, Any]) -> None:
    async with client_of(create_upstream()) as client:
        refused = await ask(client, **more)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_parameter_error")


async def test_the_log_of_calls_tells_times_and_ends() -> None:
    async with client_of(create_upstream(Limits(requests=1))) as client:
        await ask(client)
        await anyio.sleep(3)
        await ask(client, "Ein anderes Papier, über das nicht viel zu sagen ist.")
        first, second = (await client.get("/calls")).json()["calls"]
    assert (first["at"], first["status"], first["code"], first["answered"]) == (0, 200, "", True)
    assert (second["status"], second["code"], second["tokens"], second["answered"]) == (429, "limit_requests", 0, False)
    assert FASTEST_ANSWER + 3 <= second["at"] <= SLOWEST_ANSWER + 3
    assert first["document"] != second["document"]
