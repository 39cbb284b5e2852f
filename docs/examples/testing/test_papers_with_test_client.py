import httpx
import papers
import pytest

from pacer.testing import AppClock, fast, rehearse
from pacer.testing.upstream import ScriptedUpstream, ok, slow


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedUpstream:
    upstream = ScriptedUpstream([], then=slow(60, ok({"analysis": "One fish."})))
    model = httpx.AsyncClient(
        transport=upstream.transport, base_url="https://model.example"
    )
    monkeypatch.setattr(papers, "model", model)
    return upstream


def test_a_second_paper_waits_for_the_first_and_the_pause() -> None:
    clock = AppClock()
    with rehearse(papers.scheduler), clock.client(papers.app) as client:
        for text in ("One fish", "Two fish"):
            client.post("/papers", params={"text": text})
        clock.advance(65)
        status = client.get("/queue/status").json()
        assert (status["succeeded"], status["running"]) == (1, 0)
        assert status["waiting_for"] == "pause of 10 s after the last job"
        clock.advance(5)
        assert client.get("/queue/status").json()["running"] == 1


def test_a_paper_is_analysed() -> None:
    """Whatever the pace: it could be an hour, and this test would not know."""
    clock = AppClock()
    with (
        fast(papers.scheduler) as rehearsal,
        clock.client(papers.app) as client,
    ):
        job = client.post("/papers", params={"text": "One fish"}).json()["job_id"]
        clock.call(rehearsal.drain)
        assert client.get(f"/queue/jobs/{job}").json()["result"] == "One fish."
