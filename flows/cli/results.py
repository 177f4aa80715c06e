"""What a run found, looked at again; and results that others computed."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from flows.options import (
    Config,
    Github,
    Json,
    Junit,
    Markdown,
    OneChallenger,
    OneSuite,
    RunId,
    Verbose,
)

app = typer.Typer()
command = partial(app.command, rich_help_panel="Results")


@command()
def report(
    run_id: RunId = "",
    verbose: Verbose = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the result of a run again, with the paths of its pages."""
    from flows.commands.turn import show_run

    raise typer.Exit(show_run(run_id, verbose=verbose, config=config, as_json=as_json))


@command()
def record(run_id: RunId = "", config: Config = None, as_json: Json = False) -> None:
    """Record verdicts that MLflow was not there for; what is recorded is left alone."""
    from flows.commands.record import record as record_them

    raise typer.Exit(record_them(run_id, config=config, as_json=as_json))


@command()
def status(
    runs: Annotated[int, typer.Option("--runs", min=1, help="the newest so many")] = 10,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Where things stand over all runs: the last verdict, every suite, the data."""
    from flows.commands.status import show_status

    raise typer.Exit(show_status(runs, config=config, as_json=as_json))


@command()
def verdict(
    run_id: RunId = "",
    verbose: Verbose = False,
    junit: Junit = "",
    markdown: Markdown = "",
    github: Github = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="print the JSON Schema of --json instead")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The verdict of a run again, for scripts and CI: exit code, JSON, JUnit, Markdown."""
    from flows.commands.verdict import show_verdict
    from flows.outlets import Outlets

    raise typer.Exit(
        show_verdict(
            run_id,
            Outlets(junit=junit, markdown=markdown, github=github),
            verbose=verbose,
            schema=schema,
            config=config,
            as_json=as_json,
        )
    )


@command()
def show(
    run_id: RunId = "",
    suite: OneSuite = "",
    lost: Annotated[bool, typer.Option("--lost", help="the challenger scores less")] = False,
    won: Annotated[bool, typer.Option("--won", help="the challenger scores more")] = False,
    both_failed: Annotated[bool, typer.Option("--both-failed", help="both score 0")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="another score, or only another text")
    ] = False,
    unscored: Annotated[
        bool, typer.Option("--unscored", help="of a release no score is known")
    ] = False,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="KEY=VALUE", help="in that slice; repeatable"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="samples at most [default: 20 on a terminal, else all]"
        ),
    ] = None,
    challenger: OneChallenger = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="for a spreadsheet")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="one JSON object a sample")] = False,
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="as a page")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The questions of a run with both answers and where they differ, target, score and why."""
    from flows.commands.show import Shown, show_answers
    from tasks.model.answer import Outcome
    from tasks.report.selection import Selection

    outcomes: dict[Outcome, bool] = {
        "lost": lost, "won": won, "both_failed": both_failed, "unscored": unscored,
    }  # fmt: skip
    raise typer.Exit(
        show_answers(
            run_id,
            Shown(
                selection=Selection(
                    suite=suite,
                    outcomes=tuple(name for name, is_asked in outcomes.items() if is_asked),
                    is_changed=changed,
                    slices=tuple(slices or ()),
                ),
                limit=limit,
                challenger=challenger,
                as_csv=as_csv,
                as_jsonl=as_jsonl,
                as_json=as_json,
                html=html,
            ),
            config=config,
        )
    )


@command()
def explain(
    run_id: RunId = "",
    challenger: OneChallenger = "",
    suite: Annotated[str, typer.Option("--suite", help="one suite [default: all that gate]")] = "",
    samples: Annotated[
        int,
        typer.Option(
            "--samples", min=1, help="samples whose score changed, at most, and as many others"
        ),
    ] = 200,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What makes the difference between two releases: model, prompt, sampling or engine."""
    from flows.commands.explain import explain_run

    raise typer.Exit(
        explain_run(
            run_id,
            challenger=challenger,
            suite=suite,
            num_samples=samples,
            config=config,
            as_json=as_json,
        )
    )


@command()
def items(
    run_id: RunId = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The health of a run's eval set, sample by sample.

    Samples that all get right or wrong, that are flaky, or on which better releases do worse."""
    from flows.commands.items import show_items

    raise typer.Exit(show_items(run_id, config=config, as_json=as_json))


@command()
def drift(
    run_id: RunId = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """How the calls that a run took in differ from those before, column by column."""
    from flows.commands.drift import show_drift

    raise typer.Exit(show_drift(run_id, config=config, as_json=as_json))


@command()
def lineage(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="a run, release, suite, request, log file, or the beginning of a digest or an id",
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="only what it came from")] = False,
    down: Annotated[bool, typer.Option("--down", help="only what stood on it")] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, help="levels, at most [default: all]")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="where several are called so: run, release, sample, …")
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """From one thing up to the log lines it came from, and down to the verdicts on it."""
    from flows.commands.lineage import show_lineage
    from tasks.model.lineage import Direction

    asked: list[tuple[Direction, bool]] = [("up", up or not down), ("down", down or not up)]
    raise typer.Exit(
        show_lineage(
            name,
            kind=kind,
            directions=[direction for direction, is_asked in asked if is_asked],
            depth=depth,
            config=config,
            as_json=as_json,
        )
    )


@command(name="judge-runs")
def judge_runs(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="CHAMPION CHALLENGER…",
            help="results: FILE, FILE#RELEASE, folder, mlflow:RUN",
        ),
    ],
    metric: Annotated[
        str, typer.Option("--metric", help="which score [default: the first that all have]")
    ] = "",
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", help="score the outputs by one of ours; repeatable"),
    ] = None,
    targets: Annotated[
        str, typer.Option("--targets", metavar="FILE", help="targets or reference outputs, by id")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="TEXT", help="one target for all samples")
    ] = "",
    margin: Annotated[
        float | None, typer.Option("--margin", help="loss that is accepted, 0 to 1")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="error rate of the gate, two-sided")
    ] = None,
    role: Annotated[
        str, typer.Option("--role", help="of all suites: primary, guard or report")
    ] = "",
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="WORST BEST", help="scores that count 0 and 1"),
    ] = None,
    slices: Annotated[
        list[str] | None, typer.Option("--slice", metavar="NAME", help="a field to slice by")
    ] = None,
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="NAME", help="a field that groups samples")
    ] = "",
    tracking_uri: Annotated[
        str, typer.Option("--tracking-uri", help="MLflow, for mlflow:RUN")
    ] = "",
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="write the report")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="all samples, for a spreadsheet")] = False,
    verbose: Verbose = False,
    junit: Junit = "",
    markdown: Markdown = "",
    github: Github = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """A verdict on results that others computed; nothing is run.

    Inspect, lm-eval, promptfoo, NeMo Evaluator, AlpacaEval, MLflow, CSV, JSON lines."""
    from flows.commands.judge_runs import Said
    from flows.commands.judge_runs import judge_runs as judge
    from flows.outlets import Outlets

    said = Said(
        runs=tuple(runs), metric=metric, scorers=tuple(scorer or ()), targets=targets,
        target=target, margin=margin, alpha=alpha, role=role, scale=scale,
        slices=tuple(slices or ()), cluster=cluster, tracking_uri=tracking_uri, html=html,
        as_csv=as_csv, as_json=as_json, verbose=verbose, config=config,
    )  # fmt: skip
    raise typer.Exit(judge(said, Outlets(junit=junit, markdown=markdown, github=github)))
