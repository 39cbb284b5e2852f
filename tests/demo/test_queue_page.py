"""The page of the demo's queue: for people at this machine; with uvicorn alone, to look at only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pacer.demo._chat import ChatService
from pacer.demo._servers import serving
from pacer.demo.app import Settings, create_app


@pytest.fixture
def steerable(db: Path) -> Iterator[httpx.Client]:
    settings = Settings(db, ChatService.stand_in(1), steerable=True)
    with serving(create_app(settings), 0, "--port") as url, httpx.Client(base_url=url) as client:
        yield client


def pause(client: httpx.Client, **headers: str) -> httpx.Response:
    """As the page does it."""
    client.get("/queue/")
    own = {"X-Pacer-Token": client.cookies.get("pacer_dashboard", ""), "Origin": str(client.base_url).rstrip("/")}
    return client.post("/queue/actions/pause", json={}, headers={**own, **headers})


def test_who_names_no_page_is_led_to_this_one(steerable: httpx.Client) -> None:
    page = steerable.get("/", follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/queue/")
    assert "Drucksachen" in page.text


def test_people_at_this_machine_may_steer(steerable: httpx.Client) -> None:
    assert pause(steerable).status_code == 204
    assert steerable.get("/queue/status").json()["paused"]


@pytest.mark.parametrize("name", ["localhost", "[::1]", "127.0.0.1"])
def test_by_every_name_of_this_machine(name: str, steerable: httpx.Client) -> None:
    port = steerable.base_url.port
    assert steerable.get("/queue/", headers={"Host": f"{name}:{port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.example"},
        {"Host": "[oops"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "demo.example"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
    ],
    ids=str,
)
def test_who_comes_from_elsewhere_sees_and_does_nothing(headers: dict[str, str], steerable: httpx.Client) -> None:
    for path in ("/queue/", "/queue/data/jobs", "/queue/data/live", "/queue/static/main.js"):
        refused = steerable.get(path, headers=headers)
        assert refused.status_code == 403
        assert "127.0.0.1" in refused.json()["detail"]
    assert pause(steerable, **headers).status_code == 403
    assert not steerable.get("/queue/status").json()["paused"]


def test_served_by_uvicorn_alone_the_page_is_to_look_at_only(client: httpx.Client) -> None:
    page = client.get("/queue/", headers={"Host": "demo.example"})
    assert page.status_code == 200
    assert 'data-steerable="false" data-arguments="false"' in page.text
    assert pause(client).status_code == 404
    assert not client.get("/queue/status").json()["paused"]
    assert Settings.from_environment({}).steerable is False
