from collections.abc import AsyncGenerator, Iterator

import anyio
import httpx
import papers
import pytest

from pacer.testing import Rehearsal, rehearse
from pacer.testing.upstream import ScriptedUpstream, error, ok, slow, throttled

pytestmark = pytest.mark.virtual_time

ANALYSIS = {"analysis": "One fish."}


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    with rehearse(papers.scheduler) as rehearsal:
        yield rehearsal


@pytest.fixture
async def client(rehearsal: Rehearsal) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application, which runs, lifespan and all."""
    transport = httpx.ASGITransport(papers.app)
    async with (
        papers.app.router.lifespan_context(papers.app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        yield client


def answer_with(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the application call this upstream instead of the real one."""
    model = httpx.AsyncClient(
        transport=upstream.transport, base_url="https://model.example"
    )
    monkeypatch.setattr(papers, "model", model)


async def test_a_paper_is_enqueued_in_the_lane_of_its_tenant(
    client: httpx.AsyncClient,
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_with(ScriptedUpstream([ok(ANALYSIS)]), monkeypatch)
    await client.post("/papers", params={"text": "One fish", "tenant": "a"})
    rehearsal.assert_enqueued(papers.analyse, args=("One fish",), key="a", times=1)


async def test_the_51st_paper_that_would_wait_is_refused_with_a_time(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(ScriptedUpstream([], then=slow(60, ok(ANALYSIS))), monkeypatch)
    await client.post("/papers", params={"text": "Paper 0"})
    await anyio.sleep(5)  # by now it runs
    for number in range(1, 51):
        answer = await client.post("/papers", params={"text": f"Paper {number}"})
        assert (answer.status_code, answer.json()["position"]) == (202, number)
    refused = await client.post("/papers", params={"text": "Paper 51"})
    assert refused.status_code == 429
    assert refused.json()["code"] == "queue-full"
    # A job is expected to take 60 s, of which 5 are over, and the pause is 10 s.
    retry_after = int(refused.headers["Retry-After"])
    assert 65 <= retry_after <= 70

    await anyio.sleep(retry_after)  # then there is room, as promised
    again = await client.post("/papers", params={"text": "Paper 51"})
    assert again.status_code == 202


async def test_the_answer_says_when_a_paper_will_start(
    client: httpx.AsyncClient,
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_with(ScriptedUpstream([], then=slow(60, ok(ANALYSIS))), monkeypatch)
    promised = []
    for number in range(5):
        answer = await client.post("/papers", params={"text": f"Paper {number}"})
        promised.append(answer.json()["estimate"]["seconds"])
    assert promised == pytest.approx([0, 70, 140, 210, 280])
    report = await rehearsal.drain()
    assert report.starts == pytest.approx(promised)


async def test_after_five_failures_in_a_row_nothing_starts_for_two_minutes(
    client: httpx.AsyncClient,
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream = ScriptedUpstream([*[error(500)] * 5, ok(ANALYSIS)])
    answer_with(upstream, monkeypatch)
    for number in range(6):
        await client.post("/papers", params={"text": f"Paper {number}"})
    report = await rehearsal.drain(strict=False)
    assert report.outcomes == [*["failed"] * 5, "succeeded"]
    assert [hold.seconds for hold in report.holds] == [15, 30, 60, 120]
    # The pause of 10 s comes on top.
    assert upstream.times == [0, 10, 35, 75, 145, 275]
    upstream.verify()


async def test_a_429_of_the_model_holds_the_queue_and_costs_no_attempt(
    client: httpx.AsyncClient,
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Leaving the block fails the test if a request came before the 90 s were over.
    with ScriptedUpstream([throttled(retry_after=90), ok(ANALYSIS)]) as upstream:
        answer_with(upstream, monkeypatch)
        receipt = await client.post("/papers", params={"text": "One fish"})
        await rehearsal.drain()
    job = (await client.get(f"/queue/jobs/{receipt.json()['job_id']}")).json()
    assert (job["state"], job["attempt"], job["throttles"]) == ("succeeded", 1, 1)
    assert job["result"] == ANALYSIS["analysis"]


async def test_a_paper_that_a_crash_interrupts_is_stale_and_the_others_are_analysed(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(ScriptedUpstream([], then=slow(60, ok(ANALYSIS))), monkeypatch)
    async with papers.scheduler as scheduler:
        running = await scheduler.enqueue(papers.analyse, "Paper 1")
        waiting = await scheduler.enqueue(papers.analyse, "Paper 2")
        await anyio.sleep(5)
        rehearsal.crash()
    async with papers.scheduler as scheduler:  # the next start
        await rehearsal.drain(strict=False)
        assert (await scheduler.job(running.job_id)).state == "stale"
        assert (await scheduler.job(waiting.job_id)).state == "succeeded"
