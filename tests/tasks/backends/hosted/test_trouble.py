from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.backends.hosted.trouble import of_body, retry_after_s

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
    ],
)
def test_retry_after_in_all_its_ways(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # of Anthropic
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
         "unavailable"),
        (200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
         "unavailable"),
        (400, {"error": {"type": "invalid_request_error",
               "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, "too_long"),
        (400, {"error": {"type": "invalid_request_error",
               "message": "Your credit balance is too low to access the Anthropic API."}},
         "no_money"),
        # of Gemini
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT",
               "message": "API key not valid. Please pass a valid API key."}}, "key"),
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT",
               "message": "The input token count exceeds the maximum"}}, "too_long"),
        (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow"}},
         "rate_limited"),
        # of Azure and of OpenAI
        (400, {"error": {"code": "content_filter", "message": "ResponsibleAIPolicyViolation"}},
         "withheld"),
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded"}}, "no_money"),
        (503, "<html>bad gateway</html>", "unavailable"),
        (418, None, "refused"),
    ],
)  # fmt: skip
def test_errors_as_their_makers_tell_them(status: int, body: Any, kind: str) -> None:
    assert of_body(body, status).kind == kind


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "message", "code", "type"]), inner)
        ),
    ),
    st.sampled_from([200, 301, 400, 404, 422, 429, 500, 599]),
)
def test_any_error_body_comes_to_one_short_line(body: Any, status: int) -> None:
    trouble = of_body(body, status)
    assert "\n" not in trouble.message
    assert len(trouble.message) < 420
