from __future__ import annotations

from typing import Any

import pytest

from tasks.backends.hosted.probe import probe
from tests.fake_api import serving_api


@pytest.mark.parametrize(
    ("told", "ok", "says"),
    [
        ((200, {"data": [{"id": "big"}]}), True, "answers, and has it"),
        ((200, {"data": [{"id": "x"}]}), None, "does not list it among 1 models"),
        ((200, {"data": 3}), False, "lists no models"),
        ((200, ["no"]), False, "lists no models"),
        ((401, {}), False, "the key is not accepted"),
        ((404, {}), None, "lists no models"),
        ((500, {}), False, "status 500"),
        ((307, {}), False, "status 307"),
    ],
)
def test_what_answers_is_told_without_a_token(told: Any, ok: bool | None, says: str) -> None:
    with serving_api(lambda _, __: told) as api:
        found = probe("openai", api.url, "sk-planted", "big")
        assert api.books.bodies == []
        assert api.books.headers[0]["authorization"] == "Bearer sk-planted"
    assert found[0] is ok
    assert says in found[1]
    assert "planted" not in found[1]


def test_what_does_not_answer_is_told() -> None:
    with serving_api() as api:
        pass
    ok, text = probe("openai", api.url, "", "big")
    assert not ok
    assert "does not answer" in text
