"""The docs are true: examples run and print what the page shows, and nothing public is left out of the reference."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from xml.etree import ElementTree

import anyio
import attrs
import httpx
import pytest
from fastapi import FastAPI, Response

import pacer
from pacer import JobState, Scheduler, events
from pacer._job import TRANSITIONS
from pacer.demo.upstream import Limits, create_upstream
from pacer.testing import run_virtual

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PUBLIC_MODULES = (
    "pacer",
    "pacer.alerts",
    "pacer.backoff",
    "pacer.codecs",
    "pacer.dashboard",
    "pacer.estimators",
    "pacer.events",
    "pacer.fastapi",
    "pacer.feedback",
    "pacer.opentelemetry",
    "pacer.pacing",
    "pacer.prometheus",
    "pacer.protocols",
    "pacer.queues",
    "pacer.simulation",
    "pacer.stores",
    "pacer.stores.postgres",
    "pacer.stores.redis",
    "pacer.stores.sqlite",
    "pacer.testing",
    "pacer.testing.upstream",
)
# Examples whose main() is run here, on these event loops, and whose output is in the file beside them.
PRINTING = sorted(path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in EXAMPLES.rglob("*.txt"))
# A database has a thread of its own.
REAL_TIME = {"restart/mirror", "simulation/history", "transactions/orders", "transactions/session"}
ASYNCIO_ONLY = {"jobs/threads"}  # trio's virtual clock does not wait for threads
WITH_A_TEST_OF_ITS_OWN = {
    "alerts/webhook",
    "dashboard/main",
    "feedback/tokens",
    "jobs/throttled",
    "fastapi_app",
    "many_hosts/hand_in",
    "many_hosts/main",
    "many_hosts/pace",
    "many_hosts/upstream",
    "observing/logging_app",
    "periodic/reports",
    "observing/metrics_app",
    "observing/structlog_setup",
    "observing/tracing_app",
    "observing/worker_metrics",
    "tutorial/step1_background",
    "tutorial/step2_queue",
    "tutorial/step3_upstream",
    "tutorial/step4_restart",
    "workers/main",
}


def load(name: str) -> ModuleType:
    """A new module from an example's file."""
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown_output(name: str) -> str:
    return (EXAMPLES / f"{name}.txt").read_text(encoding="utf-8")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# -- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", [one for one in PRINTING if one not in {*REAL_TIME, *WITH_A_TEST_OF_ITS_OWN}])
