"""Lines and fields that logs get of each event, through the formatters that people use."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, get_args, get_type_hints

import attrs
import pytest
from pythonjsonlogger.json import JsonFormatter

from pacer import JobState, LoggingObserver, events

DOCS = Path(__file__).parents[2] / "docs"
KINDS = get_args(events.Event)


def some(kind: Any) -> Any:
    """A value of a field's type, the fuller one where there is a choice."""
    if kind is JobState:
        return JobState.STALE
    if kind is datetime:
        return datetime(2026, 11, 24, tzinfo=UTC)
    values: Mapping[str, Any] = {"str": "x\ny", "float": 1.5, "int": 7, "bool": True, "NoneType": None}
    name = getattr(kind, "__name__", "")
    if name in values:
        return values[name]
    first, *rest = get_args(kind)
    if getattr(kind, "__origin__", None) is tuple:
        return (some(first), *map(some, rest))
    if getattr(kind, "__origin__", None) is not None:
        return {some(first): some(rest[0])}
    return some(first)  # X | None


def example(kind: Any) -> Any:
    hints = get_type_hints(kind, {**vars(events), "datetime": datetime, "Mapping": Mapping})
    return kind(**{field.name: some(hints[field.name]) for field in attrs.fields(kind)})


def logged(formatter: logging.Formatter, event: Any) -> str:
    """What a handler with this formatter writes of one event."""
    stream, logger = StringIO(), logging.getLogger(f"{__name__}.logged")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.propagate, logger.handlers = False, [handler]
    logger.setLevel(logging.DEBUG)
    LoggingObserver(logger)(event)
    return stream.getvalue()


def with_json_logger(event: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(logged(JsonFormatter("%(levelname)s %(name)s %(message)s"), event))
    return found


def with_structlog(event: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(logged(structlog_formatter(), event))
    return found


def structlog_formatter() -> logging.Formatter:
    """That of the page."""
    space: dict[str, Any] = {}
    exec((DOCS / "examples" / "observing" / "structlog_setup.py").read_text(encoding="utf-8"), space)
    found: logging.Formatter = space["formatter"]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_has_its_fields_under_names_of_its_own(kind: Any) -> None:
    event = example(kind)
    for read in (with_json_logger, with_structlog):
        fields = {name: value for name, value in read(event).items() if name.startswith("pacer_")}
        assert fields.pop("pacer_event") == kind.__name__
        told = attrs.asdict(event, recurse=False, value_serializer=lambda _, __, value: json.loads(json.dumps(value)))
        assert fields == {f"pacer_{name}": value for name, value in told.items()}


def test_no_field_has_a_name_of_loggings_own() -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "x", None, None)
    taken = {*vars(record), "message", "asctime", "taskName"}
    fields = {f"pacer_{field.name}" for kind in KINDS for field in attrs.fields(kind)} | {"pacer_event"}
    assert not fields & taken


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_line_is_one_line_and_names_the_event_first(kind: Any) -> None:
    (line,) = logged(logging.Formatter("%(message)s"), example(kind)).splitlines()
    assert line.startswith(kind.__name__)
    assert "pacer_" not in line


def test_the_line_that_the_page_shows_is_one_that_is_logged() -> None:
    shown = json.loads((DOCS / "examples" / "observing" / "logging_line.json").read_text(encoding="utf-8"))
    fields = {name.removeprefix("pacer_"): value for name, value in shown.items() if name.startswith("pacer_")}
    event = getattr(events, fields.pop("event"))(**fields)
    formatter = JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    real = json.loads(logged(formatter, event))
    assert [*real] == [*shown]
    assert {**real, "name": "pacer", "asctime": shown["asctime"]} == shown
    page = (DOCS / "logging.md").read_text(encoding="utf-8")
    text = re.search(r"^JobStarted .*$", page, re.MULTILINE)
    assert text is not None
    assert re.sub(r"job_id=\w+", "", text.group()) == re.sub(r"job_id=\w+", "", shown["message"])
