"""`flywheel review --mlflow`: answers in a review queue of a real MLflow, and what people said."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.commands.review import Asked, review
from tasks.errors import UsageError
from tasks.model.turn import Turn
from tasks.receipts.materials import installed_versions
from tasks.record.reading import read_turn
from tasks.record.task import record
from tasks.review.labels import answer_digest, read_labels
from tasks.review.queue import queue
from tasks.tracking.session import Session, open_session
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.turns import fill, make_run

_ASKED = Asked(
    run_id="", suite="", challenger="", by="ada", web=False, port=0, status=False, export="",
    bring="", for_judge="", mlflow=True, num_first=3,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    home = home_with_mlflow(tmp_path / ".flywheel")
    fill(make_run(home), num_samples=24)
    with contextlib.chdir(tmp_path):
        yield tmp_path


def _told(capsys: pytest.CaptureFixture[str], **changes: Any) -> dict[str, Any]:
    assert review(replace(_ASKED, **changes), config=None, as_json=True) == 0
    return dict(json.loads(capsys.readouterr().out))


def _turn(folder: Path) -> Turn:
    run = make_run(folder / ".flywheel")
    with run.open_store() as store:
        return read_turn(store, run.run_id, run.seeds, installed_versions())


def _items(session: Session) -> list[Any]:
    (found,) = session.tracing._list_review_queues(session.experiment_id)
    return list(session.tracing._list_review_queue_items(found.queue_id))


def _say(session: Session, trace_id: str, value: Any, by: str, why: str | None = None) -> None:
    """As the page does it."""
    from mlflow.entities import AssessmentSource, Feedback

    source = AssessmentSource("HUMAN", by)
    said = Feedback(name="right", value=value, source=source, rationale=why)
    session.tracing.log_assessment(trace_id, said)


def test_the_first_pairs_come_into_a_queue_and_what_is_said_there_comes_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(folder / ".flywheel")
    record(run)
    first = _told(capsys)
    turn = _turn(folder)
    gating = {part.rule.name for part in turn.verdict.suites if part.rule.is_gating}
    pairs = queue(turn.pair(turn.leading).judged, gating)
    wanted = pairs[:3]
    num_answers = sum(
        one.text is not None for pair in wanted for of in pair.item.answers.values() for one in of
    )
    assert (first["queued"], first["added"], first["new"]) == (num_answers, num_answers, 0)
    assert first["not_in_mlflow"] == first["left_out"] == 0
    assert re.fullmatch(
        r"/#/experiments/\d+/review-queue\?selectedQueueId=[\w-]+", first["url_path"]
    )
    # again is the same
    assert _told(capsys) == {**first, "added": 0}

    with open_session(run.settings) as session:
        (made,) = session.tracing._list_review_queues(session.experiment_id)
        assert made.name == f"candidate vs prod · {run.run_id}"
        schema = session.tracing._get_label_schema(made.schema_ids[0])
        assert (schema.name, schema.enable_comment) == ("right", True)
        shown = [session.client.get_trace(item.item_id) for item in _items(session)]
        rows = {json.loads(trace.data.request)["row_id"] for trace in shown}
        assert rows == {pair.item.sample.sample_id[:16] for pair in wanted}
        # what the page shows first is what is drawn first
        assert json.loads(shown[0].data.request)["row_id"] == wanted[0].item.sample.sample_id[:16]
        for place, trace in enumerate(shown):
            _say(session, trace.info.trace_id, place % 2 == 0, "ada", f"reason {place}")
        _say(session, shown[0].info.trace_id, False, "bob@example.com")
        _say(session, shown[0].info.trace_id, "perhaps", "cyd")
        _say(session, shown[1].info.trace_id, True, "../../etc")
        session.tracing._set_review_queue_item_status(
            made.queue_id, item_id=shown[1].info.trace_id, status="declined", completed_by="dan"
        )
        said = [json.loads(trace.data.response) for trace in shown]
        said_of = [
            (json.loads(trace.data.request)["row_id"], text)
            for trace, text in zip(shown, said, strict=True)
        ]

    second = _told(capsys)
    assert (second["new"], second["unread"]) == (len(shown) + 2, 1)
    assert second["names_refused"] == ["../../etc"]
    # three more pairs, of which nobody has said anything
    assert second["added"] > 0
    assert second["queued"] == first["queued"] + second["added"]
    labels = read_labels(folder / "reviews")
    by_row = {(key[0][:16], key[1]): people for key, people in labels.items()}
    for place, (row, text) in enumerate(said_of):
        label = by_row[row, answer_digest(text)]["ada"]
        assert (label.value, label.why) == (float(place % 2 == 0), f"reason {place}")
    assert by_row[said_of[0][0], answer_digest(said_of[0][1])]["bob@example.com"].value == 0.0
    assert by_row[said_of[1][0], answer_digest(said_of[1][1])]["dan"].value is None
    assert _told(capsys)["new"] == 0
    # the newest word of a person holds
    with open_session(run.settings) as session:
        _say(session, shown[0].info.trace_id, False, "ada", "on second thought")
    assert _told(capsys)["new"] == 1
    label = {
        (key[0][:16], key[1]): people for key, people in read_labels(folder / "reviews").items()
    }[said_of[0][0], answer_digest(said_of[0][1])]["ada"]
    assert (label.value, label.why) == (0.0, "on second thought")
    assert _told(capsys)["new"] == 0
    assert review(_ASKED, config=None, as_json=False) == 0
    out = capsys.readouterr().out
    assert "0 new labels from MLflow" in out
    assert "flywheel ui" in out


def test_a_run_that_is_not_recorded_has_no_answers_there(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"not in MLflow.*flywheel record"):
        review(_ASKED, config=None, as_json=True)
    with pytest.raises(UsageError, match="only one way"):
        review(replace(_ASKED, web=True), config=None, as_json=True)
