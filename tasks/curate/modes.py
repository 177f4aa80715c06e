"""What a suite asks a release for: an answer, a choice between texts, or how likely a text is.

    generate    the release writes an answer, and a scorer reads it
    choose      {"input": …, "choices": ["Oslo", "Rome"], "target": "Oslo"}: the choice that the
                model holds most likely is its answer. The target is a choice, by its text or by its
                place from 0 on. Choices follow the prompt as they are, blanks included
    perplexity  {"input": …, "target": "a text"}: how likely the model holds the target

A raw template is none: the messages' texts are the prompt, as base models and the tasks of
lm-evaluation-harness expect it. What a sample is asked is part of it, so all of this is in its id;
a sample of the default mode has the id it always had. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tasks.curate.evalset import Draft
from tasks.json_lines import bad_line
from tasks.model.canonical import well_formed
from tasks.model.served import Served
from tasks.settings.sections import SuiteSettings

_MIN_CHOICES = 2


@dataclass(frozen=True, slots=True)
class Mode:
    """`name`: generate, choose or perplexity."""

    name: str = "generate"
    is_raw: bool = False


GENERATE = Mode()


def mode_of(suite: SuiteSettings) -> Mode:
    return Mode(suite.mode, suite.template == "raw")


def in_mode(draft: Draft, record: Mapping[str, Any], mode: Mode, where: str) -> Draft:
    """What the suite line is asked in this mode. Raises UsageError on a line that cannot be."""
    if "choices" in record and mode.name != "choose":
        raise bad_line(
            'choices of a suite line are for a suite with mode = "choose"', where,
            f'mode = "{mode.name}"', 'mode = "choose" in flywheel.toml, or no choices',
        )  # fmt: skip
    if mode == GENERATE:
        return draft
    if draft.session is not None:
        raise bad_line(
            "a session of a suite line is answered", where, f'mode = "{mode.name}"',
            'mode = "generate" and template = "chat"',
        )  # fmt: skip
    served, target = draft.conversation.served, draft.target
    if mode.is_raw:
        _refuse_template(draft, where)
    if mode.name == "choose":
        choices = _choices(record, where)
        target = _target(record["target"], choices, where)
        served = replace(served, choices=choices)
    elif mode.name == "perplexity":
        if not isinstance(record["target"], str):
            raise bad_line(
                "the target of a suite line is no text, and its likelihood is asked for", where,
                repr(record["target"])[:80], "a text",
            )  # fmt: skip
        served = replace(served, choices=(target,))
    served = replace(served, is_raw=mode.is_raw)
    return replace(draft, target=target, conversation=replace(draft.conversation, served=served))


def _refuse_template(draft: Draft, where: str) -> None:
    served: Served = draft.conversation.served
    is_plain = all(isinstance(m.get("content"), str) for m in draft.conversation.messages)
    is_guided = bool(served.answer_format or served.tool_choice)
    if served.tools or served.template or served.continues or is_guided or not is_plain:
        raise bad_line(
            'a suite line needs a chat template, and the suite has template = "raw"', where,
            "tools, chat_template_kwargs, continue_final_message, response_format, or a message "
            "that is no text",
            "messages of text alone",
        )  # fmt: skip


def _choices(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    given = record.get("choices")
    texts = given if isinstance(given, list) else []
    if (
        len(texts) < _MIN_CHOICES
        or not all(isinstance(text, str) and text.strip() for text in texts)
        or len({text.strip() for text in texts}) < len(texts)
    ):
        raise bad_line(
            "a suite line has nothing to choose from", where, repr(given)[:80],
            '"choices": two texts or more, none of them twice',
        )  # fmt: skip
    return tuple(well_formed(text) for text in texts)


def _target(given: Any, choices: tuple[str, ...], where: str) -> str:
    """The choice as it stands there; blanks around a text do not matter."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(choices):
        return choices[given]
    if isinstance(given, str):
        for choice in choices:
            if choice.strip() == well_formed(given).strip():
                return choice
    raise bad_line(
        "the target of a suite line is none of its choices", where, repr(given)[:80],
        f"one of the texts, or a place from 0 to {len(choices) - 1}",
    )  # fmt: skip
