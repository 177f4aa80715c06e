"""A night that may ship asks for its promotion on the page of its flow run, and goes on with the
answer.

The flow run is suspended, so no process waits and no kill loses the question: it is a row of the
audit, by which the flow run knows itself again when it is started with the answer. Whoever answers
promotes by the same rules as `flywheel promote`, at the time of the answer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from pydantic import Field

from flows.moved import LOCK_TIMEOUT_S, tell_others
from flows.promoting import Asked, promote_asked, would_be
from flows.summary import briefly, report_link, verdict_line
from flows.terminal import markdown_text
from flows.turn import Outcome, outcome
from tasks.model.audit import AuditRow
from tasks.releases.approval import ASK, REFUSE, UNANSWERED, asking, is_new, is_over, open_asks
from tasks.run import utc_now
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control.audit import append, read_audit
from tasks.store.opening import open_store, store_exists

#: who asks, in the audit
_NIGHTLY = "nightly"


class Answer(RunInput):
    """What the form on the flow run's page asks."""

    approve: bool = Field(False, title="Promote it", description="off: it is refused")
    by: str = Field(title="Your name", pattern=r"^[\w@-]([\w.@ -]{0,78}[\w@-])?$")
    why: str = Field(title="Why", min_length=1, max_length=500, description="for the audit")


def ask_for(settings: Settings, outcome: Outcome) -> None:
    """Suspend this flow run until somebody answers. Returns where nobody is to be asked: nothing
    may ship, it is no news, something else stands against it, or no worker would go on with it."""
    if not outcome.may_ship or not deployment.id:
        return
    now = utc_now()
    judged, decision = would_be(settings, Asked(run_id=outcome.run_id), now)
    if decision.move is None:
        return
    with _writing(settings) as store:
        if not is_new(read_audit(store), judged.verdict):
            return
        details = asking(judged.verdict, str(flow_run.get_id()), now, settings.promotion.approval_h)
        ask = append(store, by=_NIGHTLY, action=ASK, subject=judged.name, details=details, now=now)
    _answer_to(settings, ask)


def answered(settings: Settings) -> State[Any] | None:
    """What the answer to this flow run's question came to; None where it has asked none. Where
    there is no answer yet it is suspended again."""
    here = flow_run.get_id()
    ask = next((ask for ask in _open(settings) if ask.told["flow_run"] == here), None)
    if ask is None:
        return None
    verdict, answer = ask.told["verdict"], _answer_to(settings, ask)
    if not answer.approve:
        _close(settings, REFUSE, ask, answer.by, answer.why)
        return Completed(name=f"Refused: {verdict}", message=f"by {answer.by}: {answer.why}")
    asked = Asked(
        run_id=ask.told["run_id"],
        challenger=ask.subject,
        by=answer.by,
        why=answer.why,
        how=f"flow run {here}",
    )
    done = promote_asked(settings, asked, utc_now())
    if held := done.held:
        _close(settings, REFUSE, ask, answer.by, f"approved, and held: {held}")
        return Completed(name=f"Held: {verdict}", message=f"approved by {answer.by}; {held}")
    heard = tell_others(settings, done.by)
    unheard = [f"{one.subject} was not told: {one.why}" for one in heard if one.why]
    said = "; ".join([f"by {answer.by}: {answer.why}", *done.notes, *unheard])
    return Completed(name=f"Promoted: {verdict}", message=f"{ask.subject}, {said}")


def close_unanswered(settings: Settings) -> None:
    """Say of questions whose time is over, or whose flow run is gone, that nobody answered. What
    was answered and waits for its worker is left alone."""
    with get_client(sync_client=True) as client:
        for ask in _open(settings):
            run_id = UUID(ask.told["flow_run"])
            try:
                state = client.read_flow_run(run_id).state
            except ObjectNotFound:
                state = None
            is_waiting = state is not None and state.is_paused() and not is_over(ask, utc_now())
            if is_waiting or (state is not None and not (state.is_paused() or state.is_final())):
                continue
            why = f"nobody answered until {ask.told['until']} UTC: nothing is promoted"
            if state is not None and not is_over(ask, utc_now()):
                why = f"its flow run ended as {state.name}: nothing is promoted"
            _close(settings, UNANSWERED, ask, _NIGHTLY, why)
            if state is not None and (state.is_paused() or state.is_failed()):
                name = f"Unanswered: {ask.told['verdict']}"
                client.set_flow_run_state(run_id, Completed(name=name, message=why), force=True)


def _answer_to(settings: Settings, ask: AuditRow) -> Answer:
    """Leaves the flow run where there is none yet: it is started again with it."""
    with open_store(settings, read_only=True) as store:
        asked = outcome(store, ask.told["run_id"])
    until = datetime.fromisoformat(ask.told["until"])
    return suspend_flow_run(
        wait_for_input=Answer.with_initial_data(description=_question(settings, asked, ask)),
        timeout=max(1, round((until - utc_now()).total_seconds())),
        key=ask.hash,
    )


def _question(settings: Settings, asked: Outcome, ask: AuditRow) -> str:
    """Markdown: what is known, where the whole report is, and until when there is time."""
    champion = asked.releases["champion"]
    link = report_link(settings, asked)
    where = (
        f"[The whole report]({link})"
        if link
        else (f"The whole report is a file on `{socket.gethostname()}`: `{asked.report}`")
    )
    lines = [
        f"## Promote {markdown_text(ask.subject)} over {markdown_text(champion)}?",
        f"**{markdown_text(verdict_line(asked))}**",
        "\n".join(f"- {markdown_text(sentence)}" for sentence in briefly(asked)),
        where,
        f"Without an answer until {ask.told['until']} UTC nothing is promoted; `flywheel promote` "
        "does it later.",
    ]
    return "\n\n".join(filter(None, lines))


def _open(settings: Settings) -> list[AuditRow]:
    if not store_exists(settings):
        return []
    with open_store(settings, read_only=True) as store:
        return open_asks(read_audit(store))


def _close(settings: Settings, action: str, ask: AuditRow, by: str, why: str) -> None:
    details = {"run_id": ask.told["run_id"], "verdict": ask.told["verdict"], "why": why}
    with _writing(settings) as store:
        append(store, by=by, action=action, subject=ask.subject, details=details, now=utc_now())


@contextmanager
def _writing(settings: Settings) -> Iterator[Store]:
    with (
        open_store(settings, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        yield store
