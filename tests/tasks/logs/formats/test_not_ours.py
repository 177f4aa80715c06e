"""Records of others that look a little like those of an API: no format takes them."""

from __future__ import annotations

import pytest

from tasks.logs.formats import FORMATS, canonical

_FOREIGN = {
    "message of a chat": {"type": "message", "role": "user", "content": [{"type": "text"}]},
    "error of a program": {"type": "error", "error": {"code": "E1", "message": "no"}},
    "error of a form": {"type": "error", "error": {"type": "required", "field": "name"}},
    "election": {"candidates": [{"name": "A", "votes": 3}], "total": 3},
    "nobody stands": {"candidates": [], "total": 0},
    "job": {"custom_id": "c", "response": "ok", "error": None},
    "request of a form": {"custom_id": "c", "params": {"page": 3}},
    "click": {"target_id": "button", "value": 1, "page": "/"},
    "exchange of a web service": {"request": {"method": "GET", "url": "https://x.example/a"},
                                  "response": {"status": 200, "body": "{}"}},
    "weather": {"id": "s", "name": "station", "observations": [{"type": "temperature"}]},
    "quiz": {"question": "q", "choices": ["a", "b"], "answer": 0},
    "parts": {"contents": [{"name": "box", "pieces": 3}]},
    "phone call": {"call_type": "inbound", "startTime": 1.0, "endTime": 2.0},
    "mails": {"messages": [{"id": "1", "from": "a", "subject": "s"}], "total": 1},
}  # fmt: skip


@pytest.mark.parametrize("value", _FOREIGN.values(), ids=_FOREIGN)
def test_no_format_of_a_vendor_takes_it(value):
    assert [one.NAME for one in FORMATS if one is not canonical and one.matches(value)] == []
