"""Metrics, params and tags of a turn as plain values. Pure; knows MLflow's limits, not its API.

A number that is not defined (one cluster, nothing scored) has no metric: its key is listed
instead, so that nothing goes missing in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model import turn as facts
from tasks.tracking.links import metric_key

#: MLflow cuts longer ones without a word
MAX_PARAM_CHARS = 6_000
MAX_TAG_CHARS = 8_000
CUT_MARK = " … [shortened]"

RUN_ID_TAG = "flywheel.run_id"
ROLE_TAG = "flywheel.role"
RECORDED_TAG = "flywheel.recorded"
VERDICT_TAG = "flywheel.verdict"


@dataclass(frozen=True, slots=True)
class Metrics:
    defined: Mapping[str, float]
    undefined: tuple[str, ...]


def child_metrics(turn: facts.Turn, role: facts.Role) -> Metrics:
    """Score, interval and denominators of each suite for one release, and its tokens."""
    found: dict[str, float | None] = {}
    for result in turn.suites:
        low, high = result.interval(role)
        values = {
            "score": result.score(role),
            "ci_low": low,
            "ci_high": high,
            "num_samples": result.num_samples,
            "num_scored": result.num_scored(role),
            "num_missing": result.num_missing(role),
            "num_known_failures": result.num_known_failures,
        }
        if result.num_known_failures:
            values["score_on_known_failures"] = (
                result.champion_on_failures if role == "champion" else result.challenger_on_failures
            )  # fmt: skip
        found |= {metric_key(result.suite, name): value for name, value in values.items()}
    answers = [answer for pair in turn.pairs if (answer := pair.answer(role)) is not None]
    found["input_tokens"] = sum(answer.input_tokens or 0 for answer in answers)
    found["output_tokens"] = sum(answer.output_tokens or 0 for answer in answers)
    return _split(found)


def parent_metrics(turn: facts.Turn) -> Metrics:
    """The paired differences of each suite, and what went through each stage."""
    found: dict[str, float | None] = {}
    for result in turn.suites:
        for name in ("difference", "ci_low", "ci_high", "margin", "min_detectable_effect",
                     "p_value", "correlation", "num_samples", "num_clusters", "num_unscored",
                     "num_won", "num_lost"):  # fmt: skip
            value = getattr(result, name)
            if value is None and name in ("num_won", "num_lost", "p_value"):
                continue  # of binary scores only
            found[metric_key(result.suite, name)] = value
    for receipt in turn.receipts:
        for name in ("rows_in", "rows_out", "quarantined", "duplicates", "dead_letters", "seconds"):
            found[metric_key("stage", receipt.stage, name)] = getattr(receipt, name)
        if receipt.outside_window:
            name = metric_key("stage", receipt.stage, "outside_window")
            found[name] = receipt.outside_window
    found["num_flips"] = len(turn.flips)
    return _split(found)


def release_params(release: facts.Release) -> dict[str, str]:
    """The release, flattened: what a person compares first."""
    params = {
        "release": release.name, "release_digest": release.digest, "model": release.model,
        "model_digest": release.model_digest, "prompt_digest": release.prompt_digest,
    }  # fmt: skip
    params |= flatten("sampling", release.sampling) | flatten("engine", release.engine)
    return {key[:250]: shortened(value, MAX_PARAM_CHARS) for key, value in params.items()}


def parent_params(turn: facts.Turn) -> dict[str, str]:
    params = {
        "champion": turn.champion.name, "challenger": turn.challenger.name,
        "champion_digest": turn.champion.digest, "challenger_digest": turn.challenger.digest,
        "eval_set_digest": turn.eval_set.digest, "num_samples": str(turn.eval_set.num_samples),
    }  # fmt: skip
    params |= flatten("request", turn.request) | flatten("version", turn.versions)
    return {key[:250]: shortened(value, MAX_PARAM_CHARS) for key, value in params.items()}


def flatten(prefix: str, values: Mapping[str, Any]) -> dict[str, str]:
    """{"a": {"b": 1}} under "p" → {"p.a.b": "1"}; keys as MLflow allows them."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        key = metric_key(prefix, str(name))
        if isinstance(value, Mapping):
            flat |= flatten(key, value)
        else:
            flat[key] = value if isinstance(value, str) else json.dumps(value)
    return flat


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, with a visible mark where something is left out."""
    return text if len(text) <= limit else text[: limit - len(CUT_MARK)] + CUT_MARK


def _split(found: Mapping[str, float | None]) -> Metrics:
    defined = {
        key: float(value)
        for key, value in found.items()
        if value is not None and math.isfinite(value)
    }
    return Metrics(defined, tuple(key for key in found if key not in defined))
