"""Receipts of verdicts, and verdicts executed again."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from flows.options import Config, Json, RunId


class _OfRun(TyperGroup):
    """`flywheel receipt RUN` is `flywheel receipt show RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or not (args[0] in self.commands or args[0] in ("-h", "--help")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


receipt = typer.Typer(
    cls=_OfRun, help="The signed receipt of a verdict: show, verify, and the key it is signed with."
)
app = typer.Typer()


@receipt.command(name="show")
def show(
    run_id: RunId = "",
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="the signed payload, byte by byte")
    ] = False,
) -> None:
    """The receipt of a decided run; without `show` too."""
    from flows.commands.receipt import show_receipt

    raise typer.Exit(show_receipt(run_id, config=config, as_json=as_json))


@receipt.command(name="verify")
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a receipt")],
    key: Annotated[
        str, typer.Option("--key", metavar="PUBKEY", help="public key [default: one beside FILE]")
    ] = "",
    as_json: Json = False,
) -> None:
    """Whether a receipt is as it was signed; what is not is named. No store and no settings."""
    from flows.commands.receipt import verify_receipt

    raise typer.Exit(verify_receipt(file, key, as_json=as_json))


@receipt.command(name="key")
def key(config: Config = None, as_json: Json = False) -> None:
    """Print the public key that receipts of this state folder are checked by."""
    from flows.commands.receipt import show_key

    raise typer.Exit(show_key(config=config, as_json=as_json))


@app.command(rich_help_panel="Results")
def reproduce(
    run_id: RunId = "",
    on: Annotated[
        str, typer.Option("--on", metavar="DEVICE", help="cpu, cuda or cuda:N instead of its own")
    ] = "",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="go on after a link that differs, and measure")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Execute a verdict again from what was recorded: equal to the bit, or which link differs."""
    from flows.commands.reproduce import reproduce_run

    raise typer.Exit(
        reproduce_run(run_id, device=on, anyway=anyway, config=config, as_json=as_json)
    )
