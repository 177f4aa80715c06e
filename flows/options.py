"""What can be said on the command line about a turn. Every option is spelled here and nowhere
else: a command names those it takes, and is handed all of them as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

import typer

Config = Annotated[
    str | None, typer.Option("--config", help="settings file [default: the nearest flywheel.toml]")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="every sentence of the verdict, not only why")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object instead of tables")]
Junit = Annotated[
    str, typer.Option("--junit", metavar="FILE", help="write the verdict as JUnit XML")
]
Markdown = Annotated[
    str, typer.Option("--markdown", metavar="FILE", help="write the summary as Markdown")
]
Github = Annotated[
    bool, typer.Option("--github", help="step summary and annotations of GitHub Actions")
]
OneSuite = Annotated[str, typer.Option("--suite", help="one suite [default: all]")]
OneChallenger = Annotated[
    str, typer.Option("--challenger", help="of several [default: the leading one]")
]
By = Annotated[
    str,
    typer.Option("--by", help="who does this [default: FLYWHEEL_USER, else who is logged in]"),
]
Expires = Annotated[str, typer.Option("--expires", metavar="DAY", help="the last day it holds")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="run, or its beginning [default: the last]")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said; what was not has the default here, for the settings to stand in."""

    files: Annotated[
        list[str] | None, typer.Argument(metavar="LOGS", help="log files, as with --logs")
    ] = None
    logs: Annotated[
        list[str] | None,
        typer.Option(
            "--logs",
            help="log files: a path, folder, pattern or address (s3://…); - is standard input; "
            "repeatable",
        ),
    ] = None
    champion: Annotated[str, typer.Option("--champion", help="release in production")] = ""
    challenger: Annotated[
        list[str] | None,
        typer.Option("--challenger", help="release that asks to ship; repeatable"),
    ] = None
    log_format: Annotated[
        str, typer.Option("--format", help="log format, instead of finding out")
    ] = "auto"
    since: Annotated[
        str,
        typer.Option(
            "--since", help="calls from then on: 2026-11-01, 2026-11-01T06:00+01:00, 24h, 7d"
        ),
    ] = ""
    until: Annotated[
        str, typer.Option("--until", help="calls before that; times are UTC unless told")
    ] = ""
    backfill: Annotated[
        bool, typer.Option("--backfill", help="a run for each day from --since to --until")
    ] = False
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="seed of the run")] = None
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="PLACE",
            help="where the work is done: here, ray or ray://HOST:10001 [default: ingest.on of "
            "reading and masking, evaluate.on of answering]",
        ),
    ] = ""
    inline: Annotated[
        bool, typer.Option("--inline", help="the same stages in this process, without Prefect")
    ] = False
    held: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help="log file, expectation, request id, or the beginning of an id",
        ),
    ] = None
    run_id: RunId = ""
    verbose: Verbose = False
    junit: Junit = ""
    markdown: Markdown = ""
    github: Github = False
    config: Config = None
    as_json: Json = False


def taking(*names: str) -> Callable[[Callable[[Options], int]], Callable[..., None]]:
    """Make of a function of Options the command that typer reads: it takes the options named,
    `--config` and `--json`, and exits with what the function returns."""
    hints = get_type_hints(Options, include_extras=True)
    parameters = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=hints[option.name],
        )
        for option in fields(Options)
        if option.name in (*names, "config", "as_json")
    ]

    def decorate(body: Callable[[Options], int]) -> Callable[..., None]:
        def command(**said: object) -> None:
            raise typer.Exit(body(Options(**said)))  # type: ignore[arg-type]

        command.__name__, command.__doc__ = body.__name__, body.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate
