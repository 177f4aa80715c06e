"""Suite samples and logged calls in one form, among which duplicates are looked for. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tasks.curate.evalset import Draft
from tasks.curate.normalize import conversation_text, normalize, text_digest
from tasks.curate.select import length_band
from tasks.curate.targets import TargetResolver
from tasks.model.canonical import canonical_json
from tasks.model.logged_call import LoggedCall


@dataclass(frozen=True, slots=True)
class Item:
    """A suite sample or a call on its way. `scope`: only items of one scope are duplicates."""

    text: str
    scope: str
    draft: Draft | None
    call: LoggedCall | None


def suite_item(sample: Draft) -> Item:
    slices = {"origin": "suite", "task": sample.task or "", **sample.slices}
    text = conversation_text(sample.conversation.messages)
    scope = _of_step(f"task {sample.task}", sample.step)
    draft = Draft(  # in half the time of dataclasses.replace
        suite=sample.suite,
        task=sample.task,
        conversation=sample.conversation,
        target=sample.target,
        target_kind=sample.target_kind,
        origin=sample.origin,
        slices=slices,
        must_pass=sample.must_pass,
        request_id=sample.request_id,
        cluster=sample.cluster,
        weight=sample.weight,
        num_draws=sample.num_draws,
        stratum=sample.stratum,
        is_counted=sample.is_counted,
        session=sample.session,
        step=sample.step,
    )
    return Item(text, scope, draft, None)


def call_item(call: LoggedCall, resolver: TargetResolver) -> Item:
    text = conversation_text(call.conversation.messages)
    target = resolver.resolve(call, text)
    task = call.task if target is None else target.task
    draft = None
    if target is not None:
        origin = "failure" if call.is_failure else "traffic"
        draft = Draft(
            suite=target.suite,
            task=task,
            conversation=call.conversation,
            target=target.text,
            target_kind=target.kind,
            origin=origin,
            slices={
                "origin": origin,
                "task": task or "(none)",
                "length": length_band(len(text)),
                **({} if call.step is None else {"step": str(call.step)}),
            },
            request_id=call.request_id,
            session=None if call.step is None else call.session_id,
            step=call.step,
        )
    # without a task, the system message is what says which question this is
    system = text_digest(normalize(call.conversation.system or ""))
    scope = f"system {system}" if task is None else f"task {task}"
    return Item(text, _of_step(scope, call.step), draft, call)


def _of_step(scope: str, step: int | None) -> str:
    """Two steps of a session are alike by what came before them, and are two questions."""
    return scope if step is None else f"{scope} step {step}"


def known_answers(items: Sequence[Item]) -> dict[str, set[tuple[str, str]]]:
    """Text → the right answers that people gave to it, by scope. Not what production answered:
    another wording of its answer does not make another question."""
    answers: dict[str, set[tuple[str, str]]] = {}
    comparable = cache(_comparable)
    for item in items:
        if item.draft is not None and item.draft.target_kind not in ("logged", "recorded"):
            answers.setdefault(item.text, set()).add((item.scope, comparable(item.draft.target)))
    return answers


def _comparable(target: str) -> str:
    try:
        value = json.loads(target)
    except (ValueError, RecursionError):
        return normalize(target)
    return normalize(canonical_json(value))
