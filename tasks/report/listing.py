"""The samples of a page: which of them, in which order, and by what they can be filtered. Pure."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.model.answer import OUTCOMES, ROLES, JudgedSample
from tasks.model.sample import Sample
from tasks.model.turn import Turn
from tasks.report.differences import Piece, word_difference
from tasks.report.flips import in_order
from tasks.report.wording import message_text, shortened

MAX_SAMPLES = 5_000
#: of all texts together, as they stand on the page
MAX_CHARS = 8_000_000
MAX_TEXT_CHARS = 1_200
_MAX_SLICES = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """`samples`: what the page holds of `num_selected`, the first `num_open` of them open.
    `outcomes`, `suites` and `slices`: what they can be filtered by, each with its number."""

    samples: tuple[JudgedSample, ...]
    num_open: int
    num_selected: int
    outcomes: tuple[tuple[str, int], ...]
    suites: tuple[tuple[str, int], ...]
    slices: tuple[tuple[str, int], ...]
    num_more_slices: int

    @property
    def num_left_out(self) -> int:
        return self.num_selected - len(self.samples)


def listing(
    judged: Sequence[JudgedSample],
    *,
    first: Sequence[JudgedSample] = (),
    num_selected: int | None = None,
) -> Listing:
    """`first`: those of them that come first and open; none: the order is as it is, all open."""
    ids = {item.sample.sample_id for item in first}
    others = [item for item in judged if item.sample.sample_id not in ids]
    ordered = [*first, *in_order(others)] if first else others
    chosen: list[JudgedSample] = []
    room = MAX_CHARS
    for item in ordered[:MAX_SAMPLES]:
        room -= _num_chars(item)
        if room < 0:
            break
        chosen.append(item)
    outcomes = Counter(item.outcome for item in chosen)
    suites = Counter(item.sample.suite for item in chosen)
    slices = Counter(
        f"{key}={value}" for item in chosen for key, value in item.sample.slices.items()
    )
    reworded = sum(item.is_reworded for item in chosen)
    return Listing(
        samples=tuple(chosen),
        num_open=min(len(first) or 100, len(chosen)),
        num_selected=len(judged) if num_selected is None else num_selected,
        outcomes=(
            *((name, outcomes[name]) for name in OUTCOMES if outcomes[name]),
            *((("reworded", reworded),) if reworded else ()),
        ),
        suites=tuple(sorted(suites.items())),
        slices=tuple(sorted(slices.most_common(_MAX_SLICES))),
        num_more_slices=max(0, len(slices) - _MAX_SLICES),
    )


def show_command(turn: Turn) -> str:
    """The command that shows all samples of a turn of one challenger, whatever their number."""
    if turn.is_of_others:  # no store holds them
        return shlex.join([*turn.request["command"], "--csv"])
    words = ["flywheel", "show", turn.run_id, "--csv"]
    if len(turn.request.get("challengers") or ()) > 1:
        words += ["--challenger", turn.releases["challenger"].name]
    return shlex.join(words)


def sample_slices(sample: Sample) -> str:
    """The slices it is in, as the script of a page reads them."""
    return json.dumps([f"{key}={value}" for key, value in sample.slices.items()])


def word_differences(item: JudgedSample) -> dict[str, tuple[tuple[Piece, ...], int]]:
    """Role → the first of its answers in pieces, and how many characters are left out."""
    texts = [shortened(item.answers[role][0].text or "", MAX_TEXT_CHARS) for role in ROLES]
    pieces = word_difference(texts[0][0], texts[1][0])
    return {
        role: (own, left_out) for role, own, (_, left_out) in zip(ROLES, pieces, texts, strict=True)
    }


def _num_chars(item: JudgedSample) -> int:
    texts = [message_text(item.sample.messages), item.sample.target]
    texts += [item.answers[role][0].text or "" for role in ROLES]
    return sum(min(len(text), MAX_TEXT_CHARS) for text in texts)
