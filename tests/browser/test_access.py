"""Usable by keyboard, by screen reader, on a phone, in the dark and without motion."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from browser.looking import OpenPage, button, go, word
from browser.served import Serve, Site
from pacer import JobState

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
LONG = "Drucksache-8/1204-" + "x" * 120

VIEWS = {
    "overview": "#/",
    "waiting jobs": "#/jobs?state=queued",
    "running jobs": "#/jobs?state=running",
    "failed jobs": "#/jobs?state=failed",
    "no jobs": "#/jobs?state=dead",
    "a waiting job": "#/jobs/waits",
    "a running job": "#/jobs/runs",
    "a failed job": "#/jobs/failed",
    "no such job": "#/jobs/nothing",
    "numbers": "#/numbers",
}


@pytest.fixture
def busy(serve: Serve) -> Site:
    """Something of everything, and one id that does not fit anywhere."""
    site = serve(options={"auth": lambda: None, "show_arguments": True})
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing", job_id="done"))
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host\n" + "y" * 300, job_id="failed", key=LONG))
    site.wait_for(JobState.FAILED, site.enqueue("fetch", "no route to host", job_id=LONG))
    site.enqueue("summarise", "a", job_id="runs", key="tenant-1")
    site.enqueue("summarise", "b", job_id="waits", key=LONG)
    site.enqueue("summarise", "c", job_id=f"{LONG}2")
    site.wait_for(JobState.RUNNING, "runs")
    site.do(site.scheduler.set_numbers, {"pacing.seconds": 0.2})
    return site


def each_view(page: Page) -> Iterator[str]:
    """Go to one after the other; each is there when its name is given."""
    for name, address in VIEWS.items():
        go(page, address)
        place = page.locator("[data-shows]:visible")
        expect(place).to_have_count(1)
        expect(place.get_by_text("Looking", exact=False)).to_have_count(0)
        if "jobs" in name:
            expect(place.get_by_role("status").filter(has_text="shown, as of")).to_be_visible()
        yield name


def violations(page: Page) -> list[str]:
    """What axe-core holds to be serious or critical, in words."""
    # Half a transition has half its contrast.
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => 0)))")
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("device", "scheme"), [({}, "light"), (PHONE, "dark")], ids=["light", "dark on a phone"])
def test_axe_finds_nothing_serious_in_any_view(
    device: dict[str, object], scheme: str, busy: Site, open_page: OpenPage
) -> None:
    page = open_page(busy.url, color_scheme=scheme, **device)
    expect(page.locator("#running")).to_contain_text("runs")
    found = {name: violations(page) for name in each_view(page)}
    go(page, "#/")
    button(page, "Cancel job waits").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found["dialog"] = violations(page)
    page.keyboard.press("Escape")
    busy.do(busy.scheduler.pause)
    expect(word(page)).to_have_text("Paused")
    found["paused"] = violations(page)
    assert found == {name: [] for name in found}


def test_axe_would_find_it(busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url)
    page.evaluate("document.querySelector('#pause').style.color = '#ddd'")
    page.evaluate("document.querySelector('label').remove()")
    expect(page.locator("#state")).to_be_visible()
    assert {one.split(" ")[0] for one in violations(page)} >= {"color-contrast"}


def test_on_a_phone_nothing_is_wider_than_the_screen(busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url, **PHONE)
    expect(page.locator("#running")).to_contain_text("runs")
    width = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    wide = {name: page.evaluate(width) for name in each_view(page)}
    assert all(max(widths) <= 360 for widths in wide.values()), wide
    go(page, "#/")
    button(page, "Pause").tap()
    expect(word(page)).to_have_text("Paused")
    small = page.evaluate(
        """[...document.querySelectorAll("button, input, nav a")].filter(one => one.checkVisibility())
            .filter(one => { const box = one.getBoundingClientRect(); return box.height < 24 || box.width < 24; })
            .map(one => one.outerHTML)"""
    )
    assert small == [], "too small for a finger"


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_is_dark_where_the_system_is(scheme: str, dark: bool, busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url, color_scheme=scheme)
    for part in ("body", ".card", "#state"):
        assert (lightness(page, part) < 0.3) is dark


def lightness(page: Page, selector: str) -> float:
    """Of what is behind the text, from 0 to 1."""
    colour = page.locator(selector).first.evaluate(
        """node => {
            for (; node; node = node.parentElement) {
                const colour = getComputedStyle(node).backgroundColor;
                if (colour !== "rgba(0, 0, 0, 0)") return colour;
            }
        }"""
    )
    red, green, blue, *_ = (float(part) for part in colour[colour.index("(") + 1 : -1].split(","))
    return (red + green + blue) / 765


def test_without_motion_nothing_moves(busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url, reduced_motion="reduce")
    expect(page.locator("#running")).to_contain_text("runs")
    moving = """[...document.querySelectorAll("*")].filter(node => [null, "::before", "::after"].some(pseudo => {
        const style = getComputedStyle(node, pseudo);
        const lasts = text => text.split(", ").some(one => parseFloat(one) > 0.01);
        return lasts(style.transitionDuration) || (style.animationName !== "none" && lasts(style.animationDuration));
    })).map(node => node.outerHTML)"""
    for _ in each_view(page):
        assert page.evaluate(moving) == []


def press_until(page: Page, key: str, reached: Callable[[], bool]) -> None:
    for _ in range(60):
        page.keyboard.press(key)
        if reached():
            return
    raise AssertionError(f"60 times {key} did not lead there")


def focused(page: Page, selector: str) -> bool:
    return bool(page.evaluate("selector => document.activeElement.matches(selector)", selector))


def test_all_can_be_done_by_keyboard_alone(busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url)
    expect(page.locator("#running")).to_contain_text("runs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    press_until(page, "Tab", functools.partial(focused, page, "#pause"))
    page.keyboard.press("Enter")
    expect(word(page)).to_have_text("Paused")
    expect(page.locator("#announce")).to_have_text(
        "Paused. Paused by hand. What runs goes on, and no other job starts until it is resumed."
    )
    # The button that was pressed is gone; the focus is on the one in its place.
    expect(button(page, "Resume")).to_be_focused()
    page.keyboard.press("Space")
    expect(word(page)).not_to_have_text("Paused")
    expect(button(page, "Pause")).to_be_focused()
    cancel = "[aria-label='Cancel job waits']"
    press_until(page, "Tab", functools.partial(focused, page, cancel))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel this job?")
    expect(button(page, "Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(cancel)).to_be_focused()
    assert busy.state("waits") is JobState.QUEUED
    page.keyboard.press("Enter")
    press_until(page, "Tab", functools.partial(focused, page, "#ask-yes"))
    page.keyboard.press("Enter")
    busy.wait_for(JobState.CANCELLED, "waits")
    press_until(page, "Shift+Tab", functools.partial(focused, page, "[data-view=numbers]"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Numbers of the parts")).to_be_focused()


def test_what_has_the_focus_can_be_seen(busy: Site, open_page: OpenPage) -> None:
    page = open_page(busy.url)
    expect(page.locator("#running")).to_contain_text("runs")
    ways: list[str] = []
    press_until(page, "Tab", lambda: bool(ways.append(outline(page)) or focused(page, "body")))
    assert len(ways) > 15
    assert not [one for one in ways[:-1] if one.startswith(("none ", "solid 0px"))]


def outline(page: Page) -> str:
    """Around what has the focus: its style and width, and what it is."""
    focus = "const one = document.activeElement, style = getComputedStyle(one)"
    said = "`${style.outlineStyle} ${style.outlineWidth} ${one.outerHTML.slice(0, 200)}`"
    return str(page.evaluate(f"{{ {focus}; {said} }}"))
