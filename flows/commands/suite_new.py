"""`flywheel suite new`: a suite file to edit, from logged calls."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from flows.commands.suite_files import refuse_existing, samples_path, tell_files
from flows.naming import refuse_name
from flows.terminal import print_json
from tasks.curate.history import read_history
from tasks.curate.task import read_suites
from tasks.errors import UsageError, did_you_mean
from tasks.model.reading import EVERYTHING, Part
from tasks.model.visible import one_line
from tasks.report.intake import read_in_part
from tasks.settings import Settings, read_settings
from tasks.store.evals.history import count_tasks
from tasks.store.opening import open_store
from tasks.suites.drafted import drafted
from tasks.suites.writing import SuiteFile, suite_toml, write_new

_MAX_NAMED = 8


def new_suite(
    name: str,
    task: str,
    limit: int,
    out: str,
    *,
    from_logs: bool,
    force: bool,
    config: str | None,
    as_json: bool,
) -> int:
    if not from_logs:
        raise UsageError(
            "a suite is made of something",
            received=name,
            next=f"flywheel suite new {name} --from-logs, or flywheel suite import",
        )
    refuse_name("a suite", name)
    settings = read_settings(config)
    path = Path(out) if out else settings.path(f"suites/{name}.jsonl")
    if not force:
        refuse_existing(path)
    with open_store(settings, read_only=True) as store:
        part = Part(task=task or None)
        history = read_history(store, settings, settings.evaluate.seed, part)
        tasks = count_tasks(store, EVERYTHING)
    chosen = history.calls
    if not chosen:
        raise _no_calls(task, tasks)
    made = drafted(
        name, chosen, read_suites(settings),
        threshold=settings.curate.near_duplicate_jaccard, limit=limit,
    )  # fmt: skip
    if not made.lines:
        raise UsageError(
            "every question of the logs is asked by a suite already",
            received=f"{len(chosen):,} calls, {made.num_questions:,} questions",
        )
    file = SuiteFile(name, path, "", False, made.lines)
    write_new(path, file.text, force=force)
    pasted = _pasted(settings, file, task)
    if as_json:
        print_json(
            {
                "suite": name, "path": str(path), "num_lines": len(made.lines),
                "num_without_target": made.num_open, "num_corrected": made.num_corrected,
                "num_calls": made.num_calls, "num_calls_covered": made.num_covered,
                "num_questions": made.num_questions, "toml": pasted,
                "reading": history.reading.to_json() if history.reading.is_in_part else None,
            }
        )  # fmt: skip
        return 0
    print(
        one_line(
            f"{len(made.lines):,} of {made.num_questions:,} questions, which stand for "
            f"{made.num_covered:,} of {made.num_calls:,} calls; {made.num_corrected:,} corrected"
        )
    )
    if history.reading.is_in_part:
        print(one_line(read_in_part(history.reading.to_json())))
    tell_files([file], [pasted])
    return 0


def _no_calls(task: str, tasks: Collection[str]) -> UsageError:
    named = sorted(filter(None, tasks))
    if not task or task in named or not tasks:
        return UsageError(
            "the store has no calls that can be asked again",
            received=task,
            next="flywheel ingest LOGS, then flywheel validate",
        )
    return UsageError(
        f"no call of the store has this task{did_you_mean(task, named)}",
        received=task,
        allowed=", ".join(named[:_MAX_NAMED]) or "none: calls have no prompt name",
    )


def _pasted(settings: Settings, file: SuiteFile, task: str) -> str:
    where = samples_path(settings, file.path)
    return suite_toml(file.name, where, "", purpose="typical and corrected calls", task=task)
