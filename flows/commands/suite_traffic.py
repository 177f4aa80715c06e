"""`flywheel suite coverage` and `suite leaks`: suites beside what production asks, and beside what
models are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from flows.terminal import Table, console, print_json, print_table
from tasks.curate.history import read_history
from tasks.curate.task import read_suites
from tasks.errors import UsageError, did_you_mean
from tasks.model.reading import Part
from tasks.model.sample import PINNED
from tasks.model.visible import one_line
from tasks.referee.files import ResultFile
from tasks.report.intake import read_in_part
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.evals.history import newest_call
from tasks.store.evals.reuse import newest_decided_set
from tasks.store.evals.samples import read_eval_set
from tasks.store.opening import open_store
from tasks.suites.coverage import Asked, Coverage, coverage
from tasks.suites.formats.rows import records_of
from tasks.suites.items import SuiteItem
from tasks.suites.leaks import Leak, LeakFinder, Question
from tasks.suites.versions import items_of

_TASKS = ("task", "items", "calls", "uncovered", "share")
_ASKED = ("calls", "nearest", "task", "question")
_LEAKS = ("suite", "found", "share", "answer too", "where", "question")
_MAX_SHOWN = 20
_MAX_QUESTION = 70
_TABLES = ("jsonl", "json", "csv", "parquet")


def show_coverage(days: float, near: float, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        history = read_history(store, settings, settings.evaluate.seed, _last_days(store, days))
        digest = newest_decided_set(store)
        drawn = [] if digest is None else read_eval_set(store, digest)
    items = [(sample.task, sample.conversation.messages) for sample in read_suites(settings)]
    items += [
        (sample.task, sample.messages)
        for sample in drawn
        if sample.suite in settings.suites and sample.origin not in (PINNED, "suite")
    ]
    found = coverage(
        Asked(
            tuple(_said(call.conversation.messages) for call in history.calls),
            tuple(call.task for call in history.calls),
            tuple(call.stands_for for call in history.calls),
        ),
        Asked(tuple(_said(messages) for _, messages in items), tuple(task for task, _ in items)),
        near=near,
        near_duplicate=settings.curate.near_duplicate_jaccard,
    )
    if as_json:
        print_json(
            {
                "days": days, "near": near, "num_calls": found.num_calls,
                "num_uncovered": found.num_uncovered, "num_items": len(items),
                "tasks": [{**asdict(task), "uncovered_share": task.uncovered_share}
                          for task in found.tasks],
                "uncovered": [asdict(one) for one in found.uncovered],
                "reading": history.reading.to_json() if history.reading.is_in_part else None,
            }
        )  # fmt: skip
        return 0
    if history.reading.is_in_part:
        print(one_line(read_in_part(history.reading.to_json())))
    _tell_coverage(found, days, len(items))
    return 0


def _last_days(store: Store, days: float) -> Part:
    """So many days before the newest call."""
    newest = newest_call(store)
    if newest is None:
        raise UsageError("the store has no calls with a time", next="flywheel ingest LOGS")
    return Part(since=newest - timedelta(days=days))


def _said(messages: Sequence[Any]) -> str:
    """What the user said of a conversation, in order."""
    own = [str(one.get("content") or "") for one in messages if one.get("role") == "user"]
    return "\n".join(own or [str(one.get("content") or "") for one in messages])


def _tell_coverage(found: Coverage, days: float, num_items: int) -> None:
    share = found.num_uncovered / found.num_calls if found.num_calls else 0.0
    print(
        f"{share:.0%} of the calls of the last {days:g} days ({found.num_uncovered:,} of "
        f"{found.num_calls:,}) have none of {num_items:,} items near them"
    )
    rows = [
        (task.task or "(none)", f"{task.num_items:,}", f"{task.num_calls:,}",
         f"{task.num_uncovered:,}", f"{task.uncovered_share:.0%}")
        for task in found.tasks
    ]  # fmt: skip
    print_table(console(), Table(_TASKS, rows, texts=("task",)))
    if found.uncovered:
        asked = [
            (f"{one.num_calls:,}", f"{one.nearest:.2f}", one.task or "(none)", _short(one.question))
            for one in found.uncovered[:_MAX_SHOWN]
        ]
        print_table(console(), Table(_ASKED, asked, texts=("task", "question")))
        if len(found.uncovered) > _MAX_SHOWN:
            print(f"{len(found.uncovered) - _MAX_SHOWN:,} more questions: --json")
        print("next: flywheel suite new NAME --from-logs")


def find_leaks(files: Sequence[str], suite: str, *, config: str | None, as_json: bool) -> int:
    """1 where an item of a suite stands in one of the files."""
    settings = read_settings(config)
    questions = list(_questions(settings, suite))
    finder = LeakFinder(questions, settings.curate.near_duplicate_jaccard)
    num_records = 0
    for named in files:
        for where, record in _records(Path(named).expanduser()):
            num_records += 1
            finder.look(where, record)
    leaks = [finder.found[index] for index in sorted(finder.found)]
    if as_json:
        print_json({"num_items": len(questions), "num_records": num_records,
                    "leaks": [asdict(leak) for leak in leaks]})  # fmt: skip
    else:
        print(f"{len(leaks):,} of {len(questions):,} items stand in {num_records:,} records")
        _tell_leaks(leaks)
    return 1 if leaks else 0


def _tell_leaks(leaks: Sequence[Leak]) -> None:
    if not leaks:
        return
    rows = [
        (leak.question.suite, leak.how, f"{leak.share:.0%}", "yes" if leak.with_target else "no",
         leak.where, _short(leak.question.text))
        for leak in leaks[:_MAX_SHOWN]
    ]  # fmt: skip
    print_table(console(), Table(_LEAKS, rows, texts=("suite", "found", "where", "question")))
    if len(leaks) > _MAX_SHOWN:
        print(f"{len(leaks) - _MAX_SHOWN:,} more: --json")


def _questions(settings: Settings, suite: str) -> Iterator[Question]:
    if suite and suite not in settings.suites:
        raise UsageError(f"no such suite is declared{did_you_mean(suite, settings.suites)}",
                         received=suite, allowed=", ".join(settings.suites))  # fmt: skip
    num = 0
    for draft in read_suites(settings):
        if not suite or draft.suite == suite:
            num += 1
            item: SuiteItem
            (item,) = items_of([draft])
            yield Question(draft.suite, item.sample_id, item.question, item.target)
    if not num:
        raise UsageError("no suite with a file is declared", received=suite or "all suites",
                         next="name a samples file under [suites.NAME]")  # fmt: skip


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of tables and JSON lines; of a text its paragraphs."""
    if not path.is_file():
        raise UsageError("there is no such file", received=str(path), allowed="a training file")
    file = ResultFile(path)
    if file.kind in _TABLES:
        yield from records_of(path)
        return
    line = 1
    for paragraph in file.text.split("\n\n"):
        if paragraph.strip():
            yield f"{path}:{line}", paragraph
        line += paragraph.count("\n") + 2


def _short(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _MAX_QUESTION else f"{shown[:_MAX_QUESTION]}…"
