"""The HTML pages of one turn: one file each, nothing from outside, light and dark.

All text of logs and models is hostile: jinja2 escapes everything, the one exception being the
plot, whose text matplotlib has escaped. A content security policy forbids every script besides the
one that filters and sorts answers, which it names by its hash; without it all can be read.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.model.explanation import Explanation
from tasks.model.profile import AnswerProfile
from tasks.model.turn import Turn
from tasks.report import commands, drift, flips, funnel, intake, wording
from tasks.report.also import also_scored
from tasks.report.brief import brief
from tasks.report.escaping import page_templates
from tasks.report.judges import card_rows
from tasks.report.lineage import steps
from tasks.report.listing import (
    MAX_TEXT_CHARS,
    listing,
    sample_slices,
    show_command,
    word_differences,
)
from tasks.report.plot import Plot, draw_split
from tasks.report.standings import ReleaseRow, suites_of
from tasks.report.warnings import of_prompts, warnings
from tasks.scoring.repeats import answer_noise
from tasks.scoring.trajectory import summary, trajectories

MAX_FLIPS = 24
MAX_LOG_FILES = 100
MAX_ITEMS = 6
MAX_QUESTION_CHARS = 160


def render(
    turn: Turn,
    plot: Plot | None,
    *,
    compare_url_path: str | None = None,
    mlflow_run_id: str | None = None,
    standings: Sequence[ReleaseRow] = (),
    pages: Mapping[Role, str] = {},
    receipt: str = "",
) -> str:
    """The whole page of a turn of one challenger, as text. The same turn gives the same page.

    `standings`: all releases, where there were several challengers; `pages`: the files beside this
    one that are of the others; `receipt`: where the signed receipt lies, from this page on.
    """
    from markupsafe import Markup

    headline, consequence = wording.headline(turn)
    changes = flips.choose(turn.judged, MAX_FLIPS)
    warned = warnings(turn.verdict.suites, turn.profiles)
    return str(
        template("report").render(
            turn=turn,
            headline=headline,
            consequence=consequence,
            plot=None if plot is None else Markup(plot.inline),  # noqa: S704 - see the docstring
            curves=None if plot is None or not plot.curves else Markup(plot.curves),  # noqa: S704
            plot_left_out=0 if plot is None else plot.num_left_out,
            changes=changes,
            brief=brief(turn.verdict, warned),
            warnings=(*warned, *of_prompts(turn.receipts)),
            used=_used(turn),
            judges=[
                (suite.rule.name, suite.judge, card_rows(suite.judge))
                for suite in turn.verdict.suites
                if suite.judge is not None
            ],
            sessions=summary(trajectories(turn.judged)),
            listed=listing(turn.judged, first=changes.chosen),
            names=_names(turn),
            show_command=show_command(turn),
            **_script(),
            repeats=[
                wording.repeats(suite, noise)
                for suite, noise in answer_noise(turn.judged, turn.releases).items()
            ],
            to_look_at=turn.health.worst(MAX_ITEMS),
            num_to_look_at=len(turn.health.worst(len(turn.health.samples))),
            steps=steps(turn),
            log_files=turn.log_files[:MAX_LOG_FILES],
            num_more_log_files=max(0, len(turn.log_files) - MAX_LOG_FILES),
            commands=commands.commands(turn, compare_url_path),
            mlflow_run_id=mlflow_run_id,
            standings=standings,
            suites=suites_of(turn.ranking),
            pages=pages,
            receipt=receipt,
        )
    )


def render_answers(turn: Turn, chosen: Sequence[JudgedSample], num_selected: int) -> str:
    """A page of these samples alone, in this order, of a turn of one challenger; of so many that
    were selected."""
    return str(
        template("answers").render(
            turn=turn,
            listed=listing(chosen, num_selected=num_selected),
            names=_names(turn),
            show_command=show_command(turn),
            **_script(),
        )
    )


def _used(turn: Turn) -> list[tuple[AnswerProfile, float | None]]:
    """What the answers of both releases are like, each with the mean score on its suite."""
    means = {
        (suite.rule.name, role): score.mean
        for suite in turn.verdict.suites
        for role, score in suite.releases.items()
    }
    return [(profile, means.get((profile.suite, profile.role))) for profile in turn.profiles]


def _names(turn: Turn) -> dict[Role, str]:
    return {role: turn.releases[role].name for role in ROLES}


def _script() -> dict[str, Any]:
    """The script of pages with answers, and what their content security policy calls it."""
    from markupsafe import Markup

    text = files("tasks.report").joinpath("templates/samples.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_hash": f"sha256-{digest}"}  # noqa: S704 - it is ours


def render_explanation(explanation: Explanation) -> str:
    """The page of where a difference comes from. The same explanation gives the same page."""
    from markupsafe import Markup

    drawn = draw_split(explanation) if explanation.cells else None
    return str(
        template("explain").render(
            found=explanation,
            plot=None if drawn is None else Markup(drawn),  # noqa: S704 - see the docstring
        )
    )


@cache
def template(name: str) -> Any:
    environment = page_templates("tasks.report")
    environment.filters |= {
        "percent": wording.percent,
        "relative": wording.relative,
        "points": wording.points,
        "share": wording.share,
        "count": wording.count,
        "money": wording.money,
        "seconds": wording.seconds,
        "label": wording.label,
        "shortened": lambda text: wording.shortened(text, MAX_TEXT_CHARS),
        "message_text": wording.message_text,
        "question": lambda sample: wording.question(sample, MAX_QUESTION_CHARS),
    }
    environment.globals |= {
        "interval": wording.interval,
        "relative_interval": wording.relative_interval,
        "moved": drift.moved,
        "margin": wording.margin,
        "measured": wording.measured,
        "mean_tokens": wording.mean_tokens,
        "mean_cost": wording.mean_cost,
        "roles": ROLES,
        "flags": wording.FLAGS,
        "outcome_names": wording.OUTCOME_NAMES,
        "also_scored": also_scored,
        "word_differences": word_differences,
        "sample_slices": sample_slices,
        "without_score": wording.without_score,
        "units": funnel.UNITS,
        "shares_of": funnel.shares,
        "reasons_of": funnel.reasons,
        "unread_in": intake.unread,
        "unread_keys_in": intake.unread_keys,
        "without_calls_in": intake.without_calls,
        "sessions_in": intake.sessions,
        "read_in_part": intake.read_in_part,
    }
    return environment.get_template(f"{name}.html.j2")