def test_an_example_prints_what_its_page_shows(name: str, backend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if name in ASYNCIO_ONLY:
        backend = "asyncio"
    main = load(name).main
    if inspect.iscoroutinefunction(main):
        run_virtual(main, backend=backend)
    else:
        main()
    assert capsys.readouterr().out == shown_output(name)


@pytest.mark.parametrize("name", sorted(REAL_TIME))
def test_an_example_with_a_database_prints_what_its_page_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    anyio.run(load(name).main)
    assert capsys.readouterr().out == shown_output(name)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_throttled_example_waits_as_long_as_the_upstream_says(
    backend: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream, refusals = FastAPI(), iter([True, False, False])

    @upstream.get("/items/{item}")
    async def item(item: int) -> Response:
        if next(refusals):
            return Response(status_code=429, headers={"Retry-After": "30"})
        return Response(f"item {item}")

    example = load("jobs/throttled")

    async def main() -> None:
        transport = httpx.ASGITransport(upstream)
        async with httpx.AsyncClient(transport=transport, base_url="http://upstream") as example.upstream:
            await example.main()

    run_virtual(main, backend=backend)
    assert capsys.readouterr().out == shown_output("jobs/throttled")


def test_the_examples_that_are_tests_pass() -> None:
    folders = [EXAMPLES / "testing", EXAMPLES / "strategies"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the app while its lifespan runs."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        yield client


def connect(example: ModuleType, upstream: FastAPI) -> None:
    """Let the example's OpenAI client talk to this upstream instead of one on a port."""
    example.client = example.client.with_options(http_client=httpx.AsyncClient(transport=httpx.ASGITransport(upstream)))


def test_the_example_of_tokens_keeps_within_both_limits_of_the_demos_upstream(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = load("feedback/tokens")

    async def main() -> None:
        connect(example, create_upstream())
        await example.main()

    run_virtual(main)
    assert capsys.readouterr().out == shown_output("feedback/tokens")


PAPER = {"number": "8-1204", "text": "Kleine Anfrage. Wie viele Züge fielen im letzten Jahr auf der Strecke aus?"}


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_step_1_answers_at_once_and_analyses_in_the_background() -> None:
    example = load("tutorial/step1_background")
    connect(example, create_upstream())
    async with serving(example.app) as client:
        assert (await client.post("/papers", json=PAPER)).status_code == 202
    assert "Kleine Anfrage" in example.analyses[PAPER["number"]]


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_step_2_answers_with_position_and_estimate() -> None:
    example = load("tutorial/step2_queue")
    connect(example, create_upstream())
    async with serving(example.app) as client:
        await client.post("/papers", json=PAPER)
        await anyio.sleep(1)  # virtual; by then the first paper runs
        receipt = (await client.post("/papers", json={**PAPER, "number": "8-1217"})).json()
        assert await example.scheduler.drain(timeout=600)
    receipt["estimate"] = {name: round(seconds, 1) for name, seconds in receipt["estimate"].items()}
    assert receipt == json.loads((EXAMPLES / "tutorial" / "step2_receipt.json").read_text(encoding="utf-8"))


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_step_3_survives_a_429_of_the_upstream_and_answers_429_itself_when_full() -> None:
    example = load("tutorial/step3_upstream")
    connect(example, create_upstream(Limits(), others_before={1}))
    async with serving(example.app) as client:
        await client.post("/papers", json=PAPER)
        assert "Kleine Anfrage" in await example.scheduler.wait(PAPER["number"])
        job = (await client.get(f"/queue/jobs/{PAPER['number']}")).json()
        assert (job["state"], job["throttles"], job["attempt"]) == ("succeeded", 1, 1)
        await example.scheduler.pause()
        for number in range(50):
            assert (await client.post("/papers", json={**PAPER, "number": str(number)})).status_code == 202
        refused = await client.post("/papers", json={**PAPER, "number": "50"})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_step_4_finishes_after_a_restart_what_was_acknowledged_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = load("tutorial/step4_restart")
    async with serving(before.app) as client:
        await before.scheduler.pause()
        assert (await client.post("/papers", json=PAPER)).status_code == 202
    after = load("tutorial/step4_restart")
    connect(after, create_upstream(speed=100))
    async with serving(after.app) as client:
        assert (await client.get("/queue/status")).json()["pending"] == 1
        await after.scheduler.resume()
        assert "Kleine Anfrage" in await after.scheduler.wait(PAPER["number"])


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_the_fastapi_example_takes_a_job_and_shows_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = load("fastapi_app")
    async with serving(example.app) as client:
        receipt = await client.post("/summaries", params={"text": "One fish"})
        assert receipt.status_code == 202
        job_id = receipt.json()["job_id"]
        await example.scheduler.wait(job_id)
        job = (await client.get(f"/queue/jobs/{job_id}")).json()
        assert (job["state"], job["result"]) == ("succeeded", "One")
        assert (await client.get("/queue/status")).json()["succeeded"] == 1


def test_no_example_is_left_untested() -> None:
    names = {path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in EXAMPLES.rglob("*.py")}
    in_test_folders = {name for name in names if name.startswith(("testing/", "strategies/"))}
    assert names == {*PRINTING, *WITH_A_TEST_OF_ITS_OWN} | in_test_folders


def test_every_example_is_shown_on_a_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    shown = set(re.findall(r'--8<-- "([^":]+)', text))
    there = {
        path.relative_to(EXAMPLES).as_posix() for kind in ("*.py", "*.txt", "*.json") for path in EXAMPLES.rglob(kind)
    }
    assert there <= shown


def test_every_python_sample_of_the_docs_is_an_example_file() -> None:
    for path in DOCS.rglob("*.md"):
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            assert re.fullmatch(r'\s*(--8<-- "[^"]+"\s*)+', block), (
                f"{path.name} has a sample that no test runs: {block}"
            )


# -- the README ------------------------------------------------------------------------------------------------------


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_shows_the_tested_examples_and_their_output() -> None:
    examples = [(EXAMPLES / name).read_text(encoding="utf-8") for name in ("first.py", "fastapi_app.py")]
    assert readme_blocks("python") == examples
    assert readme_blocks("text") == [shown_output("first")]


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    missing = [link for link in links if link.startswith("docs/") and not (ROOT / link).exists()]
    assert links
    assert not missing


# -- completeness ----------------------------------------------------------------------------------------------------


def public_names(module_name: str) -> set[str]:
    return {f"{module_name}.{name}" for name in importlib.import_module(module_name).__all__}


def documented_names() -> list[str]:
    reference = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    return re.findall(r"^::: (\S+)$", reference, re.MULTILINE)


def test_the_reference_has_every_public_name_once_and_no_other() -> None:
    expected = set().union(*map(public_names, PUBLIC_MODULES))
    found = documented_names()
    assert sorted(found) == sorted(expected)


def test_every_public_module_is_known_to_the_reference() -> None:
    """A module without a leading underscore, other than the demo, is public."""
    package = Path(str(inspect.getsourcefile(pacer))).parent
    paths = [path.relative_to(package.parent).with_suffix("") for path in package.rglob("*.py")]
    dotted = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    public = {name for name in dotted if not any(part.startswith("_") for part in name.split("."))}
    assert {name for name in public if not name.startswith("pacer.demo")} == set(PUBLIC_MODULES)


def documented_arguments(function: Callable[..., Any]) -> set[str]:
    docstring = inspect.getdoc(function) or ""
    section = docstring.partition("Args:\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^ {4}\*{0,2}(\w+):", section, re.MULTILINE))


def test_every_argument_of_the_scheduler_is_documented() -> None:
    arguments = {field.name for field in attrs.fields(Scheduler) if field.init}
    assert documented_arguments(Scheduler) == arguments
    assert not [name for name in arguments if f"| `{name}` |" not in page("parts.md")]


def test_every_option_of_a_job_is_documented() -> None:
    options = set(inspect.signature(Scheduler.options).parameters) - {"self"}
    assert documented_arguments(Scheduler.options) == options
    assert not [name for name in options if f"| `{name}` |" not in page("jobs.md")]


FAMILIES = {
    "pacer.pacing": "pacing.md",
    "pacer.backoff": "backoff.md",
    "pacer.estimators": "estimators.md",
    "pacer.queues": "orders.md",
}
PARTS = {
    module: {name: getattr(importlib.import_module(module), name) for name in importlib.import_module(module).__all__}
    for module in (*FAMILIES, "pacer.stores")
}
PARTS["pacer.queues"] |= {"BoundedQueue": pacer.BoundedQueue, "MaxWait": pacer.MaxWait}
ALL_PARTS = [part for parts in PARTS.values() for part in parts.values()]


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.__name__)
def test_every_setting_of_a_part_is_documented(part: type) -> None:
    settings = {field.name for field in attrs.fields(part) if field.init}
    assert documented_arguments(part) == settings


def rows(text: str, *, columns: int) -> list[list[str]]:
    """The cells of every table row with so many columns."""
    cells = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if len(row) == columns]


@pytest.mark.parametrize("module_name", FAMILIES)
def test_the_page_of_a_family_has_one_row_for_each_strategy_with_code_that_runs(module_name: str) -> None:
    """What it is, what it does, when to use it, when not, and its state: the first cell makes one of it."""
    names = PARTS[module_name]
    table = [row for row in rows(page(FAMILIES[module_name]), columns=5) if row[0].startswith("`")]
    made = [type(eval(row[0].strip("`"), dict(names))) for row in table]
    assert sorted(kind.__name__ for kind in made) == sorted(names)
    assert [row for row in table if not all(row)] == []


def test_every_store_is_on_the_page_of_parts() -> None:
    stores = [*PARTS["pacer.stores"], "SqliteStore", "PostgresStore", "RedisStore"]
    assert not [name for name in stores if f"{name}(" not in page("parts.md")]


def test_every_event_has_a_row() -> None:
    assert not [kind.__name__ for kind in get_args(events.Event) if f"| `{kind.__name__}` |" not in page("events.md")]


def test_every_error_has_a_row() -> None:
    errors = [name for name in pacer.__all__ if name.endswith("Error") or name == "Throttled"]
    assert not [name for name in errors if f"| `{name}` |" not in page("errors.md")]


# -- pictures --------------------------------------------------------------------------------------------------------


def test_the_pictures_are_what_their_script_makes_of_the_parts_as_they_are(tmp_path: Path) -> None:
    script = DOCS / "pictures" / "make.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, cwd=ROOT)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    there = {name: (DOCS / "assets" / name).read_text(encoding="utf-8") for name in made}
    assert [name for name in made if made[name] != there[name]] == [], "run `python docs/pictures/make.py` and look"


def test_every_picture_is_on_a_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (*DOCS.glob("*.md"), ROOT / "README.md"))
    assert not [path.name for path in (DOCS / "assets").glob("*.svg") if path.name not in text]


# -- the state diagram -----------------------------------------------------------------------------------------------


def test_the_state_diagram_shows_exactly_the_transitions_there_are() -> None:
    svg = ElementTree.fromstring((DOCS / "assets" / "states.svg").read_text(encoding="utf-8"))
    arrows = [node.get("id", "").split("-to-") for node in svg.iter() if "-to-" in node.get("id", "")]
    drawn = {(JobState(source), JobState(target)) for source, target in arrows}
    assert len(drawn) == len(arrows)
    assert drawn == {(source, target) for source, targets in TRANSITIONS.items() for target in targets}


def test_the_state_diagram_has_a_box_for_every_state() -> None:
    svg = ElementTree.fromstring((DOCS / "assets" / "states.svg").read_text(encoding="utf-8"))
    boxes = {
        node.get("id", "").removeprefix("state-") for node in svg.iter() if node.get("id", "").startswith("state-")
    }
    assert boxes == {state.value for state in JobState}


def test_every_state_is_explained() -> None:
    assert not [state for state in JobState if f"| `{state}` |" not in page("guarantees.md")]


def test_every_decision_is_listed() -> None:
    decisions = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert re.findall(r"\]\((0[^)]+)\)", page("decisions/index.md")) == decisions
