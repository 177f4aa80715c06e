"""`flywheel audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import Config, Json

app = typer.Typer(
    no_args_is_help=True, help="Who moved the champion, and what needs looking after."
)


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


@app.command()
def debt(
    days: Annotated[
        int, typer.Option("--days", min=1, help="without use until a thing counts as unused")
    ] = 30,
    max_age: Annotated[
        int, typer.Option("--max-age", min=1, help="of samples and sets until they are stale, days")
    ] = 90,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit code 1 where any is found")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What nobody uses, owns or renews: suites, rules, inputs, prompts, releases and pins."""
    from flows.commands.debt import show_debt

    raise typer.Exit(
        show_debt(days=days, max_age=max_age, strict=strict, config=config, as_json=as_json)
    )
