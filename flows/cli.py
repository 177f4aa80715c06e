"""The command line: arguments in, exit code out. Bodies are imported only when they run.

Exit codes: 0 promoted or fine, 1 gate held or rejected, 2 usage, 3 data failed validation,
4 system error. `--json` prints exactly one JSON object on standard output; all else goes to
standard error.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from flows.options import (
    Config,
    Github,
    Json,
    Junit,
    Markdown,
    Options,
    RunId,
    Verbose,
    taking,
)
from flows.suite_cli import app as suite

app = typer.Typer(
    name="flywheel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From production LLM logs to a trustworthy answer: may this release ship?",
)
app.add_typer(suite, name="suite")


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


_LOGS = ("files", "logs", "log_format", "since", "until", "backfill")
_RELEASES = ("champion", "challenger", "seed")
_OUTLETS = ("junit", "markdown", "github")


@app.command()
@taking(*_LOGS, *_RELEASES, "inline", "verbose", *_OUTLETS)
def run(options: Options) -> int:
    """One whole turn: logs in, verdict out, everything recorded."""
    return _turn("run", options)


@app.command()
@taking(*_LOGS)
def ingest(options: Options) -> int:
    """Take in new log records; what cannot be read becomes a dead letter."""
    return _turn("ingest", options)


@app.command()
@taking()
def validate(options: Options) -> int:
    """Check what came in, quarantine what fails, redact the rest."""
    return _turn("validate", options)


@app.command()
@taking("seed")
def curate(options: Options) -> int:
    """Build the eval set from suites, failures and traffic."""
    return _turn("curate", options)


@app.command()
@taking(*_RELEASES)
def plan(options: Options) -> int:
    """What the eval set can decide and what that costs, before any token is spent."""
    return _turn("plan", options)


@app.command(name="eval")
@taking(*_RELEASES)
def evaluate(options: Options) -> int:
    """Replay the eval set on champion and challenger and score the answers."""
    return _turn("eval", options)


@app.command()
@taking("champion", "seed")
def noise(options: Options) -> int:
    """By how much the champion differs from itself, in another batch, with other threads or seeds:
    the floor under every margin."""
    return _turn("noise", options)


@app.command()
@taking("run_id", "champion", "challenger", "verbose", *_OUTLETS)
def gate(options: Options) -> int:
    """Decide on the stored scores of an evaluated run: better, no_worse, worse, blocked or
    cannot_tell."""
    return _turn("gate", options)


@app.command()
@taking("held", "log_format")
def replay(options: Options) -> int:
    """After a fix: dead letters and quarantined calls that pass by now come in, each once."""
    return _turn("replay", options)


def _turn(command: str, options: Options) -> int:
    from flows.commands.turn import run_command

    return run_command(command, options)


@app.command()
def drift(
    run_id: RunId = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """How the calls that a run took in differ from those before, column by column."""
    from flows.commands.drift import show_drift

    raise typer.Exit(show_drift(run_id, config=config, as_json=as_json))


@app.command()
def items(
    run_id: RunId = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The health of a run's eval set: samples that all get right or wrong, that are flaky, or on
    which better releases do worse."""
    from flows.commands.items import show_items

    raise typer.Exit(show_items(run_id, config=config, as_json=as_json))


@app.command()
def report(
    run_id: RunId = "",
    verbose: Verbose = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the result of a run again, with the paths of its pages."""
    from flows.commands.turn import show_run

    raise typer.Exit(show_run(run_id, verbose=verbose, config=config, as_json=as_json))


@app.command()
def pin(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", help="the call, or its beginning [default: list]")
    ] = "",
    why: Annotated[str, typer.Option("--why", help="for whoever meets the pin later")] = "",
    owner: Annotated[str, typer.Option("--owner", help="[default: the suite's]")] = "",
    expires: Annotated[
        str, typer.Option("--expires", metavar="DAY", help="the last day it holds")
    ] = "",
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


@app.command()
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


@app.command()
def review(
    run_id: RunId = "",
    suite: Annotated[str, typer.Option("--suite", help="one suite [default: all]")] = "",
    by: Annotated[str, typer.Option("--by", help="who reviews [default: who is logged in]")] = "",
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
    challenger: Annotated[
        str, typer.Option("--challenger", help="of several [default: the leading one]")
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say which answers of a run are right: with keys, on a page, or in a spreadsheet."""
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
    )
    raise typer.Exit(review_answers(asked, config=config, as_json=as_json))


@app.command(name="judge-runs")
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
    """A verdict on results that others computed: Inspect, lm-eval, promptfoo, NeMo Evaluator,
    AlpacaEval, MLflow, CSV, JSON lines. Nothing is run."""
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


@app.command()
def show(
    run_id: RunId = "",
    suite: Annotated[str, typer.Option("--suite", help="one suite [default: all]")] = "",
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
    challenger: Annotated[
        str, typer.Option("--challenger", help="of several [default: the leading one]")
    ] = "",
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


@app.command()
def explain(
    run_id: RunId = "",
    challenger: Annotated[
        str, typer.Option("--challenger", help="of several [default: the leading one]")
    ] = "",
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
    """Where the difference between the releases of a run comes from: model, prompt, sampling or
    engine."""
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


@app.command()
def judge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of [judges.NAME]")],
    labels: Annotated[
        str,
        typer.Option(
            "--labels", metavar="FILE", help="JSON lines [default: its own, else feedback]"
        ),
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What a judge is worth: its agreement with labels of people, flips, biases and cost."""
    from flows.commands.judge import measure_judge

    raise typer.Exit(measure_judge(name, labels=labels, config=config, as_json=as_json))


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
def purge(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, help="days [default: raw_days in [retention]]"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="whatever its age")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take raw bytes that were held long enough out of the state folder and its files."""
    from flows.commands.purge import purge_raw

    raise typer.Exit(
        purge_raw(
            older_than, everything=everything, dry_run=dry_run, config=config, as_json=as_json
        )
    )


@app.command()
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


@app.command()
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
    """Register the deployments of prefect.yaml, the nightly turn and the weekly noise floor, with
    the server at PREFECT_API_URL."""
    from flows.commands.deploy import register

    raise typer.Exit(register(pool, config=config))


@app.command()
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


@app.command()
def check(config: Config = None, as_json: Json = False) -> None:
    """Check all that can be known before a run: settings, rules, suites, prompts and models."""
    from flows.commands.check import check as check_configuration

    raise typer.Exit(check_configuration(config=config, as_json=as_json))


@app.command()
def doctor(config: Config = None, as_json: Json = False) -> None:
    """Say what is installed, which device there is, and whether each store answers."""
    from flows.commands.doctor import examine

    raise typer.Exit(examine(config=config, as_json=as_json))
