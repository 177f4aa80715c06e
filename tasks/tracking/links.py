"""Deep links into the MLflow pages that matter, and the names things have there. Pure text.

Paths begin with `/#`, so they hold after any server address.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

#: the key under which an experiment has the view of its runs that is ours
VIEW = "flywheel"
_ROW_ID = re.compile(r'"row_id": ?"([^"]+)"')


def compare_path(experiment_id: str, challenger_run_id: str, champion_run_id: str) -> str:
    """Every row side by side: challenger against the champion as baseline. On the page of the
    challenger's run, where it has the whole width; beside the list of evaluation runs it has a
    third of it."""
    query = urlencode({"compareToRunUuid": champion_run_id})
    return f"{run_path(experiment_id, challenger_run_id)}/evaluations?{query}"


def runs_path(experiment_id: str) -> str:
    """All verdicts, in the view that view.py keeps."""
    return f"/#/experiments/{experiment_id}/runs?{urlencode({'viewStateShareKey': VIEW})}"


def review_path(experiment_id: str, queue_id: str) -> str:
    """A review queue."""
    query = urlencode({"selectedQueueId": queue_id})
    return f"/#/experiments/{experiment_id}/review-queue?{query}"


def artifact_path(experiment_id: str, run_id: str, name: str) -> str:
    return f"{run_path(experiment_id, run_id)}/artifacts/{name}"


def run_path(experiment_id: str, run_id: str) -> str:
    return f"/#/experiments/{experiment_id}/runs/{run_id}"


def row_id(sample_id: str) -> str:
    """How a sample is called."""
    return sample_id[:16]


def row_id_in(preview: str) -> str | None:
    """Of the preview of a row's trace, in which it stands first, so none is too short for it."""
    said = _ROW_ID.search(preview)
    return None if said is None else said.group(1)


def model_name(experiment: str) -> str:
    """The registered model whose versions are the releases."""
    return f"{slug(experiment)}-release"


def prompt_name(experiment: str, task: str) -> str:
    """Prompts and models share one namespace, so the name says that it is a prompt."""
    return f"{slug(experiment)}-prompt-{slug(task)}"


def assessment_name(suite: str, scorer: str, *, is_counted: bool) -> str:
    """`order/exact_match`. Scores that do not count have a name of their own, so that nobody pools
    them with those that do. (`correctness` alone would be drawn as a judge of MLflow's own.)"""
    parts = (re.sub(r"[^\w\-. ]", "_", part)[:100] or "_" for part in (suite, scorer))
    return "/".join(parts) + ("" if is_counted else " (not counted)")


def metric_key(*parts: str) -> str:
    """Joined with dots; what MLflow refuses in a metric name becomes an underscore.

    A slash too: MLflow reads it as a folder and refuses `a//b` and `a/../b`.
    """
    return re.sub(r"[^\w\-. :]", "_", ".".join(parts))[:250]


def slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:150] or "unnamed"
