"""What is pressed happens: to the jobs in the store, and on the worker that runs them."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect
from waiting import until

from browser.looking import OpenPage, answer, button, go, word
from browser.served import AT_ONCE, Serve, leave_running
from browser.watching import Watch
from pacer import JobState
from pacer.backoff import ExponentialBackoff


def test_pause_and_resume(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    page = open_page(site.url)
    button(page, "Pause").click()
    expect(word(page)).to_have_text("Paused")
    expect(page).to_have_title(re.compile("^Paused · "))
    assert site.do(site.scheduler.status).paused
    site.enqueue("nothing", job_id="waits")
    expect(page.locator("#upcoming")).to_contain_text("waits")
    assert site.state("waits") is JobState.QUEUED
    button(page, "Resume").click()
    site.wait_for(JobState.SUCCEEDED, "waits")
    expect(word(page)).to_have_text("Idle")
    assert not site.do(site.scheduler.status).paused


def test_a_hold_is_ended_after_a_question(serve: Serve, open_page: OpenPage) -> None:
    site = serve(parts={"backoff": ExponentialBackoff(3600, maximum=3600)})
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host"))
    site.enqueue("nothing", job_id="waits")
    page = open_page(site.url)
    expect(word(page)).to_have_text("On hold")
    expect(page).to_have_title(re.compile("^On hold · "))
    button(page, "End hold").click()
    answer(page, "End this hold now?", "Keep it")
    assert site.do(site.scheduler.status).hold_seconds > 0
    button(page, "End hold").click()
    answer(page, "End this hold now?", "End hold")
    site.wait_for(JobState.SUCCEEDED, "waits")
    expect(word(page)).to_have_text("Idle")
    expect(page.get_by_role("status").filter(has_text="The hold is over: jobs start again.")).to_be_visible()
    expect(button(page, "End hold")).to_be_hidden()
    expect(button(page, "Pause")).to_be_focused()


def test_cancel_a_waiting_job_after_a_question(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    for name in ("first", "second"):
        site.enqueue("summarise", name, job_id=name)
    page = open_page(site.url)
    button(page, "Cancel job second").click()
    answer(page, "Cancel this job?", "Keep it")
    assert site.state("second") is JobState.QUEUED
    button(page, "Cancel job second").click()
    answer(page, "Cancel this job?", "Cancel job")
    site.wait_for(JobState.CANCELLED, "second")
    expect(page.get_by_role("status").filter(has_text="Job second is cancelled.")).to_be_visible()
    expect(page.locator("#upcoming")).not_to_contain_text("second")


def test_cancel_a_running_job_on_its_page(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    site.enqueue("summarise", "long", job_id="long")
    page = open_page(f"{site.url}#/jobs/long")
    button(page, "Cancel").click()
    answer(page, "Stop this job?", "Cancel job")
    site.wait_for(JobState.CANCELLED, "long")
    expect(page.locator("#job")).to_contain_text("Cancelled.")
    expect(button(page, "Retry")).to_be_visible()
    expect(button(page, "Cancel")).to_be_hidden()


def test_retry_a_failed_job(serve: Serve, open_page: OpenPage) -> None:
    site = serve()
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id="broken"))
    page = open_page(site.url)
    site.tasks.upstream_works = True
    button(page, "Retry job broken").click()
    site.wait_for(JobState.SUCCEEDED, "broken")
    expect(page.locator("#ended-none")).to_be_visible()


def test_rerun_all_stale_jobs(serve: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    jobs = ("one", "two", "three")
    leave_running(tmp_path / "jobs.db", *jobs)
    site = serve(parts=AT_ONCE)
    site.wait_for(JobState.STALE, *jobs)
    page = open_page(site.url)
    page.locator("#cautions").get_by_role("link", name="3 stale").click()
    expect(page.get_by_role("table", name="Stale jobs").get_by_role("row")).to_have_count(4)
    button(page, "Re-run all stale jobs").click()
    answer(page, "Re-run all stale jobs?", "Re-run all")
    site.wait_for(JobState.RUNNING, *jobs)
    expect(page.get_by_role("status").filter(has_text="3 jobs wait again.")).to_be_visible()
    for name in jobs:
        site.do(site.tasks.let_end, name)
    site.wait_for(JobState.SUCCEEDED, *jobs)


def test_a_number_that_is_changed_holds_on_the_worker_at_once_and_can_be_taken_back(
    serve: Serve, open_page: OpenPage
) -> None:
    site = serve(pause=3600)
    page = open_page(f"{site.url}#/numbers")
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing"))
    late = site.enqueue("nothing", job_id="in an hour")
    seconds = page.get_by_label("pacing.seconds", exact=True)
    expect(seconds).to_have_value("3600")
    seconds.fill("0.1")
    button(page, "Set pacing.seconds").click()
    site.wait_for(JobState.SUCCEEDED, late)
    assert site.do(site.scheduler.status).numbers_by_hand == {"pacing.seconds": 0.1}
    expect(page.locator("#numbers")).to_contain_text("Set by hand; the code says 3600.")
    expect(page.locator("#cautions")).to_contain_text("1 number set by hand")
    button(page, "Reset pacing.seconds").click()
    expect(seconds).to_have_value("3600")
    until(lambda: not site.do(site.scheduler.status).numbers_by_hand)
    site.enqueue("nothing", job_id="again in an hour")
    go(page, "#/")
    expect(word(page)).to_have_text("Pacing")


def test_a_number_that_makes_no_sense_is_refused_in_words(
    serve: Serve, open_page: OpenPage, watches: list[Watch]
) -> None:
    site = serve()
    page = open_page(f"{site.url}#/numbers")
    watches[0].expect("422")
    seconds = page.get_by_label("pacing.seconds", exact=True)
    seconds.fill("-5")
    button(page, "Set pacing.seconds").click()
    expect(page.get_by_role("alert").filter(has_text="-5")).to_be_visible()
    assert not site.do(site.scheduler.status).numbers_by_hand


def test_what_cannot_be_run_again_is_said(serve: Serve, open_page: OpenPage, watches: list[Watch]) -> None:
    """Somebody else was faster."""
    site = serve()
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id="broken"))
    page = open_page(f"{site.url}#/jobs?state=failed")
    retry = button(page, "Retry job broken")
    expect(retry).to_be_visible()
    site.tasks.upstream_works = True
    site.do(site.scheduler.retry, "broken")
    site.wait_for(JobState.SUCCEEDED, "broken")
    watches[0].expect("409")
    retry.click()
    expect(page.get_by_role("alert").filter(has_text="The job cannot be run again: ")).to_be_visible()
