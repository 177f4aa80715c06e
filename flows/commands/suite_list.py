"""`flywheel suite list`: the suites, whose they are, and how often each has decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from flows.terminal import (
    Table,
    console,
    markdown_table,
    markdown_text,
    print_json,
    print_table,
)
from tasks.curate.cautions import reviews_due
from tasks.curate.declared import read_declared
from tasks.evidence.reuse import Reuse, reuse_of, worn_sentence
from tasks.model.visible import one_line
from tasks.settings import Settings, SuiteSettings, read_settings
from tasks.store.evals.reuse import newest_samples, read_decided_suites, shares_of_sets
from tasks.store.opening import open_store, store_exists
from tasks.suites.items import digest_of
from tasks.suites.versions import items_of

_COLUMNS = (
    "suite", "items", "digest", "owner", "purpose", "review by", "last used", "decisions",
    "challengers", "champions", "false pass at most",
)  # fmt: skip
_TEXTS = ("suite", "digest", "owner", "purpose", "review by", "last used")
_MAX_PURPOSE = 40


@dataclass(frozen=True, slots=True)
class _Suite:
    name: str
    settings: SuiteSettings
    sample_ids: tuple[str, ...]
    is_file: bool
    reuse: Reuse

    @property
    def digest(self) -> str:
        return digest_of(self.sample_ids) if self.sample_ids else ""


def list_suites(*, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    suites = list(_suites(settings))
    told = _cautions(settings, suites)
    if as_json:
        print_json(
            {
                "alpha": settings.gate.alpha,
                "suites": [_to_object(s) for s in suites],
                "cautions": told,
            }
        )
        return 0
    if not suites:
        print("no suite is declared · next: flywheel suite new NAME --from-logs")
        return 0
    print_table(console(), _table(suites))
    for sentence in told:
        print(one_line(f"caution: {sentence}"))
    print("next: flywheel items tells which items all releases get right or wrong")
    return 0


def suites_markdown(settings: Settings) -> str:
    """The same for those who look elsewhere."""
    suites = list(_suites(settings))
    told = [f"- {markdown_text(sentence)}" for sentence in _cautions(settings, suites)]
    return "\n".join([markdown_table(_table(suites)), "", *told])


def _table(suites: Sequence[_Suite]) -> Table:
    return Table(_COLUMNS, [_row(suite) for suite in suites], texts=_TEXTS)


def _cautions(settings: Settings, suites: Sequence[_Suite]) -> list[str]:
    """Of suites that have decided too often, and of those whose day of review has come."""
    alpha = settings.gate.alpha
    worn = [worn_sentence(s.name, s.reuse, alpha) for s in suites if s.reuse.is_worn]
    return worn + reviews_due(settings.suites, datetime.now(UTC).date())


def _suites(settings: Settings) -> Iterator[_Suite]:
    """Of one with a file the items of the file, else those of the newest eval set."""
    of_files = {
        name: tuple(item.sample_id for item in items_of(read_declared(settings, name)))
        for name, suite in settings.suites.items()
        if suite.samples
    }
    if not store_exists(settings):
        unused = Reuse(0, 0, 0, 0.0, None)
        for name, suite in settings.suites.items():
            yield _Suite(name, suite, of_files.get(name, ()), name in of_files, unused)
        return
    with open_store(settings, read_only=True) as store:
        decided, newest = read_decided_suites(store), newest_samples(store)
        for name, suite in settings.suites.items():
            ids = of_files.get(name) or newest.get(name, ())
            shares = shares_of_sets(store, ids) if ids else {}
            reuse = reuse_of(name, decided, shares, settings.gate.alpha)
            yield _Suite(name, suite, ids, name in of_files, reuse)


def _row(suite: _Suite) -> tuple[str, ...]:
    reuse, purpose = suite.reuse, one_line(suite.settings.purpose)
    return (
        suite.name,
        f"{len(suite.sample_ids):,}",
        suite.digest[:12],
        suite.settings.owner,
        purpose[:_MAX_PURPOSE] + ("…" if len(purpose) > _MAX_PURPOSE else ""),
        str(suite.settings.review_by or ""),
        "never" if reuse.last_used is None else f"{reuse.last_used:%Y-%m-%d}",
        f"{reuse.num_decisions:,}",
        f"{reuse.num_challengers:,}",
        f"{reuse.num_champions:,}",
        f"{reuse.spent:.1%}",
    )


def _to_object(suite: _Suite) -> dict[str, object]:
    declared = suite.settings
    return {
        "suite": suite.name, "num_items": len(suite.sample_ids), "digest": suite.digest,
        "is_file": suite.is_file, "role": declared.role, "owner": declared.owner,
        "purpose": declared.purpose, "review_by": declared.review_by,
        **asdict(suite.reuse), "is_worn": suite.reuse.is_worn,
    }  # fmt: skip
