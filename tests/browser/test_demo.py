"""`pacer demo`, and somebody who sees its page for the first time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect
from waiting import until

from browser.chromium import REBOUND
from browser.looking import OpenPage, answer, button, word
from browser.watching import Watch

RunDemo = Callable[..., str]


@pytest.fixture
def run_demo(tmp_path: Path) -> Iterator[RunDemo]:
    """Start `pacer demo` with its stand-in; gives the address that it names first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DASHSCOPE", "OPENAI", "PACER"))}
    with ExitStack() as running:

        def run(*options: str) -> str:
            command = [sys.executable, "-m", "pacer", "demo", "--port", "0", "--upstream-port", "0", *options]
            output = running.enter_context((tmp_path / "output").open("w+"))
            process = running.enter_context(
                subprocess.Popen(
                    command, env={**kept, "XDG_STATE_HOME": str(tmp_path)}, stdout=output, stderr=subprocess.STDOUT
                )
            )
            running.callback(process.terminate)
            said = until(lambda: process.poll() is not None or re.search(r"http://\S+(?=\n)", read()))
            assert isinstance(said, re.Match), read()
            return said[0]

        def read() -> str:
            return (tmp_path / "output").read_text()

        yield run


def test_a_new_user_finds_out_why_the_seventh_job_waits_and_until_when_and_pauses_and_resumes(
    run_demo: RunDemo, open_page: OpenPage
) -> None:
    page = open_page(run_demo())
    # Ten papers came in; the first is being analysed, so that the seventh waits in sixth place.
    row = page.locator("#upcoming > li").filter(has_text="8-1284")
    expect(row).to_contain_text(re.compile(r"in about [\d.]+ (s|min)"))
    expect(row).to_contain_text(re.compile(r"80 % between "))
    row.get_by_role("link").click()
    job = page.locator("#job")
    expect(job.get_by_role("heading")).to_contain_text("8-1284")
    expect(job).to_contain_text(re.compile(r"[3-6] jobs are ahead of it\. It starts in about .*, around \d+:\d\d"))
    expect(job.locator(".reason")).to_contain_text(re.compile(r"1 of 1 running|[Pp]ause of 10 s after the last job"))
    button(page, "Pause").click()
    expect(word(page)).to_have_text("Paused")
    expect(job.locator(".reason")).to_contain_text(re.compile("[Pp]aused"))
    expect(job).to_contain_text("No time can be named for its start.")
    button(page, "Resume").click()
    expect(word(page)).not_to_have_text("Paused")
    expect(job).to_contain_text("It starts in about")


def test_a_paper_can_be_withdrawn_and_handed_in_again(run_demo: RunDemo, open_page: OpenPage) -> None:
    page = open_page(run_demo())
    last = "run-1-8-1315"
    button(page, f"Cancel job {last}").click()
    answer(page, "Cancel this job?", "Cancel job")
    expect(page.locator("#upcoming")).not_to_contain_text(last)
    page.get_by_label("Find a job by its id").fill(last)
    button(page, "Find").click()
    expect(page.locator("#job")).to_contain_text("Cancelled.")
    button(page, "Show arguments").click()
    expect(page.locator("#job")).to_contain_text("Digitale Anträge in allen Ämtern")
    button(page, "Retry").click()
    expect(page.locator("#job")).to_contain_text("jobs are ahead of it.")


def test_a_demo_in_a_hurry_has_its_page_too_and_opens_it_under_no_other_name(
    run_demo: RunDemo, open_page: OpenPage, watches: list[Watch]
) -> None:
    address = run_demo("--fast")
    page = open_page(address)
    expect(page.get_by_role("link", name="Drucksachen")).to_be_visible()
    expect(page.locator("#totals")).to_contain_text("10 succeeded, 0 failed, 1 throttled by the upstream")
    expect(word(page)).to_have_text("Idle")
    # The page of another site whose name leads to this machine.
    other = open_page(address.replace("127.0.0.1", REBOUND))
    watches[1].expect("403|404|Cross-Origin-Opener-Policy header has been ignored")  # no icon, and no HTTPS
    expect(other.locator("body")).to_contain_text("Open this page on the machine that the demo runs on")
    other.goto(address.replace("127.0.0.1", REBOUND).replace("/queue/", "/api/queue/status"))
    told = "fetch('/queue/data/jobs').then(answer => answer.status)"
    done = "fetch('/queue/actions/pause', {method: 'POST', body: '{}'}).then(answer => answer.status)"
    assert [other.evaluate(told), other.evaluate(done)] == [403, 403]
