"""Whatever jobs say is text; and nobody steers the queue but the page, for those who may."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import httpx
import pytest
from fastapi import HTTPException
from playwright.sync_api import Page, expect

from browser.looking import OpenPage, answer, button, go, word
from browser.served import Serve, Site
from browser.watching import Watch
from pacer import JobState
from pacer.backoff import NoBackoff

SCRIPTS = (
    "<script>window.owned = 1</script>",
    "<img src=x onerror=window.owned=1>",
    "\"'><svg/onload=window.owned=1>",
    "javascript:window.owned=1//",
    "${window.owned=1}{{window.owned=1}}<!--",
    "</script></title></style></textarea><iframe srcdoc='<script>parent.owned=1</script>'>",
)
# What would end an event of the stream, hide text or turn it round; and how it is shown.
TRICKS = {
    "a\n\nevent: status\ndata: {}\n\n": r"a\u000a\u000aevent: status\u000adata: {}\u000a\u000a",
    "b\r\n\r\nevent: again\r\ndata: {}\r\n\r\n": r"b\u000d\u000a\u000d\u000aevent: again",
    "line\u2028paragraph\u2029": r"line\u2028paragraph\u2029",
    "safe\u202egpj.exe": r"safe\u202egpj.exe",
    "bell\x07\x1b[31mred": r"bell\u0007\u001b[31mred",
    "zero\u200bwidth": r"zero\u200bwidth",
}


def enqueue_hostile(site: Site, texts: Mapping[str, str]) -> None:
    """For each text a job that runs, one that has failed and one that waits; each says it wherever it can."""
    tasks = {text: site.scheduler.task(name=text)(partial(site.tasks.summarise)) for text in texts}
    for text, task in tasks.items():
        site.wait_for(JobState.FAILED, site.enqueue("fetch", text, job_id=f"{text} failed", key=text))
        site.do(site.scheduler.options(job_id=f"{text} runs", key=text).enqueue, task, text, message=text)
    site.wait_for(JobState.RUNNING, *(f"{text} runs" for text in texts))
    site.do(site.scheduler.pause)
    for text, task in tasks.items():
        site.do(site.scheduler.options(job_id=f"{text} waits", key=text).enqueue, task, text)


def harmless(page: Page) -> None:
    """Nothing of a job has become a part of the page."""
    assert page.evaluate("window.owned ?? null") is None
    foreign = page.locator("iframe, object, embed, body script, body style, img:not([src='static/icon.svg'])")
    expect(foreign).to_have_count(0)
    assert page.evaluate("[...document.links].filter(one => !one.protocol.startsWith('http')).length") == 0
    expect(page.locator("#link")).to_have_text("Live")


@pytest.mark.parametrize("texts", [dict(zip(SCRIPTS, SCRIPTS, strict=True)), TRICKS], ids=["scripts", "tricks"])
def test_what_jobs_say_is_shown_and_never_done(texts: Mapping[str, str], serve: Serve, open_page: OpenPage) -> None:
    options = {"auth": lambda: None, "show_arguments": True, "title": next(iter(texts))}
    site = serve(parts={"concurrency": len(texts) + 1, "backoff": NoBackoff()}, options=options)
    enqueue_hostile(site, texts)
    page = open_page(site.url)
    failed = page.get_by_role("region", name="Failed jobs")
    for shown in texts.values():
        expect(page.locator("#running")).to_contain_text(shown)
        expect(page.locator("#upcoming")).to_contain_text(shown)
    expect(failed).to_contain_text(list(texts.values())[-1])
    harmless(page)
    for state in ("queued", "running", "failed"):
        go(page, f"#/jobs?state={state}")
        for shown in texts.values():
            expect(page.get_by_role("table")).to_contain_text(shown)
        harmless(page)
    for text, shown in texts.items():
        page.get_by_label("Find a job by its id").fill(f"{text} failed")
        if page.get_by_label("Find a job by its id").input_value() == f"{text} failed":  # it has one line
            button(page, "Find").click()
            expect(page.locator("#job .error")).to_contain_text(shown.split("\\u")[0])  # an error is one line
            button(page, "Show arguments").click()
            expect(page.locator("#job .arguments")).to_contain_text("owned" if "owned" in text else shown[:3])
            harmless(page)
    go(page, "#/")
    last, shown = list(texts.items())[-1]
    button(page, f"Cancel job {shown} waits").click()
    expect(page.get_by_role("dialog")).to_contain_text(shown)
    answer(page, "Cancel this job?", "Cancel job")
    site.wait_for(JobState.CANCELLED, f"{last} waits")
    expect(page.locator("#notices")).to_contain_text(shown)
    harmless(page)


def test_an_address_cannot_bring_a_script_in(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    page = open_page(f"{site.url}?{SCRIPTS[0]}#/jobs/{SCRIPTS[1]}")
    expect(page.locator("#job")).to_contain_text("No job has this id.")
    harmless(page)
    for address in (f"#{SCRIPTS[0]}", f"#/jobs?state={SCRIPTS[0]}&task={SCRIPTS[1]}", "#/jobs/%E0%A4%A"):
        go(page, address)
        harmless(page)


def test_without_auth_everybody_reads_and_nobody_can_do_anything(serve: Serve, open_page: OpenPage) -> None:
    site = serve(options={})
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id="broken"))
    site.enqueue("summarise", "a", job_id="runs")
    site.enqueue("summarise", "b", job_id="waits")
    page = open_page(site.url)
    expect(page.locator("#upcoming")).to_contain_text("waits")
    expect(page.get_by_text("Read-only: this page was mounted without auth=")).to_be_visible()
    for address in ("#/", "#/jobs?state=queued", "#/jobs?state=failed", "#/jobs/waits", "#/jobs/broken", "#/numbers"):
        go(page, address)
        expect(page.locator("[data-heading]:visible, #overview:visible").first).to_be_attached()
        for name in ("Pause", "Resume", "Cancel", "Retry", "Re-run", "Set", "Reset", "Show arguments"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_label("pacing.seconds", exact=True)).not_to_be_editable()
    with httpx.Client(base_url=site.url) as client:
        token = {"X-Pacer-Token": "", "Origin": site.url.removesuffix("/queue/")}
        for action in ("pause", "resume", "end-hold", "cancel", "retry", "retry-all", "numbers"):
            assert client.post(f"actions/{action}", json={"id": "waits"}, headers=token).status_code == 404
        assert client.get("data/arguments", params={"job": "waits"}).status_code == 404
    assert site.state("waits") is JobState.QUEUED


def test_whom_auth_refuses_sees_nothing(serve: Serve, open_page: OpenPage, watches: list[Watch]) -> None:
    allowed = True

    def gate() -> None:
        if not allowed:
            raise HTTPException(401, "Who are you?")

    site = serve(options={"auth": gate})
    site.enqueue("summarise", "a", job_id="secret name")
    page = open_page(site.url)
    expect(page.locator("#running")).to_contain_text("secret name")
    allowed = False
    watches[0].expect("401")
    button(page, "Pause").click()
    expect(page.get_by_role("alert").filter(has_text="You are not signed in any more.")).to_be_visible()
    assert not site.do(site.scheduler.status).paused
    with httpx.Client(base_url=site.url) as client:
        for path in ("", "data/live", "data/jobs", "data/numbers", "static/main.js"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert "secret" not in refused.text


def test_other_sites_can_neither_read_nor_steer(serve: Serve, open_page: OpenPage, watches: list[Watch]) -> None:
    """The page of another site, in the browser of somebody who has the dashboard open."""
    site = serve()
    page = open_page(site.url)
    expect(word(page)).to_have_text("Idle")
    watches[0].expect("blocked by CORS policy|Failed to load resource|ERR_|X-Frame-Options|frame-ancestors")
    other = page.context.new_page()
    other.goto(site.url.replace("127.0.0.1", "localhost").replace("/queue/", "/nothing"))
    watches[0].expect(r"request to another host: http://localhost")
    told = other.evaluate(
        """async url => {
            const told = [];
            for (const [path, options] of [
                ["actions/pause", {method: "POST", body: "{}"}],
                ["actions/pause", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}}],
                ["data/jobs", {}],
            ])
                for (const mode of ["cors", "no-cors"])
                    told.push(await fetch(url + path, {credentials: "include", mode, ...options})
                        .then(answer => answer.text(), () => ""));
            const form = Object.assign(document.createElement("form"), {method: "POST", action: url + "actions/pause"});
            const frame = Object.assign(document.createElement("iframe"), {src: url, name: "frame"});
            document.body.append(form, frame);
            await new Promise(done => { frame.onload = done; });
            form.target = "frame";
            const answered = new Promise(done => { frame.onload = done; });
            form.submit();
            await answered;
            return told;
        }""",
        site.url,
    )
    assert told == [""] * len(told)
    assert not site.do(site.scheduler.status).paused
    assert word(page).inner_text() == "Idle"


def test_the_token_alone_and_the_cookie_alone_are_not_enough(serve: Serve) -> None:
    site = serve()
    origin = site.url.removesuffix("/queue/")
    with httpx.Client(base_url=site.url) as client:
        client.get("")
        (cookie,) = client.cookies.jar
        right = {"X-Pacer-Token": cookie.value or "", "Origin": origin}
        wrong = [
            {**right, "X-Pacer-Token": "guessed"},
            {"Origin": origin},
            {**right, "Origin": "http://evil.example"},
            {**right, "Origin": "null"},
        ]
        for headers in wrong:
            assert client.post("actions/pause", json={}, headers=headers).status_code == 403
        client.cookies.clear()
        assert client.post("actions/pause", json={}, headers=right).status_code == 403
        assert not site.do(site.scheduler.status).paused
        client.cookies.jar.set_cookie(cookie)
        assert client.post("actions/pause", json={}, headers=right).status_code == 204
    assert site.do(site.scheduler.status).paused
