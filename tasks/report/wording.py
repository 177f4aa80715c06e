"""Numbers and texts as people read them, on terminals, in sentences and on pages alike: scores in
percent, differences and margins in percentage points. JSON has them as they are, 0 to 1.

Nothing is cut without a visible mark, and what could not be computed shows as a dash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.model.answer import Answer
from tasks.model.comparison import Interval
from tasks.model.guardrail import GuardrailRule
from tasks.model.health import Flag
from tasks.model.sample import Sample
from tasks.model.turn import Turn
from tasks.statistics.repeats import Noise

NOTHING = "–"
#: answers a sample for which it is said what they would bring
OTHER_REPEATS = (1, 2, 4, 8, 16)

#: verdict → what follows from it, as one reads it after the verdict itself
FOLLOWS: Mapping[str, str] = {
    "better": "the challenger may ship",
    "no_worse": "the challenger may ship",
    "worse": "the challenger must not ship",
    "cannot_tell": "not a pass",
    "blocked": "the challenger fails what must pass",
}

#: verdict → (what it means, may the challenger ship)
MEANING: Mapping[str, tuple[str, str]] = {
    "better": ("is better", "It may ship."),
    "no_worse": ("is no worse", "It may ship."),
    "worse": ("is worse", "It must not ship."),
    "cannot_tell": ("cannot be told apart", "This is not a pass: it must not ship yet."),
    "blocked": ("fails what must pass", "It must not ship."),
}

#: what is found of a sample → as people say it
FLAGS: Mapping[Flag, str] = {
    "negative": "better releases do worse",
    "always_wrong": "all wrong",
    "flaky": "flaky",
    "always_right": "all right",
}

#: what became of a sample → as people say it
OUTCOME_NAMES: Mapping[str, str] = {
    "lost": "lost",
    "won": "won",
    "unscored": "not scored",
    "both_failed": "both failed",
    "same": "same score",
    "reworded": "wording only",
}

#: verdict → what a terminal says of it
VERDICTS: Mapping[str, str] = {
    "better": "BETTER: the challenger may ship",
    "no_worse": "NO WORSE: the challenger may ship",
    "worse": "WORSE: the challenger must not ship",
    "cannot_tell": "CANNOT TELL: not a pass",
    "blocked": "BLOCKED: the challenger fails what must pass",
}


def headline(turn: Turn) -> tuple[str, str]:
    """What was found, and what follows from it."""
    meaning, consequence = MEANING[turn.verdict.verdict]
    challenger, champion = (turn.releases[role].name for role in ("challenger", "champion"))
    if turn.verdict.verdict == "cannot_tell":
        return f"{challenger} and {champion} {meaning}", consequence
    if turn.verdict.verdict == "blocked":
        return f"{challenger} {meaning}", consequence
    return f"{challenger} {meaning} than {champion}", consequence


def label(verdict: str) -> str:
    """Within a sentence or a table: no worse."""
    return verdict.replace("_", " ")


def heading(verdict: str) -> str:
    """Where it is the first that one reads: NO WORSE."""
    return label(verdict).upper()


def conclusion(verdict: str) -> str:
    """NO WORSE: the challenger may ship."""
    return f"{heading(verdict)}: {FOLLOWS[verdict]}"


def run_name(challengers: Sequence[str], champion: str, verdict: str | None = None) -> str:
    """What a run is called wherever runs are listed; the challenger that it came to is first."""
    leading, *others = challengers
    several = f" (of {1 + len(others)})" if others else ""
    decided = f" · {heading(verdict)}" if verdict else ""
    return f"{leading}{several} vs {champion}{decided}"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}%"


def share(value: float | None) -> str:
    """A part of a whole; it may be negative."""
    return NOTHING if value is None else f"{round(100 * value)}%".replace("-", "−")


def points(value: float | None) -> str:
    """A difference in percentage points, always with its sign."""
    if value is None:
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def margin(value: float) -> str:
    """As it was declared, in percentage points: 8, or 2.5."""
    return f"{100 * value:.4g}"


def unsigned_points(value: float | None) -> str:
    """A width or a margin in percentage points; what is less than a tenth keeps one digit."""
    if value is None:
        return NOTHING
    return f"{100 * value:.1f}" if not value or abs(value) >= 0.001 else f"{100 * value:.1g}"


def relative(ratio: float | None) -> str:
    """How much more or less than the whole, always with its sign: +12.3%."""
    if ratio is None:
        return NOTHING
    if ratio == math.inf:
        return "no bound"
    text = f"{100 * (ratio - 1):+.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text


def relative_interval(ends: Interval | None) -> str:
    return NOTHING if ends is None else f"{relative(ends.low)} to {relative(ends.high)}"


def measured(value: float | None, rule: GuardrailRule) -> str:
    """The mean of one answer; money of a thousand, as one costs too little to be read."""
    if value is None:
        return NOTHING
    if rule.measure == "cost":
        return mean_cost(value, rule.unit)
    return f"{value:,.1f} {rule.measure.replace('_', ' ')}"


def mean_cost(value: float | None, currency: str) -> str:
    """Of one answer; of a thousand, as one costs too little to be read."""
    return NOTHING if value is None else f"{1000 * value:.4g} {currency} for 1,000 answers"


def money(value: float | None, currency: str) -> str:
    """With four digits: prices of 1,000 requests go from fractions of a cent to hundreds."""
    return NOTHING if value is None else f"{value:.4g} {currency}"


def seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} s"


def mean_tokens(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def interval(ends: Interval | None, *, signed: bool = False) -> str:
    if ends is None:
        return NOTHING
    if signed:
        return f"{points(ends.low)} to {points(ends.high)}"
    return f"{100 * ends.low:.1f} to {100 * ends.high:.1f}"


def with_interval(value: float | None, ends: Interval | None, *, signed: bool = False) -> str:
    """A share in per cent or points, and the ends of its interval."""
    text = points(value) if signed else percent(value)
    return text if ends is None else f"{text} [{interval(ends, signed=signed)}]"


def age(hours: float) -> str:
    """Of what is so old, in whole hours or days."""
    if hours < 1:
        return "less than an hour ago"
    if hours < 48:
        return f"{int(hours)} hour{'' if hours < 2 else 's'} ago"
    return f"{int(hours // 24)} days ago"


def since(moment: datetime, now: datetime) -> str:
    """How long ago it was; a moment that is still to come is now."""
    return age((now - moment).total_seconds() / 3600)


def count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}".replace(",", " ")


def shortened(text: str, limit: int) -> tuple[str, int]:
    """The text within `limit` characters, and how many characters are left out (0: none)."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def message_text(messages: tuple[Mapping[str, Any], ...]) -> str:
    """The input of a sample: its last user message plain, longer conversations with roles."""
    if len(messages) == 1:
        return content_text(messages[0].get("content"))
    return "\n".join(f"[{m.get('role', '?')}] {content_text(m.get('content'))}" for m in messages)


