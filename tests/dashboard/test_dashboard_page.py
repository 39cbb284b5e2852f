"""The page itself: what it is made of, what it is allowed to do, and where it works."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
from fastapi import FastAPI
from mounted import Page, anybody, client_of, make_scheduler, mounted

from pacer.dashboard import dashboard
from pacer.fastapi import lifespan

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]

STATIC = resources.files("pacer.dashboard") / "static"
FILES = {file.name: file.read_text(encoding="utf-8") for file in STATIC.iterdir()}
SCRIPTS = {name: text for name, text in FILES.items() if name.endswith(".js")}


def policy_of(header: str) -> dict[str, str]:
    """A Content-Security-Policy by directive."""
    return {name: value for name, _, value in (part.strip().partition(" ") for part in header.split(";"))}


# -- what it may do --------------------------------------------------------------------------------------------------


async def test_the_page_may_run_its_own_files_and_nothing_else() -> None:
    async with mounted(make_scheduler()) as page:
        answers = [await page.open() for _ in range(2)]
    policies = [policy_of(answer.headers["content-security-policy"]) for answer in answers]
    nonces = [re.fullmatch(r"'nonce-([\w-]{20,})'", policy["script-src"]) for policy in policies]
    assert all(nonces)
    assert nonces[0] != nonces[1]
    first = policies[0]
    assert first["default-src"] == "'none'"
    assert first["style-src"] == first["script-src"]
    assert (first["connect-src"], first["img-src"]) == ("'self'", "'self'")
    assert [first[name] for name in ("base-uri", "form-action", "frame-ancestors")] == ["'none'"] * 3
    assert (first["require-trusted-types-for"], first["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in answers[0].headers["content-security-policy"]
    # Whatever the page loads has the nonce of this very answer.
    loaded = re.findall(r"<(?:script|link rel=\"(?:stylesheet|modulepreload)\")[^>]*>", answers[0].text)
    assert len(loaded) == len(FILES) - len(["page.html", "icon.svg"])
    assert all(f'nonce="{nonces[0] and nonces[0][1]}"' in tag for tag in loaded)


@pytest.mark.parametrize(
    "path", ["", "static/main.js", "data/jobs", "data/nothing", "static/nothing", "data/jobs?limit=x"]
)
@pytest.mark.parametrize("there", [True, False], ids=["running", "stopped"])
async def test_every_answer_says_that_it_is_not_to_be_framed_kept_or_guessed_at(path: str, there: bool) -> None:
    scheduler = make_scheduler()
    app = FastAPI(lifespan=lifespan(scheduler) if there else None)
    app.mount("/queue", dashboard(scheduler, auth=anybody))
    async with app.router.lifespan_context(app), client_of(app) as client:
        headers = (await client.get(path)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "no-store" in headers["cache-control"] or "no-cache" in headers["cache-control"]


def test_the_page_has_no_script_and_no_style_in_itself_and_nothing_of_other_hosts() -> None:
    for name, text in FILES.items():
        addresses = set(
            re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<>)]*", re.sub(r"^\s*//.*$", "", text, flags=re.M))
        )
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
    page = FILES["page.html"]
    assert not re.findall(r"\son\w+=|\sstyle=|javascript:|<style|<script(?![^>]*\ssrc=)", page)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_html_or_code_of_text(name: str) -> None:
    sinks = r"(?:inner|outer|insertAdjacent|set)HTML|document\.write|\beval\b|new Function|Fragment\(|srcdoc|Parser"
    assert not re.findall(sinks, SCRIPTS[name])


async def test_the_title_is_text() -> None:
    async with mounted(make_scheduler(), title="</title><script>alert(1)</script>$nonce") as page:
        answer = await page.open()
    assert "<script>alert" not in answer.text
    assert answer.text.count("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;$nonce") == 2


async def test_without_a_title_it_is_called_like_the_queue() -> None:
    async with mounted(make_scheduler(name="<papers>")) as page:
        assert "<title>&lt;papers&gt;</title>" in (await page.open()).text


# -- what it is made of ----------------------------------------------------------------------------------------------


async def test_all_that_the_page_and_its_scripts_ask_for_is_there() -> None:
    asked = set(re.findall(r'(?:src|href)="(static/[^"]+)"', FILES["page.html"]))
    asked |= {f"static/{name}" for text in SCRIPTS.values() for name in re.findall(r'from "\./([\w.]+)"', text)}
    assert {name.removeprefix("static/") for name in asked} == set(FILES) - {"page.html"}
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with mounted(make_scheduler()) as page:
        for path in asked:
            answer = await page.get(path)
            assert answer.status_code == 200
            assert answer.headers["content-type"].partition(";")[0] == kinds[path.rpartition(".")[2]]
            assert answer.text == FILES[path.removeprefix("static/")]


async def test_a_file_is_sent_again_only_if_it_has_changed() -> None:
    async with mounted(make_scheduler()) as page:
        first = await page.get("static/main.js")
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        for sent, status in ((tag, 304), ('"other"', 200), (f'"other", W/{tag}', 304)):
            again = await page.client.get("static/main.js", headers={"If-None-Match": sent})
            assert (again.status_code, again.headers["etag"]) == (status, tag)


@pytest.mark.parametrize(
    "path", ["static/page.html", "static/../_app.py", "static/%2e%2e%2f_app.py", "static/", "static/nothing.js", "docs"]
)
async def test_what_is_no_part_of_it_is_not_given_out(path: str) -> None:
    async with mounted(make_scheduler()) as page:
        assert (await page.client.get(path)).status_code == 404


# -- where it works --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "root_path"), [("/queue", ""), ("/ops/a b/queue", ""), ("/queue", "/behind/a/proxy")])
async def test_it_works_below_any_path(at: str, root_path: str) -> None:
    scheduler = make_scheduler()
    app = FastAPI(lifespan=lifespan(scheduler))
    app.mount(at, dashboard(scheduler, auth=anybody))
    async with app.router.lifespan_context(app), client_of(app, root_path + at, root_path) as client:
        page = Page(client)
        text = (await page.open()).text
        assert not re.findall(r'(?:src|href|action)="(?!static/|#)', text), "addresses start from where the page is"
        assert (await page.get("static/main.js")).status_code == 200
        assert (await page.get("data/jobs")).status_code == 200
        assert (await page.act("pause")).status_code == 204
        assert (await scheduler.status()).paused


async def test_an_application_in_an_application_may_have_it() -> None:
    scheduler = make_scheduler()
    outer, inner = FastAPI(lifespan=lifespan(scheduler)), FastAPI()
    inner.mount("/queue", dashboard(scheduler, auth=anybody))
    outer.mount("/ops", inner)
    async with outer.router.lifespan_context(outer), client_of(outer, "/ops/queue") as client:
        page = Page(client)
        assert (await page.open()).status_code == 200
        assert (await page.act("resume")).status_code == 204


def test_no_script_has_an_address_that_does_not_start_from_where_the_page_is() -> None:
    found = {name: re.findall(r"fetch\((?!address|`data/)[^)]*", text) for name, text in SCRIPTS.items()}
    assert found == {name: [] for name in SCRIPTS}
    assert re.findall(r"request\((`[^`]*`|\w+)", SCRIPTS["actions.js"]) == [
        "`data/${path}?${new URLSearchParams(parameters)}`",
        "`actions/${action}`",
        "address",
    ]


# -- while the scheduler does not run --------------------------------------------------------------------------------


async def test_it_says_that_the_queue_does_not_run_and_comes_back_by_itself() -> None:
    scheduler = make_scheduler()
    app = FastAPI()
    app.mount("/queue", dashboard(scheduler, auth=anybody))
    async with client_of(app) as client:
        page = Page(client)
        answers: dict[str, Any] = {"": await page.open()}
        answers |= {path: await page.get(path) for path in ("data/live", "data/jobs", "data/numbers")}
        answers["pause"] = await page.act("pause")
        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 503)
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers.values())
        assert "<main" in answers[""].text
        assert answers["data/live"].json()["detail"].startswith("The queue is not running: ")
        async with scheduler:
            assert (await page.open()).status_code == 200
            assert (await page.get("data/jobs")).status_code == 200
        assert (await page.open()).status_code == 503
