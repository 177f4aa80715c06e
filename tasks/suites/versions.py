"""Versions of a suite: its items as a file has them, or an eval set of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.curate.evalset import Draft, draft_of
from tasks.curate.items import suite_item
from tasks.curate.modes import GENERATE, mode_of
from tasks.curate.suites import asked_of, read_suite
from tasks.errors import UsageError
from tasks.model.sample import PINNED, Sample
from tasks.settings import Settings, parse_settings
from tasks.settings.suite_files import ENDING
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals.reuse import eval_sets_like
from tasks.store.evals.samples import read_eval_set
from tasks.suites.items import SuiteItem, Version

#: what curate adds to the slices of an item
_ADDED = ("origin", "task", "length")


def of_file(path: Path, settings: Settings, suite: str = "") -> Version:
    """A file by itself; the name and task of its items are those of the suite that declares it. A
    suite in one file says itself how it is asked, declared or not. Raises UsageError that names
    the first wrong line."""
    declared = {settings.path(one.samples): name for name, one in settings.suites.items()
                if one.samples}  # fmt: skip
    name = suite or declared.get(path.resolve(), path.stem)
    suite_settings = settings.suites.get(name)
    task = "" if suite_settings is None else suite_settings.task
    if path.suffix == ENDING and path.resolve() not in declared:
        values = {"suites": {name: {"file": str(path.resolve())}}}
        suite_settings = parse_settings(values, base=settings.base).suites[name]
        task = suite_settings.task or task
    mode = GENERATE if suite_settings is None else mode_of(suite_settings)
    return Version(str(path), name, items_of(read_suite(name, task or name, path, mode)))


def items_of(drafts: Iterable[Draft]) -> tuple[SuiteItem, ...]:
    found = []
    for draft in drafts:
        made = suite_item(draft).draft
        assert made is not None, "a suite sample has one"
        found.append(_item(draft, made.sample_id, draft.cluster))
    return tuple(found)


def of_set(store: Store, named: str, suite: str) -> Version:
    """What an eval set, or the one of a run, has of a suite, without pins. `named`: the beginning
    of its digest or id. Raises UsageError."""
    found = eval_sets_like(store, named)
    if not found and (run_id := ledger.find_run(store, named)) is not None:
        digest = ledger.run_value(store, run_id, "eval_set_digest")
        found = [] if digest is None else [digest]
    if len(found) != 1:
        raise UsageError(
            "several eval sets begin so" if found else "no file, eval set or run is called so",
            received=named,
            allowed=", ".join(digest[:12] for digest in found[:8]),
            next="flywheel sql 'SELECT eval_set_digest, created_at FROM eval_sets' lists them",
        )
    samples = [one for one in read_eval_set(store, found[0]) if one.origin != PINNED]
    names = list(dict.fromkeys(sample.suite for sample in samples))
    if not suite and len(names) == 1:
        suite = names[0]
    if suite not in names:
        raise UsageError(
            "the eval set has no such suite" if suite else "the eval set has several suites",
            received=suite or named,
            allowed=", ".join(names),
            next="--suite NAME",
        )
    chosen = [_of_sample(sample) for sample in samples if sample.suite == suite]
    return Version(named, suite, tuple(chosen))


def _of_sample(sample: Sample) -> SuiteItem:
    return _item(draft_of(sample), sample.sample_id, None)


def _item(draft: Draft, sample_id: str, cluster: str | None) -> SuiteItem:
    return SuiteItem(
        asked=asked_of(draft),
        sample_id=sample_id,
        question=_question(draft.conversation.messages),
        target=draft.target,
        slices={name: value for name, value in draft.slices.items() if name not in _ADDED},
        must_pass=draft.must_pass,
        cluster=cluster,
    )


def _question(messages: Sequence[Mapping[str, object]]) -> str:
    """What the user said last."""
    said = [message for message in messages if message.get("role") == "user"]
    return str((said or messages)[-1].get("content") or "")
