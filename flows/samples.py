"""A judged sample on a terminal: the question, both answers with where they differ, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.model.answer import ROLES, Answer, JudgedSample
from tasks.model.visible import one_line, visible
from tasks.report.also import also_scored
from tasks.report.differences import Piece, word_difference
from tasks.report.wording import OUTCOME_NAMES, message_text, percent, shortened, without_score

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_MAX_CHARS = 1_200
_MAX_SLICES = 6
#: role → how a terminal shows what the other answer does not have, and how a pipe does
_STYLES = {"champion": "red", "challenger": "green"}
_MARKS = {"champion": ("[-", "-]"), "challenger": ("{+", "+}")}


def print_sample(console: Console, item: JudgedSample, place: str) -> None:
    from rich.table import Table
    from rich.text import Text

    sample = item.sample
    named = [place, sample.suite, OUTCOME_NAMES[item.outcome]]
    named += [OUTCOME_NAMES["reworded"]] if item.is_reworded else []
    named += ["must pass"] if sample.must_pass else []
    named += [] if sample.is_counted else ["not counted"]
    slices = list(sample.slices.items())
    named += [f"{key}={value}" for key, value in slices[:_MAX_SLICES]]
    named += [f"{len(slices) - _MAX_SLICES} more slices"] if slices[_MAX_SLICES:] else []
    named.append(sample.sample_id[:12])
    console.print(Text(one_line(" · ".join(named)), style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("question", "", _plain(message_text(sample.messages)))
    grid.add_row("target", "", _plain(sample.target))
    pairs = list(zip(*(item.answers[role] for role in ROLES), strict=True))
    for number, pair in enumerate(pairs, 1):
        repeat = f" {number}/{len(pairs)}" if len(pairs) > 1 else ""
        texts = [shortened(answer.text or "", _MAX_CHARS) for answer in pair]
        pieces = word_difference(texts[0][0], texts[1][0])
        for role, answer, own, (_, left_out) in zip(ROLES, pair, pieces, texts, strict=True):
            text = _answer(role, answer, own, left_out, is_terminal=console.is_terminal)
            grid.add_row(f"{role}{repeat}", percent(answer.counted), text)
            if why := _why(answer):
                grid.add_row("", "", Text(visible(why), style="dim"))
    console.print(grid)


def _plain(text: str) -> Text:
    from rich.text import Text

    shown, left_out = shortened(text, _MAX_CHARS)
    return Text(visible(shown) + _left_out(left_out))


def _answer(
    role: str, answer: Answer, pieces: Sequence[Piece], left_out: int, *, is_terminal: bool
) -> Text:
    from rich.text import Text

    if answer.text is None:
        return Text(visible(f"(no answer: {answer.error or 'there is no completion'})"))
    if not answer.text:
        return Text("(empty)")
    return marked(role, pieces, is_terminal=is_terminal).append(_left_out(left_out))


def marked(role: str, pieces: Sequence[Piece], *, is_terminal: bool) -> Text:
    """A text with what the other one does not have: of the champion as taken out, of the challenger
    as put in."""
    from rich.text import Text

    text = Text()
    before, after = ("", "") if is_terminal else _MARKS[role]
    for piece in pieces:
        if piece.is_other:
            text.append(f"{before}{visible(piece.text)}{after}", style=_STYLES[role])
        else:
            text.append(visible(piece.text))
    return text


def _left_out(num_chars: int) -> str:
    return f" … {num_chars:,} characters more: --jsonl" if num_chars else ""


def _why(answer: Answer) -> str:
    """How the score came about, where more is known than the score."""
    told = [without_score(answer) or ""]
    if answer.finish_reason == "length":
        told.append("cut by max_tokens")
    if answer.explanation:
        told.append(f"{answer.scorer}: {answer.explanation}")
    told += [f"also {also_scored(one)}" for one in answer.also]
    return shortened("; ".join(filter(None, told)), _MAX_CHARS)[0]
