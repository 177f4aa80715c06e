"""What a judge was measured to be, as a run of its own beside the verdicts: numbers, its settings
and a digest of what it was held against; no text that was judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model.comparison import Interval
from tasks.model.judge import Agreed, JudgeCard, Rate
from tasks.report.judges import card_note
from tasks.settings import Settings
from tasks.tracking import links, values
from tasks.tracking.publish import log_values
from tasks.tracking.session import open_session

#: of a run that measures a judge
ROLE = "judge"
VERSION_TAG = "flywheel.judge"
CARD_FILE = "judge.json"


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """Where it stands; the path follows the server's address."""

    mlflow_run_id: str
    run_url_path: str


def record_judge(
    settings: Settings, run_id: str, card: JudgeCard, about: Mapping[str, Any], seconds: float
) -> JudgeRun:
    """`about`: what it was and what it was held against, flattened into parameters. Every
    measurement is a run. Raises StoreError, transient where a server does not answer."""
    with open_session(settings) as session:
        came_to = "may gate" if card.can_gate else "informs"
        tags = {
            values.RUN_ID_TAG: run_id,
            values.ROLE_TAG: ROLE,
            VERSION_TAG: card.version,
            "may gate": "yes" if card.can_gate else "no",
            "mlflow.source.name": "flywheel",
            "mlflow.source.type": "JOB",
            "mlflow.note.content": values.shortened(card_note(card), values.MAX_TAG_CHARS),
        }
        name = f"judge {card.name} · {came_to}"
        run = session.client.create_run(session.experiment_id, run_name=name, tags=tags)
        mlflow_run_id: str = run.info.run_id
        params = values.flatten("judge", {"name": card.name, "version": card.version, **about})
        shortened = {
            key[:250]: values.shortened(text, values.MAX_PARAM_CHARS)
            for key, text in params.items()
        }
        log_values(session, mlflow_run_id, shortened, judge_metrics(card, seconds))
        text = json.dumps({**card.to_json(), "about": dict(about), "seconds": seconds}, indent=1)
        session.client.log_text(mlflow_run_id, text, CARD_FILE)
        # last of all: a run that a kill left behind stays unfinished
        session.client.set_terminated(mlflow_run_id, status="FINISHED")
        return JudgeRun(mlflow_run_id, links.run_path(session.experiment_id, mlflow_run_id))


def judge_metrics(card: JudgeCard, seconds: float) -> dict[str, float]:
    """What is not defined has no metric."""
    people = card.people
    found: dict[str, float | None] = {
        "kappa": people.kappa, **_ends("kappa", people.kappa_interval),
        "accuracy": people.accuracy, **_ends("accuracy", people.accuracy_interval),
        "parse_failures": card.unread_ratio if card.num_asked else None,
        **_rate("flip_rate", card.flips), **_rate("first_wins", card.first_wins),
        **_rate("longer_wins", card.longer_wins),
        "length_correlation": card.length_correlation, "self_preference": card.self_preference,
        **_overlap(card.overlap),
        "num_labels": card.num_labels, "num_items": people.num_items,
        "num_asked": card.num_asked, "num_unread": card.num_unread, "num_lost": card.num_lost,
        "input_tokens": card.input_tokens, "output_tokens": card.output_tokens,
        "cost": card.cost, "seconds": seconds,
    }  # fmt: skip
    return dict(values.defined(found))


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {}
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}


def _rate(name: str, rate: Rate) -> dict[str, float | None]:
    return {name: rate.share, **_ends(name, rate.interval)} if rate.total else {}


def _overlap(overlap: Agreed | None) -> dict[str, float | None]:
    return {} if overlap is None else {"kappa_with_before": overlap.kappa}
