"""The scripted upstream: as an HTTP service for the clients that people use, and as a function."""

from __future__ import annotations

import anthropic
import anyio
import httpx
import httpx2
import openai
import pytest

from pacer import Scheduler, Throttled
from pacer.events import JobThrottled, QueueHeld
from pacer.feedback import report_response
from pacer.pacing import FixedPause, ServerGuided
from pacer.testing import Recorder, rehearse
from pacer.testing.upstream import ScriptedUpstream, UpstreamError, error, lost, ok, slow, throttled

pytestmark = pytest.mark.anyio

CLIENTS = [httpx.AsyncClient, httpx2.AsyncClient]


def client_of(upstream, kind=httpx.AsyncClient, **options):
    return kind(transport=upstream.transport, base_url="http://upstream", **options)


# -- as an HTTP service ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLIENTS)
async def test_answers_come_in_order_with_their_headers_and_in_their_time(kind):
    script = [ok({"text": "One"}), ok("plain", headers={"x-model": "a"}), throttled(1.5), error(503, "down"), slow(7)]
    upstream = ScriptedUpstream(script)
    async with client_of(upstream, kind) as client:
        answers = [await client.get("/") for _ in script[:3]]
        await anyio.sleep(1.5)
        answers += [await client.post("/", json={"a": 1}) for _ in script[3:]]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 503, 200]
    assert (answers[0].json(), answers[1].text, answers[1].headers["x-model"]) == ({"text": "One"}, "plain", "a")
    assert (answers[2].headers["retry-after"], answers[2].headers["retry-after-ms"]) == ("2", "1500")
    assert upstream.times == [0, 0, 0, 1.5, 1.5]
    last = upstream.calls[-1]
    assert last.answered_at is not None
    assert last.answered_at - last.at == 7
    assert (last.request.method, last.json) == ("POST", {"a": 1})
    upstream.verify()


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_lost_connection_is_the_clients_own_error(kind):
    library = httpx if kind is httpx.AsyncClient else httpx2
    async with client_of(ScriptedUpstream([lost()]), kind) as client:
        with pytest.raises(library.ReadError):
            await client.get("/")


@pytest.mark.asyncio_only  # trio's virtual clock does not wait for threads
async def test_a_synchronous_client_in_a_threads_job_is_on_the_same_clock():
    upstream = ScriptedUpstream([ok(), throttled(30), ok(), slow(1)])

    def ask():
        with httpx.Client(transport=upstream.transport) as client:
            client.get("http://upstream/").raise_for_status()

    scheduler = Scheduler(pacing=FixedPause(10), observers=())
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            for _ in range(2):
                await scheduler.enqueue(ask)
            report = await rehearsal.drain()
            assert report.outcomes == ["succeeded", "throttled", "succeeded"]
            assert upstream.times == [0, 10, 40]
            await scheduler.enqueue(ask)
            with pytest.raises(AssertionError, match=r"slow\(\) takes the event loop's time"):
                await rehearsal.drain()


