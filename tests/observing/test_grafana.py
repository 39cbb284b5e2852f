"""The dashboard and the alerts in docs/grafana: they can be loaded, and ask for what is really there."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import anyio.to_thread
import promql_parser
import pytest
from busy import happen, served, watched
from prometheus_client import CollectorRegistry
from prometheus_server import find, scraping
from scraping import parsed, text_of

from pacer.prometheus import Metrics

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = json.loads((FOLDER / "pacer.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_DASHBOARD = [target["expr"] for panel in PANELS for target in panel["targets"]]
OF_ALERTS = re.findall(r"^ +expr: (.+)$", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)


def filled_in(expression: str) -> str:
    """As Grafana does before it asks."""
    return expression.replace("$queue", ".*").replace("$__rate_interval", "5m")


def selectors(expression: Any) -> Iterator[Any]:
    """Where an expression that was parsed names a metric."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("expr", "vector_selector", "lhs", "rhs"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(expression, "args", ()):
        yield from selectors(inner)


@pytest.fixture(scope="module")
def exposition() -> str:
    """What is really exposed."""
    metrics = Metrics(CollectorRegistry())

    async def main() -> str:
        async with watched(metrics) as scheduler:
            await happen(scheduler)
            return await text_of(metrics.app)

    return anyio.run(main)


def test_the_dashboard_has_panels_with_ids_titles_units_and_places_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == [*"ABCDEFGH"][: len(panel["targets"])]
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(titles) - len(set(titles)) == 1  # the wait of a new job, as a figure and as a graph


def test_no_panel_lies_on_another() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    assert not [(one["title"], two["title"]) for one, two in combinations(PANELS, 2) if cells(one) & cells(two)]
    assert max(x for panel in PANELS for x, _ in cells(panel)) < 24


def test_the_dashboard_can_be_loaded_with_any_data_source() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    asked = [panel["datasource"] for panel in PANELS]
    asked += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert {source["uid"] for source in [*asked, variables["queue"]["datasource"]]} == {"${datasource}"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used == {*variables, "__rate_interval"}
    assert "http" not in json.dumps(DASHBOARD)


@pytest.mark.parametrize("expression", [*OF_DASHBOARD, *OF_ALERTS])
def test_an_expression_names_metrics_and_labels_that_there_are(expression: str, exposition: str) -> None:
    labels: dict[str, set[str]] = {}
    for family in parsed(exposition):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    found = [*selectors(promql_parser.parse(filled_in(expression)))]
    assert found
    by = {name.strip() for names in re.findall(r"by \(([^)]*)\)", expression) for name in names.split(",")}
    for selector in found:
        assert selector.name in labels
        assert {matcher.name for matcher in selector.matchers.matchers} | by <= labels[selector.name]


def test_a_wrong_name_would_be_found() -> None:
    nested = "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) / max(b) > 1 unless (c{x='1'} == 0)"
    assert {selector.name for selector in selectors(promql_parser.parse(nested))} == {"a_bucket", "b", "c"}


async def test_a_real_prometheus_answers_every_expression(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    scheduler = watched(metrics)

    def ask(expressions: Sequence[str]) -> None:
        """Each of them, until it comes to something: a scrape that comes too late takes its values away for a while."""
        for expression in expressions:
            prometheus.wait_for(filled_in(expression))

    with served(metrics) as target, scraping(target, tmp_path) as prometheus:
        async with scheduler:
            await anyio.to_thread.run_sync(prometheus.wait_for, "pacer_jobs_waiting")
            await happen(scheduler)
            # Twice: what has not been there before has to grow for a rate.
            grown = 'pacer_job_outcomes_total{outcome="dead"} == 1'
            await anyio.to_thread.run_sync(prometheus.wait_for, grown)
            await happen(scheduler)
            await anyio.to_thread.run_sync(prometheus.wait_for, grown.replace("1", "2"))
            await anyio.to_thread.run_sync(ask, OF_DASHBOARD)
            for expression in OF_ALERTS:
                await anyio.to_thread.run_sync(prometheus.answer, expression)


def test_promtool_finds_nothing_wrong_with_names_and_rules(exposition: str) -> None:
    promtool = find("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    rules = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert rules.returncode == 0, rules.stdout + rules.stderr


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """As promtool wants it: `1x5 _x3` is 1 six times, then nothing three times; one a minute."""
    shown = ",".join(f'{label}="{value}"' for label, value in {"instance": "one", "queue": "a", **labels}.items())
    return {"series": f"{name}{{{shown}}}", "values": values}


def works(values: str, **labels: str) -> dict[str, str]:
    return series("pacer_scheduler_working", values, **labels)


def died(values: str) -> dict[str, str]:
    return series("pacer_job_outcomes_total", values, task="summarise", outcome="dead")


NOBODY, NEED = "PacerNobodyWorks", "PacerJobsNeedSomebody"
NOBODY_ON_B = [({"queue": "b"}, "No process that is scraped takes jobs of queue b.")]
NOBODY_AT_ALL = [(dict[str, str](), "No process that is scraped takes jobs.")]
ONE_DIED = [({"queue": "a", "outcome": "dead"}, "Jobs of queue a are dead: they run again only if somebody says so.")]


@pytest.mark.parametrize(
    ("alert", "given", "expected"),
    [
        pytest.param(NOBODY, [works("1x20")], [], id="somebody works"),
        pytest.param(NOBODY, [works("1x20"), works("0x20", instance="web")], [], id="not everybody has to"),
        pytest.param(NOBODY, [works("1x20"), works("0x20", queue="b")], NOBODY_ON_B, id="not on this queue"),
        pytest.param(NOBODY, [works("1x20"), works("1x5 stale", queue="b")], NOBODY_ON_B, id="not any more"),
        pytest.param(NOBODY, [series("up", "1x20")], NOBODY_AT_ALL, id="never anybody"),
        pytest.param(NEED, [died("0x20")], [], id="none died"),
        pytest.param(NEED, [died("3x20")], [], id="long ago"),
        pytest.param(NEED, [died("0x9 1x10")], ONE_DIED, id="one more died"),
        pytest.param(NEED, [died("_x9 1x10")], ONE_DIED, id="the first that is heard of"),
    ],
)
def test_an_alert_fires_when_it_should(
    alert: str, given: Sequence[dict[str, str]], expected: Sequence[tuple[dict[str, str], str]], tmp_path: Path
) -> None:
    """Fifteen minutes after Prometheus began to scrape, by its own rules."""
    fired = [{"exp_labels": labels, "exp_annotations": {"summary": summary}} for labels, summary in expected]
    check = {"eval_time": "15m", "alertname": alert, "exp_alerts": fired}
    test = {"interval": "1m", "input_series": given, "alert_rule_test": [check]}
    rules = tmp_path / "rules.json"  # which is YAML, too
    rules.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [test]}), encoding="utf-8")
    checked = subprocess.run([find("promtool"), "test", "rules", rules], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
