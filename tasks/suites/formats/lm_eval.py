"""Samples of lm-eval (`--log_samples`): samples_TASK_TIME.jsonl, a line a sample and filter.

The question is the request as it was made, examples and all. A sample that chooses among
continuations is one for a suite that chooses (lm_eval_choices.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.curate.modes import GENERATE
from tasks.logs.formats.results_of_others import is_lm_eval_sample
from tasks.referee.files import ResultFile
from tasks.referee.formats.lm_eval import task_of
from tasks.suites.formats.lm_eval_choices import (
    AGAINST,
    OF_CHOICES,
    Reading,
    choice_item,
    is_choice,
    reading_of,
)
from tasks.suites.imported import Imported, Item, LeftOut, final_number, joined

FORMAT = "lm-eval"
_SCORERS: Mapping[str, str] = {
    "exact_match": "exact_match", "acc": "exact_match", "acc_norm": "exact_match",
    "contains": "includes", "f1": "token_f1", "rougeL": "rouge_l", "rougeLsum": "rouge_l",
    "bleu": "bleu", "chrf": "chrf", "em": "exact_match",
}  # fmt: skip


def read(file: ResultFile) -> Imported:
    left_out = LeftOut()
    items: dict[str, Item | None] = {}
    filters: dict[str, None] = {}
    requests = ((line, _requests(line.get("arguments"))) for _, line in file.lines)
    reading = reading_of(one for one in requests if is_choice(one[1]))
    for number, line in file.lines:
        if not is_lm_eval_sample(line):
            raise file.refused("is no sample of lm-eval: doc_id or filtered_resps lacks", number)
        filters.setdefault(str(line.get("filter") or "none"))
        where = f"{file.path}:{number}"
        key = str(line["doc_id"])
        if key not in items:  # else another filter of the same answer
            items[key] = _item(file, line, reading, where, number, left_out)
    made = [item for item in items.values() if item is not None]
    notes = []
    if any(item.mode != GENERATE for item in made):
        notes.append(
            "choices are weighed by log-likelihood, as lm-eval does it: releases on the engine "
            "can, hosted ones cannot"
        )
    if made and AGAINST in left_out.places:
        notes.append(
            "of some samples acc speaks against the target, so the targets of the others may agree "
            "with it by chance: look at them before they decide"
        )
    if set(filters) != {"none"}:
        notes.append(
            f"lm-eval read answers by filters ({', '.join(filters)}), which a suite does not have: "
            "the scorer reads the whole answer; see numeric, or regex with a pattern"
        )
    name = task_of(file) or file.stem
    return Imported(FORMAT, name, str(file.path), tuple(made), left_out, tuple(notes))


def _item(
    file: ResultFile,
    line: Mapping[str, Any],
    reading: Reading | None,
    where: str,
    number: int,
    left_out: LeftOut,
) -> Item | None:
    """None where it cannot be asked, which is told."""
    requests = _requests(line.get("arguments"))
    if not requests or not isinstance(requests[0][0], str):
        raise file.refused("its arguments hold no request", number, repr(line.get("arguments")))
    metrics = line.get("metrics")
    metrics = map(str, metrics) if isinstance(metrics, list) else (k for k in _SCORERS if k in line)
    metrics = list(metrics)
    told: dict[str, Any] = {"id": str(line["doc_id"]), **_asked(requests[0][0])}
    chooses = is_choice(requests)
    for metric in metrics:
        if metric not in (OF_CHOICES if chooses else _SCORERS):
            left_out.add(f"metric {metric} has no scorer here", where)
    if chooses:
        return choice_item(told, requests, line, metrics, reading, where, left_out)
    target = line.get("target")
    if (last := final_number(target)) is not None:
        return Item(where, {**told, "target": last}, "numeric")
    known = [_SCORERS[metric] for metric in metrics if metric in _SCORERS]
    return Item(where, {**told, "target": joined(target)}, known[0] if known else "")


def _requests(arguments: Any) -> list[Sequence[Any]]:
    """The requests of a sample, each its arguments: of 0.4.3 and later a table, before a list."""
    if isinstance(arguments, dict):
        found = [
            [one[key] for key in sorted(one)] if isinstance(one, dict) else one
            for one in arguments.values()
        ]
    else:
        found = arguments if isinstance(arguments, list) else []
    return [[_context(one[0]), *one[1:]] for one in found if isinstance(one, list | tuple) and one]


def _context(given: Any) -> Any:
    """Of APIs a conversation is a list that holds its JSON text; of later versions its messages."""
    if not isinstance(given, list) or not given:
        return given
    return json.dumps(given) if isinstance(given[0], dict) else given[0]


def _asked(prompt: str) -> dict[str, Any]:
    """With a chat template it may be the JSON of its messages."""
    if prompt.startswith("[{"):
        try:
            messages = json.loads(prompt)
        except (ValueError, RecursionError):
            return {"input": prompt}
        if all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in messages):
            return {"messages": [{key: one[key] for key in ("role", "content")}
                                 for one in messages]}  # fmt: skip
    return {"input": prompt}
