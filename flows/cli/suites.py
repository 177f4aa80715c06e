"""`flywheel suite`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import Config, Json, OneSuite

app = typer.Typer(no_args_is_help=True, help="Make, compare and look after suites.")

Out = Annotated[str, typer.Option("--out", metavar="FILE", help="suite file to write")]
Force = Annotated[bool, typer.Option("--force", help="replace a file that is there")]


@app.command(name="import")
def bring(
    source: Annotated[str, typer.Argument(metavar="FILE|FOLDER", help="what to import")],
    out: Out,
    log_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="lm-eval, inspect, promptfoo, openai-evals or table [default: by the content]",
        ),
    ] = "auto",
    asked: Annotated[str, typer.Option("--input", metavar="COLUMN", help="the question")] = "",
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="right answer")] = "",
    choices: Annotated[str, typer.Option("--choices", metavar="COLUMN", help="of a table")] = "",
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COLUMN", help="a column to slice by; repeatable"),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="of a folder with several")] = "",
    scorer: Annotated[str, typer.Option("--scorer", help="of all items, instead of theirs")] = "",
    force: Force = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """A suite file from what others wrote; prints the [suites.NAME] to paste.

    Samples of lm-eval, Inspect, promptfoo, OpenAI's hosted evals, a data set or a table."""
    from flows.commands.suite_files import bring_suite
    from tasks.suites.imported import Mapped

    mapped = Mapped(asked, target, choices, tuple(slices or ()), split, scorer)
    raise typer.Exit(
        bring_suite(source, out, log_format, mapped, force=force, config=config, as_json=as_json)
    )


@app.command(name="list")
def show(config: Config = None, as_json: Json = False) -> None:
    """The suites: items, digest, owner, purpose, and how often each has decided."""
    from flows.commands.suite_list import list_suites

    raise typer.Exit(list_suites(config=config, as_json=as_json))


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of [suites.NAME]")],
    from_logs: Annotated[
        bool, typer.Option("--from-logs", help="from the calls of the store")
    ] = False,
    task: Annotated[str, typer.Option("--task", help="calls of this prompt name only")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="items at most")] = 50,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="[default: suites/NAME.jsonl]")
    ] = "",
    force: Force = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """A suite file to edit, from corrected and typical calls."""
    from flows.commands.suite_new import new_suite

    raise typer.Exit(
        new_suite(
            name, task, limit, out,
            from_logs=from_logs, force=force, config=config, as_json=as_json,
        )
    )  # fmt: skip


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="file, eval set, or run")],
    changed: Annotated[str, typer.Argument(metavar="NEW", help="file, eval set, or run")],
    suite: Annotated[str, typer.Option("--suite", help="of eval sets with several")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Which items two versions of a suite do not share, and what changed of the others."""
    from flows.commands.suite_diff import diff_suites

    raise typer.Exit(diff_suites(old, changed, suite, config=config, as_json=as_json))


@app.command()
def coverage(
    days: Annotated[float, typer.Option("--days", min=0.01, help="before the newest call")] = 7.0,
    near: Annotated[
        float, typer.Option("--near", min=0.01, max=1, help="cosine from which an item is near")
    ] = 0.4,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Which share of the last week's calls no item of a suite is near, and what they ask."""
    from flows.commands.suite_traffic import show_coverage

    raise typer.Exit(show_coverage(days, near, config=config, as_json=as_json))


@app.command()
def leaks(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="training data: JSON lines, tables, text")
    ],
    suite: OneSuite = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Which items of suites stand in training data; exit code 1 where any does."""
    from flows.commands.suite_traffic import find_leaks

    raise typer.Exit(find_leaks(files, suite, config=config, as_json=as_json))
