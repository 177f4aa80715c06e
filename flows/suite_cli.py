"""`flywheel suite`: arguments in, exit code out, as in cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import Config, Json

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
    """A suite file from samples of lm-eval, Inspect, promptfoo, OpenAI's hosted evals, a data set
    or a table; prints the [suites.NAME] to paste."""
    from flows.commands.suite_files import bring_suite
    from tasks.suites.imported import Mapped

    mapped = Mapped(asked, target, choices, tuple(slices or ()), split, scorer)
    raise typer.Exit(
        bring_suite(source, out, log_format, mapped, force=force, config=config, as_json=as_json)
    )
