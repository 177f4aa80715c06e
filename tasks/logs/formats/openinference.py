"""OpenInference spans: bare, one a line or document, or in an OTLP envelope; also Phoenix's export.

The reading is otlp.py's, which tells the conventions apart span by span.
"""

from __future__ import annotations

from tasks.logs.formats import otel_spans, otlp
from tasks.logs.formats.openinference_call import KIND
from tasks.logs.formats.otlp_values import attributes
from tasks.logs.formats.span_shapes import is_span, to_otlp
from tasks.logs.shapes.records import Json, UnreadableError

NAME = "openinference"
VERSION = "openinference@5"

records = otlp.records
reader = otel_spans.reader


def matches(value: Json) -> bool:
    """By the first spans: an envelope may hold a night's worth."""
    if is_span(value):
        return _is_ours(value)
    spans = otlp.spans_of(value) if isinstance(value, dict) else []
    return any(_is_ours(span) for span in spans[:50])


def _is_ours(span: Json) -> bool:
    try:
        attrs = attributes(to_otlp(span).get("attributes")) if isinstance(span, dict) else {}
    except UnreadableError:
        return False
    return KIND in attrs
