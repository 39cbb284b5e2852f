"""Spans as an application's SDK would export them."""

from __future__ import annotations

from typing import Any

import attrs
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Tracer


@attrs.define(eq=False)
class Spans:
    """A provider that keeps what has ended."""

    provider: TracerProvider = attrs.field(factory=TracerProvider)
    _exporter: InMemorySpanExporter = attrs.field(init=False, factory=InMemorySpanExporter)

    def __attrs_post_init__(self) -> None:
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("application")

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.ended]

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.ended if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.named(name)
        return found


def ids(context: SpanContext | None) -> tuple[int, int]:
    """Which span it is, wherever its context has been."""
    assert context is not None
    return context.trace_id, context.span_id


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [ids(link.context) for link in span.links]


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def outcomes(spans: Spans) -> list[Any]:
    return [attribute(span, "pacer.outcome") for span in spans.ended if span.name.startswith("process")]
