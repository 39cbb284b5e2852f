"""What a scrape shows, as Prometheus would read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

Scrape = Mapping[str, Mapping[tuple[str, ...], float]]
"""Values by name of the sample, and by the values of its labels: queue and task first, `le` last."""


async def scraped(app: Any) -> Scrape:
    """What an ASGI application answers to Prometheus."""
    return samples(parsed(await text_of(app)))


async def text_of(app: Any) -> str:
    """Asked for as a server does that runs the application on this event loop."""
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    await app({"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}, receive, send)
    start, body = answer
    assert start["status"] == 200
    assert dict(start["headers"])[b"Content-Type"].startswith(b"text/plain")
    return bytes(body["body"]).decode()


def parsed(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def samples(families: Iterable[Metric]) -> Scrape:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, {})[_values(sample.labels)] = sample.value
    return found


def _values(labels: Mapping[str, str]) -> tuple[str, ...]:
    first = [name for name in ("queue", "task") if name in labels]
    last = ["le"] if "le" in labels else []
    return tuple(labels[name] for name in (*first, *sorted(set(labels) - {*first, *last}), *last))
