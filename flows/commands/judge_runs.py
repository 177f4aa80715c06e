"""`flywheel judge-runs`: a verdict on results that others computed. Nothing is run, no store is
needed, and without a flywheel.toml the defaults hold."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.commands.show import print_csv
from flows.outlets import Outlets, page_target
from flows.summary import print_verdict
from flows.terminal import print_json
from flows.turn import Outcome
from tasks.errors import UsageError, did_you_mean
from tasks.model.turn import Turn
from tasks.model.verdict import SuiteRole
from tasks.receipts.materials import installed_versions
from tasks.record.pages import write_pages
from tasks.referee.judge import Asked, judge
from tasks.referee.recognise import of_release, read_results
from tasks.referee.scale import Scale
from tasks.referee.scoring import scored, targets_of
from tasks.referee.values import Reading, Results
from tasks.report import page, plot
from tasks.report.standings import standings
from tasks.run import utc_now
from tasks.scoring.instrument import instrument
from tasks.settings import Settings, read_settings
from tasks.settings.toml import read_toml

_MLFLOW = "mlflow:"
_ROLES: tuple[SuiteRole, ...] = ("primary", "guard", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the command line said."""

    runs: tuple[str, ...]
    metric: str = ""
    scorers: tuple[str, ...] = ()
    targets: str = ""
    target: str = ""
    margin: float | None = None
    alpha: float | None = None
    role: str = ""
    scale: tuple[float, float] | None = None
    slices: tuple[str, ...] = ()
    cluster: str = ""
    tracking_uri: str = ""
    html: str = ""
    as_csv: bool = False
    as_json: bool = False
    verbose: bool = False
    config: str | None = None

    def command(self) -> tuple[str, ...]:
        """The command line that judges the same again, without how it is shown."""
        words = ["flywheel", "judge-runs", *self.runs]
        for option, values in (
            ("--metric", (self.metric,)), ("--scorer", self.scorers),
            ("--targets", (self.targets,)), ("--target", (self.target,)), ("--role", (self.role,)),
            ("--slice", self.slices), ("--cluster", (self.cluster,)),
            ("--tracking-uri", (self.tracking_uri,)), ("--config", (self.config,)),
        ):  # fmt: skip
            for value in values:
                words += [option, value] if value else []
        for option, number in (("--margin", self.margin), ("--alpha", self.alpha)):
            words += [] if number is None else [option, f"{number:g}"]
        if self.scale is not None:
            words += ["--range", *(f"{end:g}" for end in self.scale)]
        return tuple(words)


def judge_runs(said: Said, outlets: Outlets) -> int:
    """The exit code of the verdict, as that of `flywheel run`."""
    if len(said.runs) < 2:
        raise UsageError(
            "a verdict needs two runs: the champion's results, then the challenger's",
            received=" ".join(said.runs),
            next="flywheel judge-runs A B",
        )
    if said.as_csv and said.as_json:
        raise UsageError("only one way to show them at a time", received="--csv --json")
    target = page_target(said.html, "--html")
    outlets.check()
    turn, notes = turn_of(said)
    result = outcome_of(turn, target)
    if target is not None:
        pair = turn.pair(turn.leading)
        html = page.render(
            pair,
            plot.draw(pair),
            standings=standings(result.releases, turn.verdicts, turn.ranking),
        )
        write_pages(target.parent, {target.name: html.encode()})
    for note in notes:
        print(f"flywheel: {note}", file=sys.stderr)
    if said.as_csv:
        pair = turn.pair(turn.leading)
        print_csv(pair, pair.judged)
    elif said.as_json:
        print_json(result.to_dict())
    else:
        with outlets.shielded():
            print_verdict(result, verbose=said.verbose, more="the same command with -v")
    outlets.write(result, turn.judged, as_json=said.as_json or said.as_csv)
    return int(not result.may_ship)


def turn_of(said: Said) -> tuple[Turn, tuple[str, ...]]:
    """The runs judged, and what a reader should know of their files."""
    asked = _asked(said)
    settings = read_settings(said.config)
    instruments = [
        instrument(_declared(one), "--scorer", allow_code=settings.allow_code_execution)
        for one in said.scorers
    ]
    for one in instruments:
        one.try_out()
    runs = [_read(one, said, settings) for one in said.runs]
    if instruments:
        others = _read(said.targets, said, settings) if said.targets else None
        targets = targets_of(runs, others, said.target)
        runs = [scored(run, instruments, targets) for run in runs]
    elif said.targets or said.target:
        raise UsageError("targets are for scorers", received="--target", next="add --scorer NAME")
    turn = judge(runs, asked, settings, utc_now(), installed_versions())
    return turn, tuple(note for run in runs for note in run.notes)


def outcome_of(turn: Turn, page_file: Path | None = None) -> Outcome:
    return Outcome(
        run_id=turn.run_id,
        receipts=turn.receipts,
        verdicts=turn.verdicts,
        mlflow_run_id=None,
        report=None if page_file is None else str(page_file),
        resumed_after=None,
        releases={role: release.name for role, release in turn.releases.items()},
        ranking=turn.ranking,
    )


def _asked(said: Said) -> Asked:
    for option, value, below in (("--margin", said.margin, 1.0), ("--alpha", said.alpha, 0.5)):
        if value is not None and not 0 < value < below:
            raise UsageError(
                f"{option} is a share of the scale", received=f"{value:g}",
                allowed=f"above 0, below {below:g}",
            )  # fmt: skip
    role = next((role for role in _ROLES if role == said.role), None)
    if said.role and role is None:
        raise UsageError(
            f"unknown role {said.role!r}{did_you_mean(said.role, _ROLES)}",
            received=f"--role {said.role}",
            allowed=", ".join(_ROLES),
        )
    return Asked(
        reading=Reading(
            metric=said.metric,
            scale=Scale() if said.scale is None else Scale(*said.scale),
            slices=said.slices,
            cluster=said.cluster,
        ),
        margin=said.margin,
        alpha=said.alpha,
        role=role,
        command=said.command(),
    )


def _declared(scorer: str) -> str | dict[str, Any]:
    """A name, or a table as flywheel.toml has it."""
    if not scorer.lstrip().startswith("{"):
        return scorer
    try:
        value = read_toml(f"scorer = {scorer}")["scorer"]
    except ValueError as error:
        raise UsageError(
            f"--scorer is no table of TOML: {error}",
            received=scorer,
            allowed='a name, or { name = "numeric", tolerance = 0.01 }',
        ) from None
    return value if isinstance(value, dict) else str(value)


def _read(named: str, said: Said, settings: Settings) -> Results:
    if not named.startswith(_MLFLOW) or Path(named).exists():
        return read_results(named)
    import os

    from tasks.tracking.environment import prepare_environment, tracking_location

    uri = said.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri:
        declared = settings.mlflow.model_copy(update={"tracking_uri": uri})
        settings = settings.model_copy(update={"mlflow": declared})
    location = tracking_location(settings)
    if location.database is not None and not location.database.exists():
        raise UsageError(
            "MLflow's database is not there", received=str(location.database),
            next="--tracking-uri URI, such as sqlite:///mlflow.db",
        )  # fmt: skip
    prepare_environment()
    from tasks.tracking.evaluations import read_evaluation

    run_id, _, release = named.removeprefix(_MLFLOW).partition("#")
    return of_release(read_evaluation(location, run_id), release, named)
