"""Very many jobs: the page loads and shows some of them. How long that takes with a million is a benchmark."""

from __future__ import annotations

import re
from collections import Counter

from playwright.sync_api import Page, expect

from browser.looking import OpenPage, button, go, word
from browser.many import multiply
from browser.served import Serve
from browser.watching import Watch
from pacer import BoundedQueue, JobState

MANY = 200_000
MOST = 200_000
"""Bytes that the page, its files and its first readings may have, all together. They had 97 000."""


def received(page: Page) -> Counter[str]:
    """Counts the bytes of all answers from now on, events included."""
    counts: Counter[str] = Counter()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.dataReceived", lambda event: counts.update(bytes=event["dataLength"]))
    return counts


def test_of_very_many_jobs_the_page_loads_a_few(serve: Serve, open_page: OpenPage, watches: list[Watch]) -> None:
    site = serve(parts={"queue": BoundedQueue(2 * MANY)})
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing", job_id="good"))
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id="bad"))
    site.do(site.scheduler.pause)
    for number in range(7):
        site.enqueue("summarise", str(number), job_id=f"waits {number}")
    site.enqueue("summarise", "later", job_id="later", delay=3600)
    site.stop()
    multiply(site.db, MANY)
    site.start()
    page = open_page("about:blank")
    watches[0].host = f"127.0.0.1:{site.port}"
    counts = received(page)
    page.goto(site.url)
    expect(word(page)).to_have_text("Paused")
    expect(page.locator("#fact-waiting")).to_have_text(re.compile(r"^160.\d\d\d of 400.000$"))
    expect(page.locator("#upcoming > li")).to_have_count(10)
    expect(page.get_by_role("region", name="Failed jobs")).to_contain_text("1\u202f000+")
    expect(page.get_by_role("region", name="Failed jobs").get_by_role("listitem")).to_have_count(5)
    assert counts["bytes"] < MOST
    for state, name in [("queued", "Waiting"), ("failed", "Failed"), ("succeeded", "Succeeded")]:
        before = counts["bytes"]
        go(page, f"#/jobs?state={state}")
        rows = page.get_by_role("table", name=f"{name} jobs").get_by_role("row")
        expect(rows).to_have_count(1 + 50)
        button(page, "More").click()
        expect(rows).to_have_count(1 + 100)
        assert counts["bytes"] - before < MOST
    go(page, "#/jobs/waits 3-1000")
    expect(page.locator("#job")).to_contain_text("jobs are ahead of it")
    button(page, "Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel job").click()
    site.wait_for(JobState.CANCELLED, "waits 3-1000")
