"""`flywheel reproduce`: a verdict executed again from what was recorded, beside the record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.deriving import derived, runs_that_read, why_not
from flows.progress import shown
from flows.run_named import no_such_run
from flows.terminal import Table, console, print_json, print_pairs, print_table, say
from tasks.curate.evalset import digest_of, draft_of
from tasks.errors import FlywheelError, UsageError
from tasks.gate.task import gate
from tasks.model.answer import Role
from tasks.receipts.files import add_reproduction
from tasks.receipts.statement import moment
from tasks.releases.source import EngineSource
from tasks.report.wording import percent
from tasks.reproduce.again import answer_again, compare, prepare
from tasks.reproduce.apart import folder_apart, settings_apart
from tasks.reproduce.comparing import Comparison, Measured
from tasks.reproduce.links import Chain, Link, held, in_order
from tasks.reproduce.recorded import Recorded, read_recorded, settings_of
from tasks.reproduce.today import Content, look
from tasks.run import Progress, Run, utc_now
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.opening import open_store, store_exists


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of it. `comparison` None: nothing was executed, and `why_not` says why."""

    recorded: Recorded
    chain: Chain
    comparison: Comparison | None
    why_not: str
    device: str
    not_derived: str

    @property
    def is_equal(self) -> bool:
        return self.comparison is not None and self.comparison.is_equal

    @property
    def first_link(self) -> Link | None:
        """The first that differs; of what came out another, one that was moved as was asked."""
        if self.comparison is None or self.is_equal:
            return self.chain.first
        return self.chain.first or next(iter(self.chain.moved), None)

    @property
    def first(self) -> str:
        """The first link that differs, or else what does though no link is known to."""
        link, found = self.first_link, self.comparison
        if link is not None:
            return f"{link}, as --on asked" if link.state == "moved" else str(link)
        if found is None or found.is_equal:
            return ""
        if answer := found.texts.first or found.likelihoods.first:
            return f"answer ({answer}), though no link is known to differ"
        if found.scores.differ:
            return f"score ({found.scores.first}), though every text is the same"
        return f"verdict ({found.difference}), though every score is the same"

    def to_json(self) -> dict[str, Any]:
        facts = self.recorded.facts
        return {
            "run_id": facts.run_id,
            "verdict": facts.verdicts[facts.leading].verdict,
            "equal": self.is_equal,
            "executed": self.comparison is not None,
            "why_not": self.why_not,
            "first_link": self.first_link and self.first_link.to_json(),
            "first": self.first,
            "gone": [link.to_json() for link in self.chain.gone],
            "links": [link.to_json() for link in self.chain.links],
            "not_derived": self.not_derived,
            "device": self.device,
            "comparison": None if self.comparison is None else self.comparison.to_json(),
        }


