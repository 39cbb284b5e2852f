"""The page shows what happens while it happens, and says so when it cannot."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.looking import OpenPage, go, word
from browser.served import Serve
from browser.watching import Watch
from pacer import JobState


def test_what_happens_is_seen_without_a_reload(serve: Serve, open_page: OpenPage, watches: list[Watch]) -> None:
    site = serve()
    page = open_page(site.url)
    running, upcoming = page.locator("#running"), page.locator("#upcoming")
    expect(word(page)).to_have_text("Idle")
    site.enqueue("summarise", "a", job_id="paper-a", key="tenant-1")
    expect(running).to_contain_text("paper-a")
    expect(running).to_contain_text("tenant-1")
    expect(running).to_contain_text("page 2 of 5")
    expect(running.get_by_role("progressbar")).to_have_js_property("value", 0.4)
    site.enqueue("summarise", "b", 0.75, "nearly there", job_id="paper-b")
    expect(upcoming).to_contain_text("paper-b")
    site.do(site.tasks.let_end, "a")
    expect(running).to_contain_text("nearly there")
    expect(running).not_to_contain_text("paper-a")
    expect(upcoming).not_to_contain_text("paper-b")
    site.enqueue("fetch", "the upstream said 500", job_id="paper-c")
    site.do(site.tasks.let_end, "b")
    failed = page.get_by_role("region", name="Failed jobs")
    expect(failed).to_contain_text("paper-c")
    expect(failed).to_contain_text("RuntimeError: the upstream said 500")
    expect(page.locator("#totals")).to_contain_text("2 succeeded, 1 failed")
    assert watches[0].asked.count(site.url) == 1


def test_it_says_why_nothing_starts_and_counts_down(serve: Serve, open_page: OpenPage) -> None:
    site = serve(pause=300)
    page = open_page(site.url)
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing"))
    site.enqueue("nothing", job_id="the-next")
    expect(word(page)).to_have_text("Pacing")
    expect(page.locator("#state-why")).to_have_text("Pause of 300 s after the last job.")
    left = page.locator("#state-time")
    expect(left).to_have_text(re.compile(r"[45]:\d\d"))
    expect(page.locator("#state-note")).to_have_text(re.compile(r"left of 5 min until the next start, at \d"))
    seen = left.inner_text()
    expect(left).not_to_have_text(seen)
    expect(page.locator("#upcoming")).to_contain_text(re.compile(r"the-next.*in about (5|4\.\d) min"))


def test_a_countdown_ends_with_what_comes_then_and_never_stands_at_0(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(serve().url, bypass_csp=True)
    expect(page.locator("#link")).to_have_text("Live")
    shown = page.evaluate(
        """async () => {
          const { countDown } = await import(new URL("static/clock.js", document.baseURI));
          const [node, texts] = [document.body.appendChild(document.createElement("p")), []];
          const look = new MutationObserver(() => texts.push(node.textContent));
          look.observe(node, { childList: true, characterData: true, subtree: true });
          await new Promise((over) => countDown(node, 0.5, { over }));
          return texts;
        }"""
    )
    assert shown[0] == "0.5 s"
    assert "0.0 s" not in shown


def test_what_others_do_is_seen_too(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    page = open_page(site.url)
    site.do(site.scheduler.pause)
    expect(word(page)).to_have_text("Paused")
    site.do(site.scheduler.resume)
    expect(word(page)).to_have_text("Idle")
    go(page, "#/numbers")
    pause = page.get_by_label("pacing.seconds", exact=True)
    expect(pause).to_have_value("0.1")
    site.do(site.scheduler.set_numbers, {"pacing.seconds": 2.5})
    expect(pause).to_have_value("2.5")


def test_the_page_of_a_job_follows_it_to_its_end(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    site.enqueue("summarise", "a", job_id="paper a/1")
    site.enqueue("summarise", "b", job_id="paper b/1")
    page = open_page(site.url)
    page.get_by_role("link", name="paper b/1").click()
    job = page.locator("#job")
    expect(job.get_by_role("heading", name="Job paper b/1")).to_be_focused()
    expect(job).to_contain_text("It is the next.")
    site.do(site.tasks.let_end, "a")
    expect(job).to_contain_text("Has been running for")
    expect(job.get_by_role("progressbar")).to_have_js_property("value", 0.4)
    site.do(site.tasks.let_end, "b")
    expect(job).to_contain_text("Succeeded.")
    page.go_back()
    expect(page.locator("#overview")).to_be_visible()
    page.get_by_label("Find a job by its id").fill("paper a/1")
    page.get_by_role("button", name="Find").click()
    expect(job.get_by_role("heading", name="Job paper a/1")).to_be_visible()
    expect(job).to_contain_text("Succeeded.")


def test_a_lost_connection_is_said_and_comes_back_by_itself(
    serve: Serve, open_page: OpenPage, watches: list[Watch]
) -> None:
    site = serve()
    page = open_page(site.url)
    watches[0].expect("ERR_")
    expect(page.locator("#link")).to_have_text("Live")
    site.stop()
    expect(page.get_by_role("alert").filter(has_text="Connection lost, retrying. What you see is from")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Connection lost, retrying")
    site.start()
    site.enqueue("summarise", "after", job_id="after the restart")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#running")).to_contain_text("after the restart")
    assert watches[0].asked.count(site.url) == 1
