"""The applications of the pages on metrics, traces and logs do what the pages say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from applications import command, copied, served
from prometheus_client import CollectorRegistry
from scraping import Scrape, parsed, samples
from servers import free_port
from waiting import until

from pacer.prometheus import Metrics
from pacer.prometheus._instruments import OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"


def scrape(url: str) -> Scrape:
    answer = httpx.get(url, timeout=30, follow_redirects=True)
    assert answer.status_code == 200
    return samples(parsed(answer.text))


def test_the_application_with_metrics_shows_them(tmp_path: Path) -> None:
    copied(tmp_path, "metrics_app")
    with served(tmp_path, "metrics_app") as application:
        application.submit("One fish")
        key = ("default", "summarise", "succeeded")
        until(lambda: scrape(f"{application.url}/metrics/")["pacer_job_outcomes_total"][key])
        found = scrape(f"{application.url}/metrics")  # without the slash it is redirected, which Prometheus follows
        assert found["pacer_jobs_waiting"] == {("default",): 0}
        assert "process_cpu_seconds_total" in found  # those of prometheus_client itself


def test_several_processes_behind_one_port_show_the_sum_whichever_of_them_answers(tmp_path: Path) -> None:
    copied(tmp_path, "metrics_app")
    shared = tmp_path / "shared"
    shared.mkdir()
    with served(tmp_path, "metrics_app", "--workers", "2", PROMETHEUS_MULTIPROC_DIR=str(shared)) as application:
        until(lambda: application.said.count("Application startup complete") == 2)
        submitted = 0
        while sum(b"pacer_jobs_enqueued" in path.read_bytes() for path in shared.glob("counter_*.db")) < 2:
            assert submitted < 45, "the system gives all connections to one process"
            submitted += 1
            application.submit(f"paper {submitted}")
        for _ in range(10):
            found = scrape(f"{application.url}/metrics/")
            assert found["pacer_jobs_enqueued_total"] == {("default", "summarise"): submitted}
            assert found["pacer_queue_capacity"] == {("default",): 50}


def test_a_worker_process_shows_its_metrics_on_a_port_of_its_own(tmp_path: Path) -> None:
    port = free_port()
    copied(tmp_path, "metrics_app")
    copied(tmp_path, "worker_metrics", **{"9109": str(port)})
    assert "worker_metrics:worker" in (DOCS / "metrics.md").read_text(encoding="utf-8")
    with command(tmp_path, tmp_path / "worker.log", "pacer", "worker", "worker_metrics:worker"):

        def look() -> Scrape | None:
            try:
                found = scrape(f"http://127.0.0.1:{port}/metrics")
            except httpx.TransportError:  # it does not serve yet
                return None
            return found if "pacer_jobs_waiting" in found else None

        assert until(look)["pacer_scheduler_running"] == {("default",): 1}


def exported(text: str) -> dict[str, Any]:
    """The spans that ConsoleSpanExporter has written, one after the other."""
    decoder, found, at = json.JSONDecoder(), {}, text.find("{\n")
    while at >= 0:
        span, end = decoder.raw_decode(text, at)
        found[span["name"]] = span
        at = text.find("{\n", end)
    return found


def test_the_traced_application_shows_the_request_the_job_and_what_the_job_does_as_one_trace(tmp_path: Path) -> None:
    copied(tmp_path, "tracing_app")
    with served(tmp_path, "tracing_app", OTEL_BSP_SCHEDULE_DELAY="100") as application:
        job_id = application.submit("One fish")
        until(lambda: "call the model" in application.said and "process default" in application.said)
    spans = exported(application.said)
    request, create, process, inside = (
        spans[name] for name in ("POST /summaries", "create default", "process default", "call the model")
    )
    for parent, child in ((request, create), (create, process), (process, inside)):
        assert child["parent_id"] == parent["context"]["span_id"]
        assert child["context"]["trace_id"] == request["context"]["trace_id"]
    assert process["attributes"]["messaging.message.id"] == job_id
    assert process["attributes"]["pacer.task"] == "summarise"
    assert process["kind"] == "SpanKind.CONSUMER"


def test_the_page_on_traces_names_every_attribute_of_a_run(tmp_path: Path) -> None:
    source = Path(str(sys.modules["pacer"].__file__)).with_name("opentelemetry.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:pacer|messaging|error)\.[\w.]+)"', source)) - {"pacer.reason"}
    page = (DOCS / "tracing.md").read_text(encoding="utf-8")
    assert names
    assert not [name for name in names if f"`{name}`" not in page]


def test_the_application_with_json_logs_writes_fields(tmp_path: Path) -> None:
    copied(tmp_path, "logging_app")
    with served(tmp_path, "logging_app") as application:
        job_id = application.submit("One fish")
        until(lambda: "JobSucceeded" in application.said)
        lines = [json.loads(line) for line in application.said.splitlines() if line.startswith("{")]
    events = {line["pacer_event"]: line for line in lines if line["name"] == "pacer"}
    assert events["JobStarted"]["pacer_job_id"] == job_id
    assert events["JobStarted"]["pacer_task"] == "summarise"
    assert events["JobSucceeded"]["levelname"] == "INFO"


def test_the_set_up_of_structlog_writes_fields(tmp_path: Path) -> None:
    copied(tmp_path, "structlog_setup")
    script = (
        "from structlog_setup import set_up; set_up(); from pacer import LoggingObserver, events; "
        "LoggingObserver()(events.QueueHeld(1.0, 30.0, 'backoff'))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    line = json.loads(run.stderr)
    assert (line["level"], line["logger"], line["pacer_event"]) == ("warning", "pacer", "QueueHeld")
    assert (line["pacer_seconds"], line["pacer_reason"]) == (30.0, "backoff")


def test_the_page_on_metrics_names_every_metric_and_every_outcome() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    metrics = Metrics(CollectorRegistry())
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.exposed.collect()
    }
    assert {*re.findall(r"^\| `(pacer_\w+)` \|", page, re.MULTILINE)} == exposed
    assert not [outcome for outcome in OUTCOMES if f"`{outcome}`" not in page]
