"""What people say: labels, pins, and what a judge is worth by them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from flows.options import By, Config, Expires, Json, OneChallenger, OneSuite, RunId

app = typer.Typer()
command = partial(app.command, rich_help_panel="Suites, labels and judges")


@command()
def review(
    run_id: RunId = "",
    suite: OneSuite = "",
    by: By = "",
    web: Annotated[bool, typer.Option("--web", help="as a page on this machine")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of --web; 0: any")] = 0,
    status: Annotated[
        bool, typer.Option("--status", help="what the labels come to, and who agrees")
    ] = False,
    export: Annotated[
        str, typer.Option("--export", metavar="FILE", help="answers to label, .csv or .jsonl")
    ] = "",
    bring: Annotated[
        str, typer.Option("--import", metavar="FILE", help="that file, with values filled in")
    ] = "",
    for_judge: Annotated[
        str, typer.Option("--for-judge", metavar="FILE", help="the labels as a judge takes them")
    ] = "",
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="a review queue there, and back what was said in it")
    ] = False,
    first: Annotated[
        int, typer.Option("--first", min=0, help="of --mlflow: pairs nobody has labelled yet")
    ] = 30,
    challenger: OneChallenger = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say which answers of a run are right: with keys, on a page, in a spreadsheet, in MLflow."""
    from flows.commands.review import Asked
    from flows.commands.review import review as review_answers

    asked = Asked(
        run_id=run_id,
        suite=suite,
        challenger=challenger,
        by=by,
        web=web,
        port=port,
        status=status,
        export=export,
        bring=bring,
        for_judge=for_judge,
        mlflow=mlflow,
        num_first=first,
    )
    raise typer.Exit(review_answers(asked, config=config, as_json=as_json))


@command()
def pin(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", help="the call, or its beginning [default: list]")
    ] = "",
    why: Annotated[str, typer.Option("--why", help="for whoever meets the pin later")] = "",
    owner: Annotated[str, typer.Option("--owner", help="[default: the suite's]")] = "",
    expires: Expires = "",
    suite: Annotated[str, typer.Option("--suite", help="[default: by the task of the call]")] = "",
    target: Annotated[
        str, typer.Option("--target", help="the right answer [default: as people gave it]")
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have a call of production block every release that does not get it right."""
    from flows.commands.pin import pin as pin_call

    raise typer.Exit(
        pin_call(
            request_id,
            why=why,
            owner=owner,
            expires=expires,
            suite=suite,
            target=target,
            config=config,
            as_json=as_json,
        )
    )


@command()
def judge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of [judges.NAME]")],
    labels: Annotated[
        str,
        typer.Option(
            "--labels", metavar="FILE", help="JSON lines [default: its own, else feedback]"
        ),
    ] = "",
    record: Annotated[bool, typer.Option("--record", help="the card in MLflow, as a run")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What a judge is worth: its agreement with labels of people, flips, biases and cost."""
    from flows.commands.judge import measure_judge

    raise typer.Exit(
        measure_judge(name, labels=labels, config=config, as_json=as_json, is_recorded=record)
    )
