"""The answers of a run that people should look at, as a review queue of MLflow, and what they said
there.

Items are the traces that the run's record holds, one an answer; the one question is whether it is
right. Answered it is a Feedback of that name on the trace, by whoever MLflow takes the person for;
a declined item is an answer of which somebody cannot tell. MLflow calls its queues experimental:
they are used here alone. Imports mlflow late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from tasks.model.answer import Role
from tasks.settings import Settings
from tasks.tracking import links
from tasks.tracking.session import Session, open_session
from tasks.tracking.traces import traces_of

QUESTION = "right"
_ASKED = "Is this answer right? The reference is 'target' in the full trace."
#: MLflow lists no more at a time
_PAGE = 100
_DECLINED, _NOT_THERE = "declined", "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True, slots=True)
class Looked:
    """An answer of a release to a sample, by their names in MLflow."""

    role: Role
    row_id: str


@dataclass(frozen=True, slots=True)
class Saying:
    """`value` None: the person cannot tell. `at`: ISO 8601, UTC."""

    answer: Looked
    value: float | None
    by: str
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class Queued:
    """`num_unread`: answers to the question that are none. `num_absent`: of the wanted, those that
    MLflow does not hold."""

    url_path: str
    num_unread: int
    num_queued: int
    num_new: int
    num_absent: int


def bring_up_to_date(
    settings: Settings,
    name: str,
    child_run_ids: Mapping[Role, str],
    choose: Callable[[Sequence[Saying]], Sequence[Looked]],
) -> Queued:
    """What was said of answers of the run, whoever put them into a queue, is told to `choose`; what
    it wants is put into the queue of that name, beside what is in it, which is made where it is not
    there. Raises StoreError, transient where a server does not answer."""
    with open_session(settings) as session:
        traces = {
            Looked(role, row_id): info
            for role, run_id in child_run_ids.items()
            for row_id, info in traces_of(session, run_id)
            if row_id
        }
        queue_id = _queue(session, name)
        held = {item.item_id: item for item in _items(session, queue_id)}
        sayings, num_unread = _sayings(traces, held)
        wanted = choose(sayings)
        found = [answer for answer in wanted if answer in traces]
        new = [answer for answer in found if traces[answer].trace_id not in held]
        # the page shows what was attached last first, and what came together in any order
        for _, answers in groupby(reversed(new), key=lambda answer: answer.row_id):
            trace_ids = [traces[answer].trace_id for answer in answers]
            session.tracing._add_items_to_review_queue(queue_id, item_ids=trace_ids)
        return Queued(
            links.review_path(session.experiment_id, queue_id),
            num_unread,
            len(held) + len(new),
            len(new),
            len(wanted) - len(found),
        )


def _queue(session: Session, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        found = session.tracing._get_review_queue_by_name(session.experiment_id, name)
    except MlflowException as error:
        if error.error_code != _NOT_THERE:
            raise
        found = session.tracing._create_review_queue(
            session.experiment_id, name=name, queue_type="custom", users=[],
            schema_ids=[_question(session)],
        )  # fmt: skip
    return str(found.queue_id)


def _question(session: Session) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.genai.label_schemas.label_schemas import InputPassFail

    try:
        found = session.tracing._get_label_schema_by_name(session.experiment_id, QUESTION)
    except MlflowException as error:
        if error.error_code != _NOT_THERE:
            raise
        found = session.tracing._create_label_schema(
            experiment_id=session.experiment_id, name=QUESTION, type="feedback",
            input=InputPassFail("right", "wrong"), instruction=_ASKED, enable_comment=True,
        )  # fmt: skip
    return str(found.schema_id)


def _items(session: Session, queue_id: str) -> Iterator[Any]:
    token = None
    while True:
        page = session.tracing._list_review_queue_items(
            queue_id, max_results=_PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _sayings(traces: Mapping[Looked, Any], items: Mapping[str, Any]) -> tuple[list[Saying], int]:
    from mlflow.entities import Feedback

    found, num_unread = [], 0
    for answer, info in traces.items():
        item = items.get(info.trace_id)
        if item is not None and str(item.status) == _DECLINED and item.completed_by:
            at = _moment(item.completed_time_ms or item.last_update_time_ms)
            found.append(Saying(answer, None, item.completed_by, at, ""))
        for said in info.assessments or ():
            if not isinstance(said, Feedback) or said.name != QUESTION or said.valid is False:
                continue
            if said.source.source_type != "HUMAN":
                continue
            value = said.value
            if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
                num_unread += 1
                continue
            at = _moment(said.last_update_time_ms or said.create_time_ms)
            by = str(said.source.source_id or "")
            found.append(Saying(answer, float(value), by, at, said.rationale or ""))
    return found, num_unread


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
