"""`flywheel release`: the releases that are declared and those that runs compared, one as a whole,
and two factor by factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flows.commands.prompt_diff import print_prompts
from flows.release_named import release_named
from flows.terminal import Table, console, print_json, print_pairs, print_table, say
from tasks.champion import as_declared, champion_cautions
from tasks.model.alias import Alias
from tasks.model.canonical import canonical_json
from tasks.model.release import Release
from tasks.model.reuse import PairVerdict
from tasks.model.visible import one_line
from tasks.releases.factors import PROMPT, factors, is_same, sentence
from tasks.releases.prompts import prompt_text
from tasks.report.wording import NOTHING, label
from tasks.settings import Settings, read_settings
from tasks.store.control.aliases import read_aliases
from tasks.store.control.verdicts import pair_verdicts
from tasks.store.evals.releases import compared_releases
from tasks.store.opening import open_store, store_exists

_COLUMNS = ("release", "digest", "alias", "model", "prompt", "last verdict", "when", "state")
_MAX_VERDICTS = 5


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store has of releases."""

    releases: tuple[tuple[Release, datetime], ...] = ()
    aliases: tuple[Alias, ...] = ()
    verdicts: tuple[PairVerdict, ...] = ()

    def alias(self, digest: str) -> str:
        return ", ".join(alias.alias for alias in self.aliases if alias.digest == digest)

    def verdicts_on(self, digest: str) -> list[PairVerdict]:
        """The newest first."""
        return [one for one in reversed(self.verdicts) if one.challenger_digest == digest]


@dataclass(frozen=True, slots=True)
class _Row:
    """`digest` empty: it would have to be found out. `state`: declared, changed (since it was
    promoted), or earlier: what is not declared like this any more."""

    release: str
    digest: str
    alias: str
    model: str
    prompt: str
    verdict: str
    run_id: str
    at: datetime | None
    state: str


def list_releases(*, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    rows = list(_rows(settings, _known(settings)))
    cautions = champion_cautions(settings)
    if as_json:
        print_json({"releases": [asdict(row) for row in rows], "cautions": cautions})
        return 0
    if not rows:
        print("no release is declared · next: flywheel release add NAME --model MODEL")
        return 0
    print_table(console(), Table(_COLUMNS, [_cells(row) for row in rows], texts=_COLUMNS))
    for caution in cautions:
        print(one_line(f"caution: {caution}"))
    return 0


def show_release(name: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    found, known = release_named(settings, name), _known(settings)
    alias, verdicts = known.alias(found.digest), known.verdicts_on(found.digest)
    if as_json:
        print_json({**asdict(found), "alias": alias, "verdicts": [asdict(v) for v in verdicts]})
        return 0
    screen = console()
    pairs = [
        ("release", found.name),
        ("digest", found.digest),
        ("alias", alias or NOTHING),
        ("model", f"{found.model} ({found.model_digest[:12]})"),
        ("sampling", _shown(found.sampling)),
        ("engine", _shown(found.engine)),
        ("prompts", found.prompt_digest[:12]),
    ]
    names = {release.digest: release.name for release, _ in known.releases}
    for one in verdicts[:_MAX_VERDICTS]:
        against = names.get(one.champion_digest, one.champion_digest[:12])
        pairs.append((f"{one.decided_at:%Y-%m-%d}", f"{label(one.verdict)}, against {against}, "
                      f"run {one.run_id}"))  # fmt: skip
    print_pairs(screen, pairs)
    for task, messages in sorted(found.prompts.items()):
        say(screen, f"\n{task}", style="bold")
        say(screen, prompt_text(messages))
    return 0


def diff_releases(old: str, new: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    before, after = (release_named(settings, name) for name in (old, new))
    found = factors(before, after)
    told = sentence(found)
    if is_same(before, after) and before.digest != after.digest:
        told += ", by another machine or build alone"
    if as_json:
        print_json(
            {
                "old": {"release": before.name, "digest": before.digest},
                "new": {"release": after.name, "digest": after.digest},
                "factors": [
                    {"factor": factor.name, "is_same": factor.is_same,
                     "changes": [asdict(change) for change in factor.changes]}
                    for factor in found
                ],
                "sentence": told,
            }
        )  # fmt: skip
        return 0
    screen = console()
    say(screen, f"{_named(before)} and {_named(after)}: {told}")
    for factor in found:
        if factor.name == PROMPT or factor.is_same:
            continue
        say(screen, f"\n{factor.name}", style="bold")
        columns = ("what", before.name, after.name)
        rows = [(change.what, change.old, change.new) for change in factor.changes]
        print_table(screen, Table(columns, rows, texts=columns))
    if before.prompt_digest != after.prompt_digest:
        say(screen, f"\n{PROMPT}", style="bold")
        print_prompts(screen, (before.name, before.prompts), (after.name, after.prompts))
    return 0


def _known(settings: Settings) -> _Known:
    if not store_exists(settings):
        return _Known()
    with open_store(settings, read_only=True) as store:
        return _Known(
            tuple(compared_releases(store)),
            tuple(read_aliases(store).values()),
            tuple(pair_verdicts(store)),
        )


def _rows(settings: Settings, known: _Known) -> Iterator[_Row]:
    first_met = {release.digest: at for release, at in known.releases}
    by_digest = {release.digest: release for release, _ in known.releases}
    promoted = {alias.release: by_digest.get(alias.digest) for alias in known.aliases}
    shown: set[str] = set()
    for name, declared in settings.releases.items():
        release = as_declared(settings, name)
        digest = "" if release is None else release.digest
        shown.add(digest)
        then = promoted.get(name)
        is_changed = release is not None and then is not None and not is_same(release, then)
        yield _row(
            known, name, digest, declared.model, declared.prompt or "as logged",
            first_met.get(digest), "changed" if is_changed else "declared",
        )  # fmt: skip
    for release, at in known.releases:
        if release.digest not in shown:
            prompt = release.prompt_digest[:12]
            yield _row(known, release.name, release.digest, release.model, prompt, at, "earlier")


def _row(
    known: _Known, name: str, digest: str, model: str, prompt: str, at: datetime | None, state: str
) -> _Row:
    last = next(iter(known.verdicts_on(digest)), None) if digest else None
    return _Row(
        release=name,
        digest=digest,
        alias=known.alias(digest) if digest else "",
        model=model,
        prompt=prompt,
        verdict="" if last is None else last.verdict,
        run_id="" if last is None else last.run_id,
        at=at if last is None else last.decided_at,
        state=state,
    )


def _cells(row: _Row) -> tuple[str, ...]:
    return (
        row.release,
        row.digest[:12] or "not known yet",
        row.alias,
        row.model,
        row.prompt,
        label(row.verdict) or NOTHING,
        "never run" if row.at is None else f"{row.at:%Y-%m-%d %H:%M}",
        row.state,
    )


def _shown(values: Any) -> str:
    return ", ".join(
        f"{key} {value if isinstance(value, str) else canonical_json(value)}"
        for key, value in values.items()
    )


def _named(release: Release) -> str:
    return f"{release.name} ({release.digest[:12]})"
