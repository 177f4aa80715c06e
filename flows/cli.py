"""The command line: arguments in, exit code out. Bodies are imported only when they run.

Exit codes: 0 promoted or fine, 1 gate held or rejected, 2 usage, 3 data failed validation,
4 system error. `--json` prints exactly one JSON object on standard output; all else goes to
standard error.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="flywheel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From production LLM logs to a trustworthy answer: may this release ship?",
)

Config = Annotated[
    str | None, typer.Option("--config", help="settings file [default: the nearest flywheel.toml]")
]
Logs = Annotated[
    list[str] | None,
    typer.Option(
        "--logs",
        help="log files: a path, folder, pattern or address (s3://…); - is standard input; "
        "repeatable",
    ),
]
Since = Annotated[
    str,
    typer.Option("--since", help="calls from then on: 2026-11-01, 2026-11-01T06:00+01:00, 24h, 7d"),
]
Until = Annotated[str, typer.Option("--until", help="calls before that; times are UTC unless told")]
Backfill = Annotated[
    bool, typer.Option("--backfill", help="a run for each day from --since to --until")
]
Format = Annotated[str, typer.Option("--format", help="log format, instead of finding out")]
Champion = Annotated[str, typer.Option("--champion", help="release in production")]
Challenger = Annotated[str, typer.Option("--challenger", help="release that asks to ship")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="seed of the run")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object instead of tables")]


@app.command()
def run(
    logs: Logs = None,
    champion: Champion = "",
    challenger: Challenger = "",
    log_format: Format = "auto",
    since: Since = "",
    until: Until = "",
    backfill: Backfill = False,
    seed: Seed = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="the same stages in this process, without Prefect")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """One whole turn: logs in, verdict out, everything recorded."""
    from flows.commands.turn import run_turn

    raise typer.Exit(
        run_turn(
            "record",
            logs=logs,
            champion=champion,
            challenger=challenger,
            log_format=log_format,
            since=since,
            until=until,
            backfill=backfill,
            seed=seed,
            inline=inline,
            config=config,
            as_json=as_json,
        )
    )


@app.command()
def ingest(
    logs: Logs = None,
    log_format: Format = "auto",
    since: Since = "",
    until: Until = "",
    backfill: Backfill = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take in new log records; what cannot be read becomes a dead letter."""
    from flows.commands.turn import run_part

    raise typer.Exit(
        run_part(
            ("ingest",),
            logs=logs,
            log_format=log_format,
            since=since,
            until=until,
            backfill=backfill,
            config=config,
            as_json=as_json,
        )
    )


@app.command()
def validate(config: Config = None, as_json: Json = False) -> None:
    """Check what came in, quarantine what fails, redact the rest."""
    from flows.commands.turn import run_part

    raise typer.Exit(run_part(("validate", "redact"), config=config, as_json=as_json))


@app.command()
def curate(seed: Seed = None, config: Config = None, as_json: Json = False) -> None:
    """Build the eval set from suites, failures and traffic."""
    from flows.commands.turn import run_part

    raise typer.Exit(run_part(("curate",), seed=seed, config=config, as_json=as_json))


@app.command(name="eval")
def evaluate(
    champion: Champion = "",
    challenger: Challenger = "",
    seed: Seed = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Replay the eval set on champion and challenger and score the answers."""
    from flows.commands.turn import run_part

    raise typer.Exit(
        run_part(
            ("curate", "evaluate"),
            champion=champion,
            challenger=challenger,
            seed=seed,
            config=config,
            as_json=as_json,
        )
    )


@app.command()
def gate(
    champion: Champion = "",
    challenger: Challenger = "",
    seed: Seed = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Decide from what is stored, without recording: better, no_worse, worse or cannot_tell."""
    from flows.commands.turn import run_part

    raise typer.Exit(
        run_part(
            ("curate", "evaluate", "gate"),
            champion=champion,
            challenger=challenger,
            seed=seed,
            config=config,
            as_json=as_json,
        )
    )


@app.command()
def replay(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="log file, expectation, request id, or the beginning of an id"),
    ] = None,
    log_format: Format = "auto",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """After a fix: dead letters and quarantined calls that pass by now come in, each once."""
    from flows.commands.turn import run_part

    raise typer.Exit(
        run_part(
            ("replay", "validate", "redact"),
            only=tuple(
                os.path.realpath(each) if os.path.exists(each) else each for each in what or ()
            ),
            log_format=log_format,
            config=config,
            as_json=as_json,
        )
    )


@app.command()
def drift(
    run_id: Annotated[str, typer.Argument(help="run, or its beginning [default: the last]")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """How the calls that a run took in differ from those before, column by column."""
    from flows.commands.drift import show_drift

    raise typer.Exit(show_drift(run_id, config=config, as_json=as_json))


@app.command()
def report(
    run_id: Annotated[str, typer.Argument(help="run, or its beginning [default: the last]")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the result of a run again, with the paths of its pages."""
    from flows.commands.turn import show_run

    raise typer.Exit(show_run(run_id, config=config, as_json=as_json))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="one SELECT over the tables of the store")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Read-only SQL over the store."""
    from flows.commands.sql import run_sql

    raise typer.Exit(run_sql(query, config=config, as_json=as_json))


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on loopback")] = 5000,
    config: Config = None,
) -> None:
    """Serve the MLflow pages on this machine until interrupted."""
    from flows.commands.ui import serve

    raise typer.Exit(serve(port, config=config))


@app.command()
def deploy(
    pool: Annotated[str, typer.Option(help="Prefect work pool, made if missing")] = "flywheel",
    config: Config = None,
) -> None:
    """Register the nightly deployment of prefect.yaml with the server at PREFECT_API_URL."""
    from flows.commands.deploy import deploy_nightly

    raise typer.Exit(deploy_nightly(pool, config=config))


@app.command()
def init(
    show: Annotated[bool, typer.Option("--print", help="print it instead of writing it")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace an existing file")] = False,
) -> None:
    """Write a flywheel.toml with every key and its meaning."""
    from flows.commands.init import write_config

    raise typer.Exit(write_config(show=show, force=force))


@app.command()
def doctor(config: Config = None, as_json: Json = False) -> None:
    """Say what is installed, which device there is, and whether each store answers."""
    from flows.commands.doctor import examine

    raise typer.Exit(examine(config=config, as_json=as_json))


def main() -> None:
    """Entry point of the console script: every error is one line and an exit code."""
    from flows.failures import exit_code_of

    try:
        app()
    except Exception as error:
        sys.exit(exit_code_of(error, as_json="--json" in sys.argv))
    except KeyboardInterrupt:
        print("interrupted · next: the same command goes on where it stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
