"""`flywheel audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import Config, Json

app = typer.Typer(no_args_is_help=True, help="Who moved the champion, when and why.")


@app.command()
def verify(
    head: Annotated[
        str,
        typer.Option("--head", metavar="HASH", help="a hash noted before, which must be in it"),
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Whether every row of the audit follows the one before; exit code 1 where one does not."""
    from flows.commands.audit import verify_audit

    raise typer.Exit(verify_audit(head, config=config, as_json=as_json))


@app.command(name="list")
def show(config: Config = None, as_json: Json = False) -> None:
    """The rows of the audit, the newest last."""
    from flows.commands.audit import list_audit

    raise typer.Exit(list_audit(config=config, as_json=as_json))
