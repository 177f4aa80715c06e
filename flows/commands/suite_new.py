"""`flywheel suite new`: a suite file to edit, from logged calls."""

from __future__ import annotations

from pathlib import Path

from flows.commands.suite_files import refuse_existing, samples_path, tell_files
from flows.naming import refuse_name
from flows.terminal import print_json
from tasks.curate.task import read_suites
from tasks.errors import UsageError, did_you_mean
from tasks.model.logged_call import LoggedCall
from tasks.model.visible import one_line
from tasks.settings import Settings, read_settings
from tasks.store.evals.logged_calls import read_questions
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
        calls = read_questions(store)
    chosen = _of_task(calls, task)
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
            }
        )  # fmt: skip
        return 0
    print(
        one_line(
            f"{len(made.lines):,} of {made.num_questions:,} questions, which stand for "
            f"{made.num_covered:,} of {made.num_calls:,} calls; {made.num_corrected:,} corrected"
        )
    )
    tell_files([file], [pasted])
    return 0


def _of_task(calls: list[LoggedCall], task: str) -> list[LoggedCall]:
    if not calls:
        raise UsageError("the store has no calls that can be asked again",
                         next="flywheel ingest LOGS, then flywheel validate")  # fmt: skip
    chosen = [call for call in calls if not task or call.task == task]
    if not chosen:
        tasks = sorted({call.task for call in calls if call.task})
        raise UsageError(
            f"no call of the store has this task{did_you_mean(task, tasks)}",
            received=task,
            allowed=", ".join(tasks[:_MAX_NAMED]) or "none: calls have no prompt name",
        )
    return chosen


def _pasted(settings: Settings, file: SuiteFile, task: str) -> str:
    where = samples_path(settings, file.path)
    return suite_toml(file.name, where, "", purpose="typical and corrected calls", task=task)
