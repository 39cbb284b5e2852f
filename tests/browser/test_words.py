"""How the queue is, in one word and one sentence, whatever keeps its jobs from starting."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.looking import OpenPage, word
from browser.served import Serve
from pacer import JobState
from pacer.pacing import ManualPace


def test_failures_in_a_row_hold_the_queue_until_a_time_that_is_named(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    for number in range(3):
        site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id=f"failed-{number}"))
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("On hold")
    expect(page.locator("#state-why")).to_have_text("Backoff of 15 s after 3 failures in a row.")
    expect(page.locator("#state-time")).to_have_text(re.compile(r"^\d+(\.\d)? s$"))
    expect(page.locator("#state-note")).to_have_text(re.compile(r"left of 15 s until the next start"))
    expect(page.locator("#cautions")).to_contain_text("3 failures in a row")


def test_a_rate_of_0_is_said_to_be_set_by_hand(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts={"pacing": ManualPace(1)})
    site.do(site.scheduler.set_rate, 0)
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("Stopped")
    expect(page.locator("#state-why")).to_have_text("Stopped by hand: rate of 0.")


def test_a_job_that_may_start_and_for_which_no_worker_comes_is_said_after_a_while(
    serve: Serve, open_page: OpenPage
) -> None:
    site = serve(parts={"worker_concurrency": 0})
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    page.clock.install()
    page.reload()
    expect(word(page)).to_have_text("Working")
    page.clock.fast_forward(11_000)
    expect(word(page)).to_have_text("Not starting")
    expect(page.locator("#state-why")).to_contain_text("1 job waits and may start, and no worker takes one.")


def test_a_queue_that_nobody_has_open_has_no_worker(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    site.enqueue("summarise", "a", job_id="runs")
    site.enqueue("summarise", "b", job_id="waits")
    site.wait_for(JobState.RUNNING, "runs")
    site.stop()
    site.parts = {"guest": True}
    site.start()
    page = open_page(site.url)
    expect(word(page)).to_have_text("No worker")
    expect(page.locator("#state-why")).to_contain_text("2 jobs wait, and no worker has this queue open.")
    expect(page.locator("#workers-none")).to_be_visible()
