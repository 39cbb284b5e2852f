"""Who may look, who may steer, and that nobody else can."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Security
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from mounted import Page, anybody, client_of, make_scheduler, mounted, sleeper

from pacer.dashboard import dashboard
from pacer.fastapi import lifespan

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """All that can be asked of it: method and path."""
    found: list[tuple[str, str]] = []

    def collect(routes: Any, prefix: str) -> None:
        for route in routes:
            if isinstance(route, APIRoute):
                found.extend((method, prefix + route.path) for method in route.methods or ())
            else:
                collect(route.original_router.routes, prefix + route.include_context.prefix)

    collect(app.routes, "")
    return found


async def refuse() -> None:
    raise HTTPException(401, "Who are you?")


async def admin(x_user: Annotated[str, Header()] = "") -> str:
    if x_user != "admin":
        raise HTTPException(403, "For admins.")
    return x_user


ACTIONS = ("pause", "resume", "end-hold", "cancel", "retry", "retry-all", "numbers")


async def test_without_auth_there_is_nothing_to_steer_with() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler, auth=None) as page:
        receipt = await scheduler.enqueue(sleeper)
        answer = await page.open()
        for action in ACTIONS:
            assert (await page.act(action, {"id": receipt.job_id, "state": "stale", "numbers": {}})).status_code == 404
        assert (await page.get("data/arguments", job=receipt.job_id)).status_code == 404
        assert not (await scheduler.status()).paused
    assert answer.status_code == 200
    assert 'data-steerable="false"' in answer.text
    assert page.token == ""
    assert "set-cookie" not in answer.headers


def test_without_auth_every_route_only_reads() -> None:
    app = dashboard(make_scheduler())
    assert {method for method, _ in routes_of(app)} == {"GET"}


async def test_auth_is_asked_for_everything_before_anything_is_read() -> None:
    asked: list[str] = []

    async def note(request: Request) -> None:
        asked.append(request.url.path)
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Basic"})

    scheduler = make_scheduler()
    app = FastAPI(lifespan=lifespan(scheduler))
    page = dashboard(scheduler, auth=note, show_arguments=True, title="secret title")
    app.mount("/queue", page)
    routes = routes_of(page)
    assert len(routes) >= 10
    async with app.router.lifespan_context(app), client_of(app) as client:
        await scheduler.options(job_id="secret-id").enqueue(sleeper)
        for method, path in routes:
            address = path.removeprefix("/").format(name="main.js")
            answer = await client.request(method, address, params={"job": "secret-id"}, json={"id": "secret-id"})
            assert (answer.status_code, answer.json()) == (401, {"detail": "Who are you?"})
            assert answer.headers["www-authenticate"] == "Basic"
            assert "set-cookie" not in answer.headers
    assert len(asked) == len(routes)


@pytest.mark.parametrize("auth", [admin, Depends(admin), Security(admin)], ids=["function", "Depends", "Security"])
async def test_auth_is_a_dependency_however_it_is_given(auth: Any) -> None:
    async with mounted(make_scheduler(), auth=auth) as page:
        assert (await page.get("data/jobs")).status_code == 403
        page.client.headers["X-User"] = "admin"
        assert (await page.get("data/jobs")).status_code == 200


async def test_what_auth_raises_is_answered_by_the_application_around() -> None:
    class SignInError(Exception):
        pass

    async def signed_in() -> None:
        raise SignInError

    async def sign_in(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("sign in first", 418)

    scheduler = make_scheduler()
    app = FastAPI(lifespan=lifespan(scheduler), exception_handlers={SignInError: sign_in})
    app.mount("/queue", dashboard(scheduler, auth=signed_in))
    async with app.router.lifespan_context(app), client_of(app) as client:
        answer = await client.get("")
    assert (answer.status_code, answer.text) == (418, "sign in first")


async def test_tests_of_an_application_replace_auth_on_the_page_itself() -> None:
    scheduler = make_scheduler()
    app, page = FastAPI(lifespan=lifespan(scheduler)), dashboard(scheduler, auth=refuse)
    app.mount("/queue", page)
    page.dependency_overrides[refuse] = anybody
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("")).status_code == 200


def test_arguments_for_everybody_are_refused() -> None:
    with pytest.raises(ValueError, match="say with auth= who may see that"):
        dashboard(make_scheduler(), show_arguments=True)


# -- the token -------------------------------------------------------------------------------------------------------


async def test_the_page_pauses_the_queue() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        assert (await page.act("pause")).status_code == 204
        assert (await scheduler.status()).paused


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Pacer-Token": ""},
        {"X-Pacer-Token": "guessed"},
        {"X-Pacer-Token": "\u00e9"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://test.evil.example"},
        {"Origin": "http://test:8000"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
    ],
    ids=str,
)
async def test_a_request_that_does_not_come_from_the_page_is_refused(headers: dict[str, str]) -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        encoded: Any = {name: value.encode() for name, value in headers.items()}
        answer = await page.act("pause", **encoded)
        assert answer.status_code == 403
        assert answer.json()["detail"].startswith("Refused: ")
        assert not (await scheduler.status()).paused


async def test_a_token_without_its_cookie_and_a_cookie_without_its_token_are_refused() -> None:
    async with mounted(make_scheduler()) as page, mounted(make_scheduler()) as other:
        assert (await page.act("pause", **{"X-Pacer-Token": other.token})).status_code == 403
        page.client.cookies.clear()
        assert (await page.act("pause")).status_code == 403
        page.token = ""
        assert (await page.act("pause")).status_code == 403


async def test_a_token_that_the_page_never_gave_is_refused_even_if_the_cookie_is_the_same() -> None:
    async with mounted(make_scheduler()) as page:
        page.client.cookies.clear()
        sent = {"X-Pacer-Token": "a", "Cookie": "pacer_dashboard=a"}
        assert (await page.act("pause", **sent)).status_code == 403


async def test_a_browser_on_https_is_believed_whatever_host_the_proxy_names() -> None:
    async with mounted(make_scheduler()) as page:
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": "https://queue.example", "Host": "10.0.0.7:8000"}
        assert (await page.act("pause", **headers)).status_code == 204


async def test_two_tabs_share_a_token_and_a_broken_cookie_is_replaced() -> None:
    async with mounted(make_scheduler()) as page:
        first = page.token
        await page.open()
        assert page.token == first
        page.client.cookies.set("pacer_dashboard", '"><script>', path="/queue")
        page.client.cookies.delete("pacer_dashboard", path="/queue")
        page.client.headers["Cookie"] = 'pacer_dashboard="><script>'
        answer = await page.open()
        assert "<script>" not in answer.text
        assert page.token not in ("", first)


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
async def test_the_cookie_is_for_this_page_alone(scheme: str, secure: bool) -> None:
    async with mounted(make_scheduler()) as page:
        cookie = (await page.client.get(f"{scheme}://test/queue/")).headers["set-cookie"]
    attributes = {part.strip().partition("=")[0].lower() for part in cookie.split(";")}
    assert "samesite=strict" in cookie.lower()
    assert "httponly" in attributes
    # Browsers then take the folder of the page, which is known to them alone behind a proxy.
    assert "path" not in attributes
    assert "domain" not in attributes
    assert ("secure" in attributes) is secure


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}],
    ids=str,
)
async def test_pages_of_other_sites_read_nothing(headers: dict[str, str]) -> None:
    async with mounted(make_scheduler(), show_arguments=True) as page:
        for path in ("data/live", "data/jobs", "data/numbers", "data/arguments"):
            answer = await page.client.get(path, params={"job": "x"}, headers=headers)
            assert answer.status_code == 403
        # But a link to the page may be followed from anywhere.
        assert (await page.client.get("", headers=headers)).status_code == 200


async def test_auth_is_asked_before_the_token() -> None:
    async with mounted(make_scheduler(), auth=refuse) as page:
        assert (await page.act("pause")).status_code == 401


async def test_one_scheduler_has_a_page_for_all_and_one_for_those_who_may_steer() -> None:
    scheduler = make_scheduler()
    app = FastAPI(lifespan=lifespan(scheduler))
    app.mount("/status", dashboard(scheduler))
    app.mount("/admin", dashboard(scheduler, auth=admin))
    async with app.router.lifespan_context(app), client_of(app, "/status") as all_, client_of(app, "/admin") as few:
        page = Page(few)
        few.headers["X-User"] = "admin"
        await page.open()
        sent = {"X-Pacer-Token": page.token, "Cookie": f"pacer_dashboard={page.token}", "X-User": "admin"}
        assert (await all_.post("actions/pause", json={}, headers=sent)).status_code == 404
        assert (await page.act("pause")).status_code == 204
        assert (await all_.get("data/jobs")).status_code == 200
