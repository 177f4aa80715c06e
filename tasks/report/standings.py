"""All releases of a run side by side, best first: what pages and terminal show of several
challengers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.model.answer import Role
from tasks.model.verdict import Rank, RecordedVerdict

#: what stands for all gating suites together
ALL_SUITES = ""


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One release; `verdict` is empty of the champion, `means` are in the order of the suites, None
    where nothing is known."""

    role: Role
    name: str
    verdict: str
    rank: str
    means: tuple[float | None, ...]


def suites_of(ranking: Sequence[Rank]) -> tuple[str, ...]:
    """The gating suites, by name."""
    return tuple(dict.fromkeys(rank.suite for rank in ranking if rank.suite != ALL_SUITES))


def standings(
    names: Mapping[Role, str], verdicts: Mapping[Role, RecordedVerdict], ranking: Sequence[Rank]
) -> tuple[ReleaseRow, ...]:
    """In the order of the ranking over all gating suites; none where there is one challenger, of
    which the verdict says all."""
    if len(verdicts) < 2:
        return ()
    known = {(rank.suite, rank.role): rank for rank in ranking}
    ordered = [rank.role for rank in ranking if rank.suite == ALL_SUITES] or list(names)
    rows = []
    for role in ordered:
        rank = known.get((ALL_SUITES, role))
        of_suites = [known.get((suite, role)) for suite in suites_of(ranking)]
        rows.append(
            ReleaseRow(
                role=role,
                name=names[role],
                verdict=verdicts[role].verdict if role in verdicts else "",
                rank=rank_text(rank),
                means=tuple(None if one is None else one.mean for one in of_suites),
            )
        )
    return tuple(rows)


def rank_text(rank: Rank | None) -> str:
    """2, or 1–3 where it may be any of them."""
    if rank is None:
        return "–"
    return str(rank.low) if rank.low == rank.high else f"{rank.low}–{rank.high}"
