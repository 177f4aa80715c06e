"""Spans and log records without OTLP's envelope, as SDKs print them, one a value.

The spans of a trace stand in several values and are read together. otlp.py reads them too where it
is told to, one by one; span_shapes.py knows their shapes.
"""

from __future__ import annotations

from typing import Any

from tasks.logs.formats import otlp
from tasks.logs.formats.trace_reading import SpanReader

NAME = "otel_spans"
VERSION = "otel_spans@3"

matches = otlp.is_bare
records = otlp.records


def reader() -> SpanReader[Any]:
    return SpanReader(otlp.span_of, otlp.records)
