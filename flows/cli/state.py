"""The state folder: read, kept small, kept safe, shown."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from flows.options import Config, Json

app = typer.Typer()
command = partial(app.command, rich_help_panel="The state folder")


@command()
def sql(
    query: Annotated[str, typer.Argument(help="one SELECT over the tables of the store")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Read-only SQL over the store."""
    from flows.commands.sql import run_sql

    raise typer.Exit(run_sql(query, config=config, as_json=as_json))


store = typer.Typer(help="The store itself.", no_args_is_help=True)


@store.command("copy")
def copy_store(
    source: Annotated[str, typer.Argument(metavar="FROM", help="a state folder, or `shared`")],
    target: Annotated[str, typer.Argument(metavar="TO", help="`shared`, or a state folder")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Every row of a state folder into the store of [store], or back. What is not empty takes
    nothing in."""
    from flows.commands.store_copy import copy_store as copy

    raise typer.Exit(copy(source, target, config=config, as_json=as_json))


@command()
def purge(
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than", min=0, help="days, of raw bytes [default: raw_days in [retention]]"
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="raw bytes whatever their age")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take raw bytes and calls that were kept long enough out of the state folder and its files."""
    from flows.commands.purge import purge_now

    raise typer.Exit(
        purge_now(
            older_than, everything=everything, dry_run=dry_run, config=config, as_json=as_json
        )
    )


@command()
def forget(
    user: Annotated[
        str, typer.Option("--user", metavar="HASH|ID", help="a person: as the store has it, or raw")
    ] = "",
    request: Annotated[str, typer.Option("--request", metavar="ID", help="one call")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="kept with the counts")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a person, or one call, out of the whole state folder; without either, finish an erasure
    that was interrupted."""
    from flows.commands.forget import Asked
    from flows.commands.forget import forget as erase

    asked = Asked(user=user, request=request, why=why, dry_run=dry_run)
    raise typer.Exit(erase(asked, config=config, as_json=as_json))


@command()
def backup(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|FILE",
            help="where to write it [default: flywheel-backups beside the state folder]",
        ),
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the whole state into one file: the store, MLflow's runs, reports and keys."""
    from flows.commands.backup import write_backup

    raise typer.Exit(write_backup(target, config=config, as_json=as_json))


@command()
def restore(
    source: Annotated[str, typer.Argument(metavar="BACKUP", help="a file of flywheel backup")],
    force: Annotated[
        bool, typer.Option("--force", help="over a state that is there; that one is kept")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back into the state folder."""
    from flows.commands.backup import bring_back

    raise typer.Exit(bring_back(source, force=force, config=config, as_json=as_json))


@command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on loopback")] = 5000,
    config: Config = None,
) -> None:
    """Serve the MLflow pages on this machine until interrupted."""
    from flows.commands.ui import serve

    raise typer.Exit(serve(port, config=config))


@command()
def up(
    prefect_port: Annotated[
        int, typer.Option("--prefect-port", min=0, max=65535, help="on loopback; 0: any free one")
    ] = 4200,
    mlflow_port: Annotated[
        int, typer.Option("--mlflow-port", min=0, max=65535, help="the same")
    ] = 5000,
    reports_port: Annotated[
        int, typer.Option("--reports-port", min=0, max=65535, help="the same")
    ] = 4210,
    config: Config = None,
) -> None:
    """Prefect with its worker, MLflow and the reports, on this machine until interrupted."""
    from flows.commands.up import Ports, stay_up

    raise typer.Exit(stay_up(Ports(prefect_port, mlflow_port, reports_port), config=config))
