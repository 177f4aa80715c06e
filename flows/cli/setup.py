"""Before the first run, and before every one."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from flows.options import Config, Json

app = typer.Typer()
command = partial(app.command, rich_help_panel="Setting up")


@command()
def init(
    show: Annotated[bool, typer.Option("--print", help="print it instead of writing it")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace an existing file")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="the JSON Schema that editors check it by, instead")
    ] = False,
) -> None:
    """Write a flywheel.toml with every key and its meaning."""
    from flows.commands.init import write_config

    raise typer.Exit(write_config(show=show, force=force, schema=schema))


@command()
def check(config: Config = None, as_json: Json = False) -> None:
    """Check all that can be known before a run: settings, rules, suites, prompts and models."""
    from flows.commands.check import check as check_configuration

    raise typer.Exit(check_configuration(config=config, as_json=as_json))


@command()
def doctor(config: Config = None, as_json: Json = False) -> None:
    """Say what is installed, which device there is, and whether each store answers."""
    from flows.commands.doctor import examine

    raise typer.Exit(examine(config=config, as_json=as_json))


@command()
def deploy(
    pool: Annotated[str, typer.Option(help="Prefect work pool, made if missing")] = "flywheel",
    job_template: Annotated[
        str | None,
        typer.Option(
            help="base job template (YAML or JSON): the pool is one of Kubernetes, and has it"
        ),
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[DEPLOYMENT.]NAME=VALUE",
            help="of all deployments, or of one; of those that the pool's template has; repeatable",
        ),
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="of the schedules that name UTC or none [default: UTC]")
    ] = "",
    config: Config = None,
) -> None:
    """Register the deployments of prefect.yaml with the server at PREFECT_API_URL.

    A pool of another kind than process is left as it is, and its deployments have no folder: the
    image that it names has the code."""
    from flows.commands.deploy import register

    raise typer.Exit(
        register(
            pool,
            config=config,
            job_template=job_template,
            job_variables=job_variable or (),
            timezone=timezone,
        )
    )
