"""Calls as curate reads them: those a text model could be asked again, with their feedback.

Rows are parsed as they come, so that beside the calls there are never all rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from expectations.contracts import DATA_SET_FORMAT
from tasks.model.logged_call import (
    NO_OPINION,
    LoggedCall,
    Signal,
    is_question,
    opinion_of,
    read_conversation,
    read_recorded,
    read_response,
)
from tasks.model.reading import EVERYTHING, Part
from tasks.store.db.connection import Store
from tasks.store.evals.history import ASKED_FOR, SAYS_SOMETHING, bound

#: columns that `_read` takes
_ROW = (
    "request_id, started_at, prompt_name, session_id, model, operation, status, format, messages, "
    "response, params"
)
_DRAWN = "requests JOIN drawn_calls ON requests.rowid = drawn_calls.row_id"


def read_questions(
    store: Store, part: Part = EVERYTHING, *, with_sampling: bool = False
) -> list[LoggedCall]:
    """Every call of the part of the history that is a question to a text model, by id. How its
    answer was drawn is part of it only `with_sampling`: that is a matter of releases, but for those
    that take it from the log."""
    source = f"requests WHERE {ASKED_FOR}"
    return _questions(store, source, bound(part), with_sampling=with_sampling)


def read_drawn(store: Store, *, with_sampling: bool = False) -> list[LoggedCall]:
    """Those among `drawn_calls` (history.py), by id, each with what it stands for."""
    return _questions(store, _DRAWN, [], "stands_for", with_sampling=with_sampling)


def read_judged(store: Store, task: str | None, most: int | None) -> list[LoggedCall]:
    """Those of the task (None: of all) of which somebody said something, at most so many, newest
    first."""
    newest = (
        "SELECT request_id FROM requests WHERE ($1 IS NULL OR prompt_name = $1) AND request_id IN "
        f"(SELECT request_id FROM feedback WHERE {SAYS_SOMETHING}) "
        "ORDER BY started_at DESC NULLS LAST, request_id DESC LIMIT $2::BIGINT"
    )
    return _questions(store, f"requests WHERE request_id IN ({newest})", [task, most])


def find_questions(store: Store, request_id: str, most: int) -> list[LoggedCall]:
    """That of the id; else those whose id begins so, of the first ones by id."""
    first = (
        "SELECT request_id FROM requests WHERE starts_with(request_id, $1) "
        f"ORDER BY request_id LIMIT {most}"
    )
    exact = _questions(store, "requests WHERE request_id = $1", [request_id])
    return exact or _questions(store, f"requests WHERE request_id IN ({first})", [request_id])


def _questions(
    store: Store,
    source: str,
    parameters: Sequence[Any],
    stands_for: str = "1::DOUBLE",
    *,
    with_sampling: bool = False,
) -> list[LoggedCall]:
    """Those among the rows of `source`, the part of a query from its table on."""
    signals: dict[str, list[Signal]] = {}
    for request_id, *signal in store.stream(
        "SELECT request_id, feedback_id, kind, value, corrected, given_at FROM feedback "
        f"WHERE {SAYS_SOMETHING} AND request_id IN (SELECT request_id FROM {source})",
        parameters,
    ):
        signals.setdefault(request_id, []).append(Signal(*signal))
    opinions = {request_id: opinion_of(said) for request_id, said in signals.items()}
    texts = _Shared()
    calls = []
    for request_id, started_at, task, session_id, model, operation, status, *said in store.stream(
        f"SELECT {_ROW}, {stands_for} FROM {source}", parameters
    ):
        format_name, messages, response, params, weight = said
        conversation = None
        if is_question(operation):
            conversation = read_conversation(messages, params, model)
        if conversation is None:
            continue
        served = conversation.served if with_sampling else conversation.served.without_sampling()
        system = None if conversation.system is None else texts[conversation.system]
        answered = read_response(response)
        recorded = read_recorded(response)
        calls.append(
            LoggedCall(
                request_id=request_id,
                conversation=replace(conversation, served=served, system=system),
                response=answered,
                started_at=started_at,
                task=texts[task] if task else None,
                session_id=texts[session_id] if session_id else None,
                model=texts[model] if model else model,
                is_error=status == "error",
                opinion=opinions.get(request_id, NO_OPINION),
                recorded=answered if recorded == answered else recorded,
                of_data_set=format_name == DATA_SET_FORMAT,
                stands_for=weight,
            )
        )
    calls.sort(key=lambda call: call.request_id)
    return calls


class _Shared(dict[str, str]):
    """Texts that many calls have, each kept once."""

    def __missing__(self, text: str) -> str:
        self[text] = text
        return text
