"""What README and the how-to show of `pacer compare` is what it prints."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from pacer._compare._config import KEYS, SETTINGS, comparison, read_file
from pacer._compare._run import run
from pacer._compare._sample import CONFIG, sample_folder
from pacer._compare._table import show

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "choose-a-pace.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ASSETS = ROOT / "docs" / "assets"
AGAIN = (
    "run `pacer compare --plot docs/assets/compare.svg > docs/assets/compare.txt`, look, and take it over in README.md"
)


@pytest.fixture(scope="module")
def printed() -> str:
    whole = comparison(read_file(sample_folder() / CONFIG), base=sample_folder())
    out = io.StringIO()
    show(whole, run(whole, lambda name: None), Console(file=out))
    return out.getvalue()


def test_the_page_shows_what_the_sample_prints(printed):
    assert '--8<-- "compare.txt"' in PAGE
    assert (ASSETS / "compare.txt").read_text(encoding="utf-8") == printed, AGAIN


def test_the_readme_shows_what_the_sample_prints(printed):
    for line in printed.splitlines()[2:]:
        assert line in README.splitlines(), AGAIN


def test_the_picture_is_of_the_sample_and_small():
    path = ASSETS / "compare.svg"
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    texts = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {one["name"] for one in read_file(sample_folder() / CONFIG)["candidate"]} <= texts, AGAIN
    assert path.stat().st_size < 200_000
    for page, place in ((PAGE, "assets/compare.svg"), (README, "docs/assets/compare.svg")):
        assert f"]({place})" in page


def test_the_file_on_the_page_can_be_run(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "requests.csv").write_bytes((sample_folder() / "requests.csv").read_bytes())
    whole = comparison(tomllib.loads(text), base=tmp_path, jobs=30)
    assert [trial.results[0].arrived for trial in run(whole, lambda name: None)] == [30, 30, 30]


def test_every_key_and_setting_is_on_the_page():
    for key in KEYS:
        assert f"| `{key}` |" in PAGE or f"| `[{key}]` |" in PAGE or f"| `[[{key}]]` |" in PAGE
    for setting in SETTINGS:
        assert f"`{setting}`" in PAGE
