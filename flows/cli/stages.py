"""A turn and its stages."""

from __future__ import annotations

from functools import partial

import typer

from flows.options import Options, taking

app = typer.Typer()
command = partial(app.command, rich_help_panel="A turn and its stages")


_LOGS = ("files", "logs", "log_format", "since", "until", "backfill")
_RELEASES = ("champion", "challenger", "seed")
_OUTLETS = ("junit", "markdown", "github")


@command()
@taking(*_LOGS, *_RELEASES, "on", "inline", "verbose", *_OUTLETS)
def run(options: Options) -> int:
    """One whole turn: logs in, verdict out, everything recorded."""
    return _turn("run", options)


@command()
@taking(*_LOGS, "on")
def ingest(options: Options) -> int:
    """Take in new log records; what cannot be read becomes a dead letter."""
    return _turn("ingest", options)


@command()
@taking("on")
def validate(options: Options) -> int:
    """Check what came in, quarantine what fails, redact the rest."""
    return _turn("validate", options)


@command()
@taking("seed")
def curate(options: Options) -> int:
    """Build the eval set from suites, failures and traffic."""
    return _turn("curate", options)


@command()
@taking(*_RELEASES)
def plan(options: Options) -> int:
    """What the eval set can decide and what that costs, before any token is spent."""
    return _turn("plan", options)


@command(name="eval")
@taking(*_RELEASES, "on")
def evaluate(options: Options) -> int:
    """Replay the eval set on champion and challenger and score the answers."""
    return _turn("eval", options)


@command()
@taking("champion", "seed")
def noise(options: Options) -> int:
    """By how much the champion differs from itself: the floor under every margin.

    In another batch, with other threads, with other seeds."""
    return _turn("noise", options)


@command()
@taking("run_id", "champion", "challenger", "verbose", *_OUTLETS)
def gate(options: Options) -> int:
    """Decide on the stored scores of an evaluated run.

    The verdict is better, no_worse, worse, blocked or cannot_tell."""
    return _turn("gate", options)


@command()
@taking("held", "log_format")
def replay(options: Options) -> int:
    """After a fix: dead letters and quarantined calls that pass by now come in, each once."""
    return _turn("replay", options)


def _turn(command: str, options: Options) -> int:
    from flows.commands.turn import run_command

    return run_command(command, options)
