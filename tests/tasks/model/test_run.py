from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.model.run import RunRequest

_TEXTS = st.lists(st.text(max_size=20), max_size=3).map(tuple)
_LOGS = st.lists(st.sampled_from(("/logs/*.jsonl", "s3://bucket/x", "-")), max_size=3).map(tuple)


@given(
    st.builds(
        RunRequest,
        logs=st.lists(st.sampled_from(("/logs/*.jsonl", "s3://bucket/x", "-")), max_size=3).map(
            tuple
        ),
        champion=st.text(max_size=20),
        challengers=_TEXTS,
        seed=st.integers(0, 2**40),
        stages=_TEXTS,
        only=_TEXTS,
        since=st.text(max_size=20),
    )
)
def test_a_request_travels_as_text_and_comes_back_the_same(request: RunRequest) -> None:
    again = RunRequest.from_json(request.to_json())
    assert again == request
    assert again.digest("settings") == request.digest("settings") != request.digest("others")


def test_no_password_is_written_down() -> None:
    text = RunRequest(logs=("s3://user:secret@bucket/x",)).to_json()
    assert "secret" not in text


def test_a_request_of_before_there_could_be_several_challengers_is_read() -> None:
    text = '{"champion": "a", "challenger": "b", "seed": 3}'
    assert RunRequest.from_json(text) == RunRequest(champion="a", challengers=("b",), seed=3)
    assert RunRequest.from_json('{"challenger": ""}') == RunRequest()


def test_releases_are_named_by_the_order_of_the_challengers() -> None:
    request = RunRequest(champion="a", challengers=("b", "c", "d"))
    assert request.releases == {
        "champion": "a", "challenger": "b", "challenger_2": "c", "challenger_3": "d",
    }  # fmt: skip
