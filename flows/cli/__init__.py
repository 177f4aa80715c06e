"""The command line: arguments in, exit code out. Bodies are imported only when they run.

Exit codes: 0 promoted or fine, 1 gate held or rejected, 2 usage, 3 data failed validation,
4 system error. `--json` prints exactly one JSON object on standard output; all else goes to
standard error.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from flows.cli import audit, people, receipts, releases, results, setup, stages, state, suites

app = typer.Typer(
    name="flywheel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From production LLM logs to a trustworthy answer: may this release ship?",
)
for each in (stages, results):
    app.add_typer(each.app)
app.add_typer(receipts.receipt, name="receipt", rich_help_panel="Results")
for each in (receipts, releases):
    app.add_typer(each.app)
app.add_typer(releases.release, name="release", rich_help_panel=releases.PANEL)
app.add_typer(releases.prompt, name="prompt", rich_help_panel=releases.PANEL)
app.add_typer(audit.app, name="audit", rich_help_panel=releases.PANEL)
app.add_typer(people.app)
app.add_typer(suites.app, name="suite", rich_help_panel="Suites, labels and judges")
for each in (state, setup):
    app.add_typer(each.app)
app.add_typer(state.store, name="store", rich_help_panel="The state folder")


def _version(said: bool) -> None:
    if said:
        from importlib.metadata import version

        print(f"flywheel {version('llm-flywheel')}")
        raise typer.Exit


@app.callback()
def general(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """What can be said before a command."""
    if context.invoked_subcommand != "init":  # its file belongs to the project
        os.umask(0o077)  # tasks.store.folder says why, and closes what is there
