"""`flywheel review --mlflow`: the answers to look at in a review queue of MLflow, and back from
there what people said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.commands.ui import mlflow_page
from flows.summary import config_option
from flows.terminal import print_json
from tasks.errors import UsageError
from tasks.model.answer import ROLES, Role
from tasks.model.turn import Turn
from tasks.model.visible import one_line
from tasks.review.labels import Label, Labels, answer_digest, check_name, keep_new, read_labels
from tasks.review.queue import Pair
from tasks.settings import Settings
from tasks.tracking.links import row_id
from tasks.tracking.review_queue import Looked, Saying, bring_up_to_date
from tasks.tracking.values import MAX_TEXT_CHARS


@dataclass(frozen=True, slots=True)
class _Brought:
    new: tuple[Label, ...] = ()
    #: names that cannot be those of a file
    strange: tuple[str, ...] = ()


def review_in_mlflow(
    settings: Settings,
    turn: Turn,
    role: Role,
    pairs: Sequence[Pair],
    folder: Path,
    num_first: int,
    *,
    as_json: bool,
) -> int:
    """`turn`: of one challenger, which played `role` in the run. The first pairs in the order drawn
    of which nobody said anything come into the queue."""
    texts, num_left_out = _texts(pairs)
    brought = _Brought()

    def choose(sayings: Sequence[Saying]) -> list[Looked]:
        nonlocal brought
        brought = _bring(sayings, texts, folder)
        return _first(pairs, texts, read_labels(folder), num_first)

    names = [turn.releases[part].name for part in ("challenger", "champion")]
    name = f"{names[0]} vs {names[1]} · {turn.run_id}"
    queued = bring_up_to_date(settings, name, _children(turn, role), choose)
    if as_json:
        print_json({
            "run_id": turn.run_id, "new": len(brought.new), "queued": queued.num_queued,
            "added": queued.num_new, "not_in_mlflow": queued.num_absent,
            "left_out": num_left_out, "unread": queued.num_unread,
            "names_refused": list(brought.strange), "url_path": queued.url_path,
        })  # fmt: skip
        return 0
    people = ", ".join(sorted({label.by for label in brought.new}))
    print(one_line(f"{len(brought.new):,} new labels from MLflow{people and f', by {people}'}"))
    print(f"{queued.num_queued:,} answers in the queue, {queued.num_new:,} of them new")
    for num, why in (
        (queued.num_absent, "answers are not in MLflow: mlflow.max_rows, or they were erased"),
        (num_left_out, "pairs have repeats or long texts, which MLflow does not show one by one: "
         "flywheel review"),
        (queued.num_unread, "answers to the question are neither right nor wrong"),
        (len(brought.strange), "people have a name that cannot be one here: "
         + ", ".join(brought.strange[:5])),
    ):  # fmt: skip
        if num:
            print(one_line(f"{num:,} {why}"))
    for what, where in mlflow_page(settings, queued.url_path, config_option(settings)):
        print(one_line(f"{what}: {where}"))
    return 0


def _children(turn: Turn, role: Role) -> dict[Role, str]:
    """The runs in MLflow that hold the answers."""
    recorded = next((one for one in turn.receipts if one.stage == "record"), None)
    children: Mapping[str, str] = {} if recorded is None else recorded.notes["child_run_ids"]
    if role not in children:
        raise UsageError(
            "the run is not in MLflow, so it has no answers there",
            received=turn.run_id,
            next=f"flywheel record {turn.run_id}",
        )
    return {"champion": children["champion"], "challenger": children[role]}


def _texts(pairs: Sequence[Pair]) -> tuple[dict[Looked, tuple[str, str]], int]:
    """Answer → id of the sample and the text, of pairs that MLflow shows as they are; how many it
    does not."""
    found: dict[Looked, tuple[str, str]] = {}
    num_left_out = 0
    for pair in pairs:
        sample_id = pair.item.sample.sample_id
        said = {role: [one.text for one in pair.item.answers[role]] for role in ROLES}
        is_shown = all(
            len(texts) == 1 and len(texts[0] or "") <= MAX_TEXT_CHARS for texts in said.values()
        )
        num_left_out += not is_shown
        for role, (text, *_) in said.items() if is_shown else ():
            if text is not None:
                found[Looked(role, row_id(sample_id))] = sample_id, text
    return found, num_left_out


def _first(
    pairs: Sequence[Pair], texts: Mapping[Looked, object], labels: Labels, num: int
) -> list[Looked]:
    chosen: list[Looked] = []
    num_pairs = 0
    for pair in pairs:
        answers = [Looked(role, row_id(pair.item.sample.sample_id)) for role in ROLES]
        shown = [answer for answer in answers if answer in texts]
        if shown and pair.unlabelled(labels) and num_pairs < num:
            num_pairs += 1
            chosen += shown
    return chosen


def _bring(
    sayings: Sequence[Saying], texts: Mapping[Looked, tuple[str, str]], folder: Path
) -> _Brought:
    found: list[Label] = []
    strange: set[str] = set()
    for saying in sayings:
        if saying.answer not in texts:
            continue
        try:
            check_name(saying.by)
        except UsageError:
            strange.add(saying.by)
            continue
        sample_id, text = texts[saying.answer]
        found.append(
            Label(sample_id, answer_digest(text), saying.value, saying.by, saying.at, saying.why)
        )
    new = keep_new(folder, found, read_labels(folder))
    return _Brought(tuple(new), tuple(sorted(strange)))
