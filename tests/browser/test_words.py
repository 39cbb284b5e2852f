"""How the queue is, in one word and one sentence, whatever keeps its jobs from starting."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from browser.looking import OpenPage, go, word
from browser.served import AT_ONCE, Serve, hanging_worker
from pacer import JobState
from pacer.backoff import ExponentialBackoff
from pacer.pacing import FixedPause, ManualPace, PerKey

HELD = {"backoff": ExponentialBackoff(300, maximum=300, after=3)}
"""A hold that is not over before the page has been read, however slow the machine is."""


def test_failures_in_a_row_hold_the_queue_until_a_time_that_is_named(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts=HELD)
    for number in range(3):
        site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id=f"failed-{number}"))
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("On hold")
    expect(page.locator("#state-why")).to_have_text("Backoff of 300 s after 3 failures in a row.")
    expect(page.locator("#state-time")).to_have_text(re.compile(r"^[45]:\d\d$"))
    expect(page.locator("#state-note")).to_have_text(re.compile(r"left of 5 min until the next start"))
    expect(page.locator("#cautions")).to_contain_text("3 failures in a row")


def test_a_hold_that_is_over_before_the_pace_allows_a_start_names_both(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts=HELD)
    for number in range(3):
        site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id=f"failed-{number}"))
    site.enqueue("nothing", job_id="waits")
    site.do(site.scheduler.set_numbers, {"pacing.seconds": 600})
    page = open_page(site.url)
    expect(page.locator("#state-why")).to_have_text(
        "Backoff of 300 s after 3 failures in a row, then pause of 600 s after the last job."
    )
    expect(page.locator("#state-time")).to_have_text(re.compile(r"^1[45]:\d\d$"))
    expect(page.locator("#state-note")).to_have_text(re.compile(r"^left until the next start, at \d"))


def test_a_job_that_is_delayed_is_waited_for_although_another_could_start(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    site.enqueue("nothing", job_id="later", delay=3600)
    page = open_page(site.url)
    expect(word(page)).to_have_text("Waiting")
    expect(page.locator("#state-why")).to_have_text("1 job waits: its delay is not due yet.")
    expect(page.locator("#state-time")).to_have_text(re.compile(r"^(59|1:00):\d\d$"))


def test_the_pace_of_its_own_key_is_what_the_next_job_waits_for(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts={"pacing": PerKey(FixedPause(600))})
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing", key="tenant"))
    for name in ("second", "third"):
        site.enqueue("nothing", job_id=name, key="tenant")
    page = open_page(site.url)
    expect(word(page)).to_have_text("Waiting")
    expect(page.locator("#state-why")).to_have_text(
        re.compile("2 jobs wait. The next: pause of 600 s after the last job, for key .tenant.")
    )


def test_a_rate_of_0_is_said_to_be_set_by_hand(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts={"pacing": ManualPace(1)})
    site.do(site.scheduler.set_rate, 0)
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("Stopped")
    expect(page.locator("#state-why")).to_have_text("Stopped by hand: rate of 0.")
    expect(page.locator("#fact-rate")).to_have_text("stopped")
    expect(page.locator("#fact-new")).to_have_text("with a rate")
    expect(page.locator("#upcoming")).to_contain_text("with a rate")


def test_a_job_that_may_start_and_that_no_worker_takes_is_said_after_a_while(
    serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    with hanging_worker(tmp_path / "jobs.db"):
        site = serve(parts={"guest": True, **AT_ONCE})
        site.enqueue("nothing", job_id="waits")
        page = open_page(site.url)
        page.clock.install()
        page.reload()
        expect(word(page)).to_have_text("Working")
        page.clock.fast_forward(11_000)
        expect(word(page)).to_have_text("Not starting")
        expect(page.locator("#state-why")).to_have_text("1 job waits and may start, and no worker takes one.")
        expect(page).to_have_title(re.compile("^Not starting · "))


def test_a_job_whose_function_no_worker_knows_is_said_at_once(
    serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    with hanging_worker(tmp_path / "jobs.db"):
        site = serve(parts={"guest": True, **AT_ONCE})
        site.do(site.scheduler.options(job_id="waits").enqueue, site.scheduler.task(name="rare")(site.tasks.nothing))
        page = open_page(site.url)
        expect(word(page)).to_have_text("Not starting")
        expect(page.locator("#state-why")).to_have_text("1 job waits, and no worker is there that can run rare.")


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
    expect(page.locator("#state-why")).to_contain_text("2 jobs wait, and no worker is there.")
    expect(page.locator("#workers-none")).to_be_visible()


def test_who_only_looks_after_the_queue_is_no_worker(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts={"worker_concurrency": 0})
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("No worker")
    expect(page.locator("#state-why")).to_have_text(
        "1 job waits, and no worker is there. Start one, for example with pacer worker."
    )
    expect(page.locator("#workers")).to_contain_text("runs no jobs")
    expect(page.locator("#upcoming")).to_contain_text("with a worker")
    go(page, "#/jobs/waits")
    expect(page.locator("#job")).to_contain_text("No time can be named for its start.")