def repeats(suite: str, noise: Noise) -> str:
    """How much of a suite's uncertainty is sampling, and what other numbers of answers would do."""
    others = [number for number in OTHER_REPEATS if number != noise.num_repeats]

    def error(number: float) -> str:
        return unsigned_points(noise.standard_error(number))

    errors = ", ".join(f"{number}: {error(number)}" for number in others)
    text = (
        f"suite {suite}: of the squared standard error of the difference {percent(noise.share)} is "
        f"the releases' own sampling ({noise.num_repeats} answers a sample, {noise.num_samples} "
        f"samples). Standard error now {error(noise.num_repeats)} points; by "
        f"answers a sample, {errors}, any number: {error(math.inf)}. As "
        f"good as {round(noise.samples_asked_once):,} samples with one answer each."
    )
    enough = noise.enough_repeats
    if enough is None:
        return f"{text} The samples' own part is lost in the noise: repeats help, for all one sees."
    number = math.ceil(enough)
    when = "Already with one answer" if number <= 1 else f"From {number} answers on"
    return f"{text} {when}, twice the samples would bring more than any number of repeats."


def question(sample: Sample, limit: int) -> tuple[str, int]:
    """The beginning of what is asked, on one line: of the last message of a user, else of the last;
    and how many characters are left out."""
    asked = [message for message in sample.messages if message.get("role") == "user"]
    message = (asked or [*sample.messages] or [{}])[-1]
    return shortened(" ".join(content_text(message.get("content", "")).split()), limit)


def without_score(answer: Answer) -> str | None:
    """Why an answer has no score, or none by its text; None where it has one."""
    if answer.is_failed:
        reason = answer.unscored_reason or answer.error or "nobody knows why"
        return f"failed through the release's own fault, counts 0: {reason}"
    if answer.value is not None:
        return None
    reason = answer.unscored_reason or answer.error or "nobody knows why"
    return f"{'missing' if answer.is_missing else 'not scored'}, counts for no release: {reason}"


def content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        if parts and all(isinstance(part, str) for part in parts):
            return "\n".join(str(part) for part in parts)
    return json.dumps(content, ensure_ascii=False)