async def test_a_synchronous_client_works_without_any_event_loop_too():
    upstream = ScriptedUpstream([ok(), throttled(30)])
    with client_of(upstream, httpx.Client) as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    upstream.verify()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_the_sdks_see_a_throttle_and_the_scheduler_obeys_it(sdk):
    completion = {
        "openai": {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": []},
        "anthropic": {"id": "1", "type": "message", "role": "assistant", "content": [], "model": "m"},
    }[sdk]
    recorder = Recorder()
    with ScriptedUpstream([throttled(42), slow(5, ok(completion)), error(400)]) as upstream:
        http_client = httpx2.AsyncClient(transport=upstream.transport)
        if sdk == "openai":
            client = openai.AsyncOpenAI(api_key="k", base_url="http://up", max_retries=0, http_client=http_client)

            async def ask():
                return (await client.chat.completions.create(model="m", messages=[])).id
        else:
            client = anthropic.AsyncAnthropic(api_key="k", base_url="http://up", max_retries=0, http_client=http_client)

            async def ask():
                return (await client.messages.create(model="m", max_tokens=5, messages=[])).id

        async with client, Scheduler(observers=(recorder,)) as scheduler:
            assert await scheduler.wait(await scheduler.enqueue(ask)) == "1"
            await scheduler.enqueue(ask)
            await scheduler.drain()
    assert upstream.times == [0, 42, 47]
    assert [event.seconds for event in recorder.of(QueueHeld)] == [42]
    assert len(recorder.of(JobThrottled)) == 1


async def test_a_policy_that_listens_keeps_to_what_the_headers_say():
    script = [ok(limit=60, remaining=1, reset=60), ok(limit=60, remaining=0, reset=12), ok(limit=60, remaining=59)]
    with ScriptedUpstream(script) as upstream:
        async with client_of(upstream, event_hooks={"response": [report_response]}) as client:

            async def ask():
                (await client.get("/")).raise_for_status()

            scheduler = Scheduler(pacing=ServerGuided(), observers=())
            with rehearse(scheduler) as rehearsal:
                async with scheduler:
                    for _ in script:
                        await scheduler.enqueue(ask)
                    report = await rehearsal.drain()
    assert report.starts[2] - report.starts[1] >= 12


# -- what was allowed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (throttled(30), "answer 1, at 0 s, had said a Retry-After of 30 s"),
        (slow(5, throttled(25)), "answer 1, at 5 s, had said a Retry-After of 25 s"),
        (ok(limit=60, remaining=0, reset=30), "answer 1, at 0 s, had said a limit, which is used up for 30 s"),
        (throttled(headers={"retry-after-ms": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}), "limit"),
    ],
)
async def test_a_request_that_comes_too_soon_is_told_of(first, why):
    start = anyio.current_time()
    upstream = ScriptedUpstream([first, ok()])
    async with client_of(upstream) as client:
        await client.get("/")
        await anyio.sleep(start + 20 - anyio.current_time())
        await client.get("/")
    with pytest.raises(AssertionError) as failure:
        upstream.verify()
    assert "request 2 came 10 s too soon, at 20 s: " in str(failure.value)
    assert why in str(failure.value)


async def test_a_request_at_the_very_moment_is_allowed():
    with ScriptedUpstream([throttled(30), ok()]) as upstream:
        async with client_of(upstream) as client:
            await client.get("/")
            await anyio.sleep(30)
            await client.get("/")


async def test_a_pause_may_be_asked_for_between_an_answer_and_the_next_request():
    upstream = ScriptedUpstream([slow(3), ok(), ok()], pause=10)
    async with client_of(upstream) as client:
        for wait in (10, 9, 0):
            await client.get("/")
            await anyio.sleep(wait)
    with pytest.raises(AssertionError, match=r"request 3 came 1 s too soon, at 22 s: .* had said a pause of 10 s"):
        upstream.verify()


async def test_a_strict_upstream_refuses_what_comes_too_soon_and_keeps_its_script():
    upstream = ScriptedUpstream([ok("a"), ok("b")], pause=10, strict=True)
    async with client_of(upstream) as client:
        await client.get("/")
        refused = await client.get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        await anyio.sleep(20)
        assert (await client.get("/")).text == "b"


async def test_a_script_that_is_over_or_not_used_up_is_told_of():
    upstream = ScriptedUpstream([ok()])
    async with client_of(upstream) as client:
        await client.get("/")
        with pytest.raises(AssertionError, match="the upstream's script is over: this is request 2"):
            await client.get("/")
    with pytest.raises(AssertionError, match="1 requests came after the script was over; pass then="):
        upstream.verify()
    with pytest.raises(AssertionError, match="only 0 of 2 answers were asked for"):
        ScriptedUpstream([ok(), ok()]).verify()
    with pytest.raises(KeyError), ScriptedUpstream([ok()]):  # the test's own failure is not covered by it
        raise KeyError


# -- as a function ---------------------------------------------------------------------------------------------------


async def test_as_a_function_it_gives_bodies_and_raises():
    upstream = ScriptedUpstream([slow(2, ok("a")), error(500, "b"), lost(), throttled(30)], then=ok("z"))
    assert await upstream("question", temperature=0) == "a"
    assert upstream.calls[0].request == (("question",), {"temperature": 0})
    with pytest.raises(UpstreamError, match="the upstream answered 500") as failure:
        await upstream()
    assert (failure.value.status, failure.value.body) == (500, "b")
    with pytest.raises(UpstreamError, match="the connection to the upstream was lost"):
        await upstream()
    with pytest.raises(Throttled) as throttle:
        await upstream()
    assert throttle.value.retry_after == 30
    await anyio.sleep(30)
    assert [await upstream() for _ in range(2)] == ["z", "z"]
    assert upstream.times == [0, 2, 2, 2, 32, 32]
    upstream.verify()
