"""What the pages on testing show is what a user sees."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples" / "testing"


def test_failures_look_as_on_the_page(project):
    first, second = re.findall(r"```text\n(.*?)```", (DOCS / "test-your-app.md").read_text(encoding="utf-8"), re.DOTALL)
    shutil.copy(EXAMPLES / "papers.py", project.path)
    tests = (EXAMPLES / "test_papers.py").read_text(encoding="utf-8")
    changed = tests.replace("[15, 30, 60, 120]", "[15, 30, 60, 300]").replace(
        'args=("One fish",), key="a"', 'args=("One fish",), key="b"'
    )
    assert changed.count("300]") == changed.count('key="b"') == 1
    ran = project.write(test_papers=changed).run()
    assert ran.counts == {"failed": 2, "passed": 4}
    seen = {line.removeprefix("E ").strip() for line in ran.out.splitlines()}
    for line in (first + second).splitlines():
        start = line.removeprefix("E ").strip().removesuffix("...")
        assert any(one.startswith(start) for one in seen), start


def test_the_page_says_how_many_tests_there_are():
    text = "".join((EXAMPLES / f"{name}.py").read_text() for name in ("test_papers", "test_papers_with_test_client"))
    assert f"{len(re.findall(r'def test_', text))} passed in" in (DOCS / "test-your-app.md").read_text(encoding="utf-8")
