"""The demo's own HTTP client, and how it picks up a run."""

from __future__ import annotations

import httpx
import pytest
from waiting import until

from pacer.demo._client import DemoClient, request_json
from pacer.demo._samples import load_samples
from pacer.demo._servers import DemoError


def port_of(url: object) -> int:
    return int(str(url).rstrip("/").rsplit(":", 1)[1])


def test_an_answer_that_says_no_is_an_error_with_its_words(upstream_url: str) -> None:
    with pytest.raises(DemoError, match=r"GET /none was answered with 404: .*Not Found"):
        request_json(port_of(upstream_url), "GET", "/none")


def test_a_server_that_is_away_is_an_error_that_names_its_port() -> None:
    with pytest.raises(DemoError, match="on port 1 does not answer"):
        request_json(1, "GET", "/")


def test_a_run_that_was_broken_off_goes_on_and_one_that_ended_is_not_repeated(client: httpx.Client) -> None:
    samples, port = load_samples()[:2], port_of(client.base_url)
    first = DemoClient(port)
    assert [one["created"] for one in first.feed(samples)] == [True, True]
    assert not first.resumed
    again = DemoClient(port)
    assert [one["created"] for one in again.feed(samples)] == [False, False]
    assert again.resumed
    until(lambda: again.progress().drained)
    third = DemoClient(port)
    assert [one["created"] for one in third.feed(samples)] == [True, True]
    assert not third.resumed
    until(lambda: third.progress().drained)
    assert len(third.progress().jobs) == 2


def test_papers_of_others_are_shown_and_waited_for(client: httpx.Client) -> None:
    samples = load_samples()[:1]
    demo = DemoClient(port_of(client.base_url))
    demo.feed(samples)
    client.post("/api/analyze-drucksache", json={"title": "Fremdes Papier", "text": "Ein Satz, der lang genug ist."})
    progress = until(lambda: demo.progress() if demo.progress().drained else None)
    assert [job["title"].split()[0] for job in progress.jobs] == ["8/1204", "Fremdes"]
    assert progress.count("succeeded") == 2