def reproduce_run(
    run_id: str, *, device: str, anyway: bool, config: str | None, as_json: bool
) -> int:
    """Exit code 0 where all that was recorded came out equal to the bit."""
    settings = read_settings(config)
    started = time.monotonic()
    if not store_exists(settings):
        raise no_such_run(run_id)
    with folder_apart(settings.home_path) as apart, shown() as progress:
        found = reproduce(settings, run_id, apart, progress, device=device, anyway=anyway)
    path = None
    if found.comparison is not None:
        path = add_reproduction(settings, found.recorded.facts, _entry(found))
    told = {**found.to_json(), "receipt": path and str(path),
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
    if as_json:
        print_json(told)
    else:
        _show(found, path, told["seconds"])
    return int(not found.is_equal)


def reproduce(
    settings: Settings,
    run_id: str,
    apart: Path,
    progress: Progress,
    *,
    device: str,
    anyway: bool,
) -> Reproduced:
    """The chain first; then, where it holds or `anyway`, answers, scores and decision, in the
    folder `apart`. Raises UsageError where there is no such run."""
    with open_store(settings, read_only=True) as store:
        recorded = read_recorded(store, _decided(store, run_id))
        not_derived = why_not(store, recorded)
        runs = runs_that_read(store, recorded)
    today = look(recorded, settings, _content(recorded), apart, device)
    values, chain = settings_of(recorded.bound, settings), today.chain
    if chain.first is None and not not_derived:
        own = settings_apart(values, settings, apart / "derived")
        try:
            digest = derived(own, settings.home_path, runs, recorded.evaluated, progress)
        except FlywheelError as error:
            not_derived = error.what
        else:
            of = "derived from the log files"
            link = held("set", of, recorded.facts.eval_set.digest, digest)
            chain = in_order((*chain.links, link))
    hindered = _hindered(recorded, chain, today.sources, anyway=anyway)
    comparison = None
    if not hindered:
        comparison = _execute(recorded, settings, apart / "state", today.sources, progress)
    devices = sorted({source.value()["device"] for source in today.sources.values()})
    where = ", ".join(devices) or "none"
    return Reproduced(recorded, chain, comparison, hindered, where, not_derived)


def _decided(store: Store, run_id: str) -> str:
    found = ledger.find_run(store, run_id)
    if found is None:
        raise no_such_run(run_id)
    if not verdicts.read_verdicts(store, found):
        raise UsageError(
            "the run has no verdict", received=found, next="flywheel gate, or name another run"
        )
    return found


def _content(recorded: Recorded) -> Content:
    ids = {sample.sample_id: draft_of(sample).sample_id for sample in recorded.samples}
    others = {stored: made for stored, made in ids.items() if stored != made}
    return Content(digest_of(recorded.samples), others)


def _hindered(
    recorded: Recorded, chain: Chain, sources: Mapping[Role, EngineSource], *, anyway: bool
) -> str:
    """Why nothing is executed; empty where it is."""
    if chain.missing is not None:
        return f"{chain.missing}, so the run cannot be executed again"
    for role, is_hosted in recorded.is_hosted.items():
        if not is_hosted and role not in sources:
            return f"nothing here answers for {recorded.facts.name(role)}"
    if chain.first is not None and not anyway:
        return "--anyway executes what was recorded, as far as the store holds it"
    return ""


def _execute(
    recorded: Recorded,
    settings: Settings,
    home: Path,
    sources: Mapping[Role, EngineSource],
    progress: Progress,
) -> Comparison:
    """By the settings that the run which answered was bound to, and the one that decided."""
    facts = recorded.facts
    own, deciding = (
        settings_apart(settings_of(bound, settings), settings, home)
        for bound in (recorded.bound, facts.commitment)
    )
    decided_at = facts.verdicts[facts.leading].decided_at
    with open_store(settings, read_only=True) as before:
        prepare(recorded, before, own)
    asked = Run(recorded.evaluated, recorded.asked, own, progress, lambda: decided_at)
    not_asked = answer_again(asked, recorded, sources)
    progress("gate", 0, None)
    gate(Run(facts.run_id, facts.request, deciding, progress, lambda: decided_at))
    progress("gate", 1, 1, "finished")
    with (
        open_store(settings, read_only=True) as before,
        open_store(own, read_only=True) as again,
    ):
        return compare(recorded, before, again, not_asked)


def _entry(found: Reproduced) -> dict[str, Any]:
    comparison = found.comparison
    assert comparison is not None, "it was executed"
    told = comparison.to_json()
    return {
        "at": moment(utc_now()),
        "device": found.device,
        "equal": found.is_equal,
        "first_link": found.first or None,
        **{name: told[name] for name in ("texts", "likelihoods", "scores", "estimates")},
        "verdicts": told["verdicts"],
        "as_recorded": told["as_recorded"],
    }


def _show(found: Reproduced, receipt: Path | None, seconds: float) -> None:
    facts, chain = found.recorded.facts, found.chain
    screen = console()
    screen.print()
    rows = [
        (link.name, link.of, link.state, link.then, link.now)
        for link in chain.links
        if link.state in ("differs", "gone", "moved")
    ]
    if rows:
        columns = ("link", "of", "state", "recorded", "today")
        print_table(screen, Table(columns, rows, texts=columns))
    same = sorted({link.name for link in chain.links if link.state == "same"})
    pairs = [
        ("run", f"{facts.run_id}: {facts.verdicts[facts.leading].verdict}"),
        ("links that hold", ", ".join(same)),
    ]
    unknown = list(dict.fromkeys(_named(link) for link in chain.unknown))
    if unknown:
        pairs.append(("not known", ", ".join(unknown)))
    if found.not_derived:
        pairs.append(("eval set", f"not derived from the logs again: {found.not_derived}"))
    if found.comparison is not None:
        pairs += _compared(found.comparison)
    if receipt is not None:
        pairs.append(("receipt", str(receipt)))
    print_pairs(screen, [*pairs, ("seconds", f"{seconds:.1f}, on {found.device}")])
    screen.print()
    say(screen, _sentence(found), style="green" if found.is_equal else "yellow")


def _compared(comparison: Comparison) -> list[tuple[str, str]]:
    texts, weighed = comparison.texts, comparison.likelihoods
    pairs = []
    if texts.compared or not weighed.compared:
        told = f"{texts.differ:,} of {texts.compared:,} differ ({percent(texts.share)})"
        pairs.append(("texts", told))
    if weighed.compared:
        pairs.append(("log-likelihoods", _measured(weighed, " nats")))
    pairs.append(("scores", _measured(comparison.scores)))
    pairs.append(("estimates", _measured(comparison.estimates)))
    pairs += [
        ("verdict", then if then == now else f"{then} → {now}")
        for then, now in comparison.verdicts.values()
    ]
    if comparison.difference:
        pairs.append(("verdict bytes", comparison.difference))
    if texts.not_recorded:
        pairs.append(("not recorded", f"{texts.not_recorded:,} texts"))
    if comparison.as_recorded:
        names = ", ".join(comparison.as_recorded)
        pairs.append(("not asked", f"{names}: an API promises no answer twice; as recorded"))
    return pairs


def _measured(found: Measured, unit: str = "") -> str:
    differ = f"{found.differ:,} of {found.compared:,} differ"
    return f"{differ}, at most by {found.largest:g}{unit}" if found.differ else differ


def _sentence(found: Reproduced) -> str:
    if found.is_equal:
        moved_on = f" The first link that differs today: {found.first}." if found.first else ""
        return f"equal to the bit: answers, scores and verdict.{moved_on}"
    if found.first:
        what = "not executed" if found.comparison is None else "not equal"
        why = f"; {found.why_not}" if found.why_not else ""
        return f"{what}. The first link that differs: {found.first}{why}"
    return f"not executed: {found.why_not}"


def _named(link: Link) -> str:
    return f"{link.name} ({link.of})" if link.of else link.name
