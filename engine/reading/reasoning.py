"""What a model thinks before it answers, apart from the answer.

One way of writing it is read, that of Qwen 3, DeepSeek R1 and what was distilled from it: <think>
and </think> around it, at the beginning. R1's templates end the prompt with <think>, so that an
answer may begin inside. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Thought", "answer_in", "begins_inside", "certain", "read", "split"]

_OPENS, _CLOSES = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Thought:
    """`reasoning` None: there is none. `answer`: what comes after it; empty where it never ends."""

    reasoning: str | None
    answer: str


def begins_inside(prompt: str) -> bool:
    return prompt.rstrip().endswith(_OPENS)


def read(text: str, *, inside: bool = False) -> Thought:
    """`inside`: the prompt has begun it."""
    opened = text.lstrip()
    if opened.startswith(_OPENS):
        opened = opened.removeprefix(_OPENS)
    elif not inside:
        return Thought(None, text)
    thought, closes, answer = opened.partition(_CLOSES)
    return Thought(thought.strip("\n"), answer.lstrip("\n") if closes else "")


def answer_in(text: str) -> str:
    """Of a whole text of which nobody knows how its prompt ended: one that closes what it has not
    opened began inside."""
    return read(text, inside=_CLOSES in text).answer


def split(text: str) -> tuple[str, str]:
    """The same, and all that stands before it."""
    answer = answer_in(text)
    return text[: len(text) - len(answer)], answer


def certain(text: str, *, inside: bool = False) -> Thought:
    """As much of both as stays as it is, whatever comes after the text."""
    begins = text.lstrip()
    if not inside and len(begins) < len(_OPENS) and _OPENS.startswith(begins):
        return Thought(None, "")
    found = read(text, inside=inside)
    if found.reasoning is None or _CLOSES in text:
        return found
    if inside and _OPENS.startswith(begins):
        return Thought("", "")
    return Thought(_without_end(found.reasoning), "")


def _without_end(text: str) -> str:
    """Without what may be the beginning of the mark that ends it, and blanks before that."""
    for length in range(min(len(_CLOSES) - 1, len(text)), 0, -1):
        if _CLOSES.startswith(text[-length:]):
            text = text[:-length]
            break
    return text.rstrip("\n")
