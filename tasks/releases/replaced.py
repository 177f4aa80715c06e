"""What a release's prompt does to the system messages that calls came with. Pure.

A prompt takes the place of the call's own system message, and of nothing else: its messages, tools
and template arguments stay. That is meant where the prompt is another version of that message, and
seldom where one prompt takes the place of several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.model.sample import Asked
from tasks.releases.prompts import DEFAULT, PromptSet


@dataclass(frozen=True, slots=True)
class Replaced:
    """Of the samples of a suite: how many have a system message that this prompt takes the place
    of, and how many different ones those are."""

    suite: str
    prompt: str
    num_samples: int
    num_replaced: int
    num_kinds: int

    @property
    def is_doubtful(self) -> bool:
        """One prompt for what was asked under several."""
        return self.num_kinds > 1


def replaced(prompts: PromptSet, asked: Iterable[Asked]) -> Iterator[Replaced]:
    """By suite and prompt, in order; only where anything is replaced."""
    total: Counter[tuple[str, str]] = Counter()
    own: dict[tuple[str, str], Counter[str]] = {}
    for one in asked:
        if not prompts.covers(one.task):
            continue
        prompt = prompts.prompt(one.task)
        named = one.task if one.task in prompts.by_task and one.task is not None else DEFAULT
        key = one.suite, named
        total[key] += one.num_samples
        if prompt is None or one.system is None:
            continue
        told = next((turn.content for turn in prompt if turn.role == "system"), "")
        system = " ".join(one.system.split())
        if system != " ".join(told.split()):
            own.setdefault(key, Counter())[system] += one.num_samples
    for key, kinds in sorted(own.items()):
        yield Replaced(*key, total[key], kinds.total(), len(kinds))


def sentences(release: str, prompts: PromptSet, asked: Iterable[Asked]) -> list[str]:
    """One a suite and prompt; what is doubtful says what to do. A prompt that is named for the task
    and takes the place of one message is that message's next version: nothing to tell."""
    told = []
    for part in replaced(prompts, asked):
        if part.prompt != DEFAULT and not part.is_doubtful:
            continue
        share = f"{part.num_replaced:,} of {part.num_samples:,} samples"
        what = f"suite {part.suite}: the prompt {part.prompt!r} of release {release!r} takes the "
        if part.is_doubtful:
            told.append(
                f"{what}place of {part.num_kinds:,} different system messages, in {share}: it was "
                "hardly made for all of them; give each task a prompt of its own, or as_logged = "
                "true (docs/served.md)"
            )
        else:
            told.append(f"{what}place of the system message of {share}")
    return told
