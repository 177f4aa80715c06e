"""Messages as texts by role, for APIs that do not take OpenAI's form. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.backends.hosted.trouble import Trouble, TroubleError


@dataclass(frozen=True, slots=True)
class Plain:
    """`turns`: role (user or assistant) and text, neighbours never of one role."""

    system: str
    turns: tuple[tuple[str, str], ...]


def plain(messages: Sequence[Mapping[str, Any]]) -> Plain:
    """Raises TroubleError on what is more than text: tools, images."""
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    for message in messages:
        role, text = message["role"], text_of(message)
        if role in ("system", "developer"):
            system.append(text)
        elif role not in ("user", "assistant"):
            raise _untranslated(f"a message of {role}")
        elif turns and turns[-1][0] == role:
            turns[-1] = role, f"{turns[-1][1]}\n\n{text}"
        else:
            turns.append((role, text))
    return Plain("\n\n".join(system), tuple(turns))


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if message.get("tool_calls"):
        raise _untranslated("calls of tools")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise _untranslated("content that is no text")
    return "\n".join(map(str, texts))


def _untranslated(what: str) -> TroubleError:
    text = f"{what} cannot be put to this API yet; openai chat takes it as it is"
    return TroubleError(Trouble("untranslated", text, "refused"))
