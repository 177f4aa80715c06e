"""The history as curate reads it: calls a text model could be asked again, with their feedback."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from expectations.contracts import DATA_SET_FORMAT
from tasks.model.logged_call import (
    LoggedCall,
    Signal,
    is_question,
    opinion_of,
    read_conversation,
    read_recorded,
    read_response,
)
from tasks.store.db.connection import Store

#: of a night that is turned late: as if nothing had come in since
_UNTIL = "FROM requests WHERE ? IS NULL OR started_at IS NULL OR started_at < ?"


def count_calls(store: Store, until: datetime | None = None) -> int:
    """Those that started before then, and those of which nobody knows when."""
    return int(store.scalar(f"SELECT count(*) {_UNTIL}", [until, until]))


def read_questions(
    store: Store, *, with_sampling: bool = False, until: datetime | None = None
) -> list[LoggedCall]:
    """Every call of the history that is a question to a text model, by id; `until` as above. How
    its answer was drawn is part of it only `with_sampling`: that is a matter of releases, but for
    those that take it from the log."""
    signals: dict[str, list[Signal]] = {}
    for request_id, *signal in store.rows(
        "SELECT request_id, feedback_id, kind, value, corrected, given_at FROM feedback"
    ):
        signals.setdefault(request_id, []).append(Signal(*signal))
    calls = []
    for request_id, started_at, task, session_id, model, operation, status, *said in store.rows(
        "SELECT request_id, started_at, prompt_name, session_id, model, operation, status, "
        f"format, messages, response, params {_UNTIL} ORDER BY request_id",
        [until, until],
    ):
        format_name, messages, response, params = said
        conversation = None
        if is_question(operation):
            conversation = read_conversation(messages, params, model)
        if conversation is not None and not with_sampling:
            served = conversation.served.without_sampling()
            conversation = replace(conversation, served=served)
        if conversation is not None:
            call = LoggedCall(
                request_id=request_id,
                conversation=conversation,
                response=read_response(response),
                started_at=started_at,
                task=task or None,
                session_id=session_id or None,
                model=model,
                is_error=status == "error",
                opinion=opinion_of(signals.get(request_id, ())),
                recorded=read_recorded(response),
                of_data_set=format_name == DATA_SET_FORMAT,
            )
            calls.append(call)
    return calls
