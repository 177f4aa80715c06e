"""What to show of a bad value: short, on one line, with secrets and personal data masked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

MAX_SHOWN_CHARS = 200


def shown(
    columns: Sequence[str],
    values: Sequence[str | None],
    mask: Callable[[str], str],
    hidden: Set[str] = frozenset(),
) -> str:
    """One text for the values a rule looked at: `3`, or `input_tokens=3, cached_tokens=9`.

    Masked before it is shortened, so that no half of a secret is left standing at the cut.
    `hidden`: columns whose values are not shown.
    """
    texts = [
        "NULL" if value is None
        else "(not shown)" if name in hidden
        else " ".join(mask(value).split()) or "(blank)"
        for name, value in zip(columns, values, strict=True)
    ]  # fmt: skip
    if len(texts) > 1:
        texts = [f"{name}={text}" for name, text in zip(columns, texts, strict=True)]
    text = ", ".join(texts)
    if len(text) <= MAX_SHOWN_CHARS:
        return text
    return f"{text[: MAX_SHOWN_CHARS - 1]}… ({len(text)} characters)"
