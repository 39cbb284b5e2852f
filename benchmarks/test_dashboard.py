"""How long a browser takes to show the page of a queue, with few jobs in the store and with a million."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from browser.chromium import started
from browser.many import multiply
from browser.served import Site, served
from playwright.sync_api import Browser, expect

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, JobState

READY = """
window.firstReading = new Promise(done => {
    new MutationObserver((_, observer) => {
        const state = document.getElementById("state");
        if (!state || state.hidden) return;
        observer.disconnect();
        // Two frames later it has been painted.
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
    }).observe(document, {attributes: true, childList: true, subtree: true});
});
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@contextmanager
def site_with(db: Path, jobs: int) -> Iterator[Site]:
    """A page over a file with so many jobs: most of them wait, some have failed and some succeeded."""
    site = Site(db, parts={"queue": BoundedQueue(2_000_000)})
    site.start()
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing"))
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host"))
    site.do(site.scheduler.pause)
    for number in range(8):
        site.enqueue("summarise", str(number))
    site.stop()
    multiply(db, jobs)
    with served(site):
        yield site


def load(browser: Browser, site: Site) -> Figures:
    """In a browser that has not seen the page before."""
    with browser.new_context() as context:
        context.add_init_script(READY)
        page = context.new_page()
        page.goto(site.url)
        milliseconds = page.evaluate("firstReading")
        expect(page.locator("#upcoming > li")).not_to_have_count(0)
        page.evaluate("location.hash = '#/jobs?state=failed'")
        expect(page.get_by_role("table").get_by_role("row")).to_have_count(1 + 50)
        lists = page.evaluate(
            "performance.getEntriesByType('resource').filter(one => one.name.includes('data/jobs'))[0].duration"
        )
    return {"first_reading_ms": milliseconds, "list_ms": lists}


def test_the_page_with_many_jobs_in_the_store(contest: Contest, chromium: Browser, tmp_path: Path) -> None:
    sizes = [1_000, contest.size(1_000_000, 20_000)]
    with ExitStack() as sites:
        contenders = {
            f"{size} jobs": partial(load, chromium, sites.enter_context(site_with(tmp_path / f"{size}.db", size)))
            for size in sizes
        }
        table = contest.run("The page of a queue in SQLite, in headless Chromium", contenders, rounds=7)
    for size in sizes:
        assert min(table.values(f"{size} jobs", "first_reading_ms")) > 0
