"""The flywheel from Python and notebooks: the commands' own functions, with data frames.

    from flows.api import compare, result, turn

    turn()                                   as `flywheel run --inline`
    result()                                 the last run that was decided
    compare("a.csv", "b.csv")                as `flywheel judge-runs`; data frames too

What is wrong is raised as tasks.errors.FlywheelError, whose `line()` says what to do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.model.visible import visible
from tasks.report.wording import interval, percent, points
from tasks.store.opening import open_store

if TYPE_CHECKING:
    import pandas as pd

    from flows.turn import Outcome
    from tasks.model.turn import Turn

__all__ = ["Result", "compare", "result", "turn"]

_SUITE = (
    "suite", "role", "scorer", "num_samples", "champion", "challenger", "difference", "ci_low",
    "ci_high", "margin", "verdict",
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """A decided run. The frames are of the leading challenger against the champion; differences
    are challenger minus champion, of shares from 0 to 1."""

    outcome: Outcome
    judged: Turn

    @property
    def verdict(self) -> str:
        """better, no_worse, worse, blocked or cannot_tell."""
        return self.judged.verdict.verdict

    @property
    def may_ship(self) -> bool:
        return self.outcome.may_ship

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every sentence of the verdict, the decisive one first."""
        return tuple(self.judged.verdict.reasons)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is probably wrong with the set-up."""
        return self.outcome.warnings

    @property
    def suites(self) -> pd.DataFrame:
        """A row a suite; the interval is that of the difference at this look."""
        import pandas as pd

        told = [suite.to_json() for suite in self.judged.verdict.suites]
        return pd.DataFrame(told, columns=list(_SUITE))

    @property
    def samples(self) -> pd.DataFrame:
        """A row a sample and repeat, losses first, with question, target, both answers and scores:
        the columns of `flywheel show --csv`."""
        import pandas as pd

        from tasks.report.flips import in_order
        from tasks.report.rows import to_rows

        pair = self.judged.pair(self.judged.leading)
        return pd.DataFrame([row for item in in_order(pair.judged) for row in to_rows(pair, item)])

    @property
    def slices(self) -> pd.DataFrame:
        """A row a slice of a suite, as in `flywheel verdict --json`."""
        import pandas as pd

        return pd.DataFrame(self.outcome.to_dict()["slices"])

    def to_dict(self) -> dict[str, Any]:
        """The object of `flywheel verdict --json`."""
        return self.outcome.to_dict()

    def report(self) -> str:
        """The whole HTML page of the run."""
        from tasks.report import page, plot
        from tasks.report.standings import standings

        pair = self.judged.pair(self.judged.leading)
        others = standings(self.outcome.releases, self.judged.verdicts, self.judged.ranking)
        return page.render(pair, plot.draw(pair), standings=others)

    def __repr__(self) -> str:
        return visible(f"{self._title()}\n" + "\n".join(f"· {text}" for text in self.reasons))

    def _repr_html_(self) -> str:
        columns = ("suite", "scorer", "samples", "champion", "challenger", "difference", "verdict")
        head = "".join(f"<th>{name}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        return (
            f"<p><strong>{_html(self._title())}</strong></p><p>{_html(self.reasons[0])}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _title(self) -> str:
        names = {role: release.name for role, release in self.judged.releases.items()}
        pair = f"{names[self.judged.leading]} against {names['champion']}"
        return f"{self.verdict.replace('_', ' ')}: {pair}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                suite.rule.name, suite.scorer, f"{suite.num_samples:,}",
                percent(suite.releases["champion"].mean),
                percent(suite.releases["challenger"].mean),
                f"{points(suite.difference)} [{interval(suite.interval, signed=True)}]",
                suite.verdict.replace("_", " "),
            )
            for suite in self.judged.verdict.suites
        ]  # fmt: skip


def turn(
    config: str | None = None,
    *,
    champion: str = "",
    challenger: str | Sequence[str] = (),
    logs: Sequence[str] = (),
    since: str = "",
    until: str = "",
    seed: int | None = None,
) -> Result:
    """One whole turn in this process, recorded and resumed as by `flywheel run --inline`. What is
    not said is what flywheel.toml says. Raises FlywheelError."""
    from flows.options import Options
    from flows.progress import shown
    from flows.stages import stages_of
    from flows.turn import hold, request_from
    from flows.turn import turn as turn_once
    from tasks import preflight
    from tasks.settings import read_settings

    settings = read_settings(config)
    options = Options(
        champion=champion,
        challenger=[challenger] if isinstance(challenger, str) else list(challenger),
        logs=list(logs),
        since=since,
        until=until,
        seed=seed,
        config=config,
    )
    request = request_from(settings, options, stages_of("run"))
    preflight.require(settings, request)
    with hold(settings), shown() as progress:
        done = turn_once(settings, request, progress=progress)
    return result(done.run_id, config)


def result(run: str = "", config: str | None = None) -> Result:
    """A decided run by its id or its beginning; of none named the last. Raises FlywheelError."""
    from flows.commands.decided import read_decided
    from flows.turn import outcome
    from tasks.settings import read_settings

    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        found, judged = read_decided(
            store,
            settings,
            run,
            undecided="the run has no verdict",
            next="turn(), or flywheel gate",
        )
        return Result(outcome(store, found.run_id), judged)


def compare(
    champion: str | Path | pd.DataFrame,
    challenger: str | Path | pd.DataFrame,
    *,
    metric: str = "",
    scorer: str | Sequence[str] = (),
    target: str = "",
    margin: float | None = None,
    alpha: float | None = None,
    role: str = "",
    scale: tuple[float, float] | None = None,
    slices: Sequence[str] = (),
    cluster: str = "",
    config: str | None = None,
) -> Result:
    """A verdict on results that are there, nothing is run: files of any format of `flywheel
    judge-runs`, or data frames with the columns id and score (docs/referee.md has the others).
    Raises FlywheelError."""
    from flows.commands.judge_runs import Said, outcome_of, turn_of

    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        named = {"champion": champion, "challenger": challenger}
        said = Said(
            runs=tuple(
                _named(runs, Path(folder) / f"{name}.jsonl") for name, runs in named.items()
            ),
            metric=metric,
            scorers=(scorer,) if isinstance(scorer, str) else tuple(scorer),
            target=target,
            margin=margin,
            alpha=alpha,
            role=role,
            scale=scale,
            slices=tuple(slices),
            cluster=cluster,
            config=config,
        )
        judged, _ = turn_of(said)
        return Result(outcome_of(judged), judged)


def _named(runs: str | Path | pd.DataFrame | Mapping[str, Any], file: Path) -> str:
    """What the referee reads: a frame as a file of its own."""
    if isinstance(runs, str | Path):
        return str(runs)
    import pandas as pd

    text = pd.DataFrame(runs).to_json(orient="records", lines=True, force_ascii=False)
    file.write_text(text or "", encoding="utf-8")
    return str(file)


def _html(text: str) -> str:
    return escape(visible(text))
