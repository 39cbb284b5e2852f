"""Pictures and the page: they are what their suffix says, need nothing else, and can be told apart."""

from __future__ import annotations

import itertools
import math
import re
import struct
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

from pacer._compare._config import comparison
from pacer._compare._errors import ConfigError
from pacer._compare._picture import check_target, write_picture
from pacer._compare._plot import REFUSED, SERIES, _steps
from pacer._compare._run import run
from pacer.simulation import Timeline

CONFIG = """
workload = "Poisson(1, jobs=40)"
upstream = "Upstream(ChangingLimit([(0, FixedWindowLimit(30)), (20, FixedWindowLimit(15))]), Exponential(1))"
"""
NAMES = ["a <b>&amp;\"'", "$x^2$", "{brace}", "\N{GREEK SMALL LETTER PI}", "5", "6", "7", "8"]


def compared(count: int, **changed):
    tables = tomllib.loads(CONFIG)
    tables["candidate"] = [{"name": name, "pacing": "Unpaced()", "concurrency": 9} for name in NAMES[:count]]
    whole = attrs.evolve(comparison(tables, base=Path()), **changed)
    return whole, run(whole, lambda name: None)


def written(path: Path, count: int = 2, **changed) -> Path:
    check_target(path)
    write_picture(path, *compared(count, **changed))
    return path


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_png_is_a_png_and_grows_with_the_candidates(tmp_path, count):
    data = written(tmp_path / "out.PNG", count).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1650
    assert height >= 600


def test_an_svg_is_xml_with_its_text_as_text(tmp_path):
    root = ElementTree.fromstring(written(tmp_path / "out.svg", 4).read_text(encoding="utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(NAMES[:4]) <= set(texts)
    for label in ("time, s", "requests per min", "jobs", "wait from arrival to start, s", "% of jobs started by then"):
        assert label in texts
    assert {"accepted", "answered 429", "limit of the upstream, on average"} <= set(texts)


def test_the_same_run_gives_the_same_svg(tmp_path):
    assert written(tmp_path / "a.svg").read_bytes() == written(tmp_path / "b.svg").read_bytes()


def test_an_upstream_without_a_limit_has_no_line_for_it(tmp_path):
    tables = tomllib.loads(CONFIG) | {"upstream": "Upstream()", "candidate": [{"pacing": "Unpaced()"}]}
    whole = comparison(tables, base=Path())
    write_picture(tmp_path / "a.svg", whole, run(whole, lambda name: None))
    assert "limit of the upstream" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_a_run_in_which_nothing_got_done_can_be_drawn(tmp_path):
    tables = tomllib.loads(CONFIG) | {"upstream": "Upstream(FixedWindowLimit(0.5))"}
    tables["candidate"] = [
        {"pacing": "Unpaced()", "max_throttles": 1},
        {"pacing": "TokenBucket(1)", "max_throttles": 1},
    ]
    whole = comparison(tables, base=Path())
    write_picture(tmp_path / "a.html", whole, run(whole, lambda name: None))
    assert "or get nothing done" in (tmp_path / "a.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects what a browser would fetch, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data", "xlink:href", "action")]
        self.addresses += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attrs))

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_others_wrote(tmp_path):
    text = written(tmp_path / "out.html", 3, repeat=2).read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert text.startswith("<!DOCTYPE html>")
    assert all(address.strip("'\"").startswith("#") for address in page.addresses)
    assert "://" not in text
    assert "@import" not in text
    assert not {"script", "link", "img", "iframe", "object", "b"} & set(page.tags)
    assert page.tags.count("svg") == 1
    assert page.tags.count("table") == 1
    assert set(NAMES[:3]) <= {one.strip() for one in page.texts}
    assert "prefers-color-scheme: dark" in text


def test_in_the_page_the_colours_follow_the_scheme(tmp_path):
    picture = written(tmp_path / "out.html").read_text(encoding="utf-8").partition("<svg")[2]
    assert "var(--ink)" in picture
    assert "var(--series-0)" in picture
    assert not re.findall("|".join((*SERIES, REFUSED)), picture)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("out.gif", "--plot: {}/out.gif has .gif; choices: .png, .svg, .html"),
        ("out", "--plot: {}/out has no suffix; choices: "),
        ("gone/out.png", "--plot: {}/gone/out.png cannot be written: No such file or directory"),
        ("folder.png", "--plot: {}/folder.png cannot be written: Is a directory"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_told_before(tmp_path, name, told):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError) as caught:
        check_target(tmp_path / name)
    assert str(caught.value).startswith(told.format(tmp_path))


def test_asking_whether_it_can_be_written_leaves_no_file_and_changes_none(tmp_path):
    check_target(tmp_path / "new.png")
    assert not (tmp_path / "new.png").exists()
    (tmp_path / "old.png").write_bytes(b"old")
    check_target(tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"old"


def test_counts_are_shared_out_between_steps_without_loss():
    none = dict.fromkeys(("arrived", "succeeded", "throttled", "failed", "oracle", "present"), (0,))
    timeline = Timeline(width=4.0, asked=(8, 0, 4), limit=(None,), **none)
    rates = _steps(timeline, timeline.asked, 3.0)
    assert rates == pytest.approx([2.0, 2 / 3, 1 / 3, 1.0, 0.0], abs=1e-9)
    assert sum(rate * 3.0 for rate in rates) == pytest.approx(12)


# -- colours ---------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, severity 1: what is seen without one kind of cones, in linear RGB.
SIGHTS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}


def linear(colour: str) -> list[float]:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def luminance(rgb: list[float]) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    def root(value: float) -> float:
        return value ** (1 / 3) if value > 0.008856 else 7.787 * max(0.0, value) + 16 / 116

    x = root((0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / 0.95047)
    y = root(luminance(rgb))
    z = root((0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / 1.08883)
    return (116 * y - 16, 500 * (x - y), 200 * (y - z))


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_can_be_told_apart_by_everybody(sight):
    seen = [
        lab([sum(factor * part for factor, part in zip(row, linear(colour), strict=True)) for row in SIGHTS[sight]])
        for colour in (*SERIES, REFUSED)
    ]
    assert min(math.dist(one, other) for one, other in itertools.combinations(seen, 2)) >= 19


@pytest.mark.parametrize("background", ["#ffffff", "#14171b"])
def test_colours_stand_out_from_light_and_dark_pages(background):
    for colour in SERIES:
        light, dark = sorted((luminance(linear(colour)), luminance(linear(background))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3
