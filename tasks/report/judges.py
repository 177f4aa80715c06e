"""What is told of a judge: in sentences beside a verdict, and as the rows of a card. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tasks.model.comparison import Interval
from tasks.model.judge import Agreed, JudgeCard, Rate
from tasks.model.verdict import SuiteResult
from tasks.model.visible import one_line
from tasks.report.wording import points

_NONE = "–"


def informing_sentences(suites: Sequence[SuiteResult]) -> Iterator[str]:
    """Suites that were declared to decide, and whose judge may not."""
    for suite in suites:
        card = suite.judge
        if card is not None and not card.can_gate and card.declared_role != "report":
            yield (
                f"suite {suite.rule.name} does not decide: its judge {card.name} informs only, "
                f"because {'; '.join(card.why_not)}."
            )


def judge_sentences(suite: SuiteResult) -> Iterator[str]:
    """How good the judge of a suite is."""
    card = suite.judge
    if card is None or not card.kind:
        return
    told = [f"kappa with people {_kappa(card.people)}"] if card.people.num_items else []
    told.append(f"{card.unread_ratio:.1%} of {card.num_asked:,} answers not readable")
    if card.flips.total:
        told.append(f"the order changes {_rate(card.flips)}")
    yield f"suite {suite.rule.name}: judge {card.name}, {card.kind}: {', '.join(told)}."
    if card.same_model:
        more = ""
        if card.self_preference is not None:
            more = f": {points(card.self_preference)} points more than people, by the labels"
        yield (
            f"suite {suite.rule.name}: the judge is of the same model as "
            f"{' and '.join(card.same_model)}, and may prefer what is like itself{more}."
        )
    for role, both in card.predicted.items():
        low, high = (points(end) for end in (both.interval.low, both.interval.high))
        yield (
            f"suite {suite.rule.name}: by judge and {both.num_labelled} labelled samples together, "
            f"the {role} is {points(both.difference)} points, {low} to {high} (by the judge alone "
            f"{points(both.by_judge)}); it passes only where this lies above the margin too."
        )


def card_note(card: JudgeCard) -> str:
    """The card in Markdown, of which no part is taken for a mark."""
    decides = "may decide" if card.can_gate else "informs and does not decide"
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in card_rows(card)]
    head = f"**Judge {_cell(card.name)} {decides}.**"
    return "\n".join([head, "", "| measured | |", "| --- | --- |", *rows])


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~])", r"\\\1", one_line(text))


def card_rows(card: JudgeCard) -> list[tuple[str, str]]:
    """Name and value of all that was measured."""
    rows = [
        ("judge", f"{card.name}, {card.kind}"),
        ("version", card.version),
        ("models", ", ".join(card.models) or _NONE),
        ("may gate", "yes" if card.can_gate else f"no: {'; '.join(card.why_not)}"),
        ("kappa with people", _kappa(card.people)),
        ("accuracy", _share(card.people.accuracy, card.people.accuracy_interval)),
        ("parse failures", f"{card.num_unread:,} of {card.num_asked:,} ({card.unread_ratio:.1%})"),
        ("answers lost", f"{card.num_lost:,}"),
    ]
    if card.kind == "pairwise":
        rows += [
            ("flip rate", _rate(card.flips)),
            ("first shown wins", _rate(card.first_wins)),
            ("longer wins", f"{_rate(card.longer_wins)}{_by_people(card, 'longer_wins')}"),
        ]
    else:
        by_people = _by_people(card, "length_correlation")
        rows.append(("length and score", f"{_number(card.length_correlation)}{by_people}"))
    rows.append(("of the same model", ", ".join(card.same_model) or "none"))
    if card.self_preference is not None:
        rows.append(("self-preference", f"{points(card.self_preference)} points"))
    if card.overlap is not None:
        rows.append(("with the version before", f"{_kappa(card.overlap)}, {card.earlier}"))
    cost = "" if card.cost is None else f", {card.cost:.4g} {card.currency}"
    rows.append(("tokens", f"{card.input_tokens:,} in, {card.output_tokens:,} out{cost}"))
    return rows


def _kappa(agreed: Agreed) -> str:
    if not agreed.num_items:
        return "no labels"
    ends = _ends(agreed.kappa_interval, "{:.2f}")
    return f"{_number(agreed.kappa)}{ends} on {agreed.num_items:,} items"


def _rate(rate: Rate) -> str:
    return f"{_share(rate.share, rate.interval)} of {rate.total:,}" if rate.total else _NONE


def _share(share: float | None, interval: Interval | None) -> str:
    return _NONE if share is None else f"{share:.1%}{_ends(interval, '{:.1%}')}"


def _ends(interval: Interval | None, form: str) -> str:
    if interval is None:
        return ""
    # no minus before what is shown as nothing
    ends = (form.format(round(end, 9) + 0.0) for end in (interval.low, interval.high))
    return f" [{' to '.join(ends)}]"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _by_people(card: JudgeCard, name: str) -> str:
    value = card.by_people.get(name)
    if value is None:
        return ""
    return f"; by people {value:.1%}" if name == "longer_wins" else f"; by people {value:.2f}"
