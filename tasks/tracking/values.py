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

from tasks.model.answer import Role
from tasks.model.release import Release
from tasks.model.turn import Turn
from tasks.model.verdict import RecordedVerdict, deciding_suite
from tasks.report import wording
from tasks.tracking.links import metric_key

#: MLflow cuts longer ones without a word
MAX_PARAM_CHARS = 6_000
MAX_TAG_CHARS = 8_000
#: more than this of one text goes to the store only
MAX_TEXT_CHARS = 20_000
CUT_MARK = " … [shortened]"

RUN_ID_TAG = "flywheel.run_id"
ROLE_TAG = "flywheel.role"
RECORDED_TAG = "flywheel.recorded"
#: which bytes the receipt has that lies beside the run
RECEIPT_TAG = "flywheel.receipt"
VERDICT_TAG = "flywheel.verdict"
#: columns of the runs table, so they have the names that people read there: tags …
VERDICT = "verdict"
DECIDED_BY = "decided by"
INTERVAL = "interval in points"
#: … and metrics, by which the table can be ordered
DIFFERENCE = "difference in points"
MARGIN = "margin in points"


#: of every scorer that a suite has besides the one that decides
_OF_ALSO = ("champion", "challenger", "difference", "ci_low", "ci_high")


#: of a scorer's name; a whole key has 250
_MAX_METRIC = 160


@dataclass(frozen=True, slots=True)
class Metrics:
    defined: Mapping[str, float]
    undefined: tuple[str, ...]


def child_metrics(turn: Turn, role: Role) -> Metrics:
    """Score, interval and denominators of each suite for one release, and its tokens; of several
    challengers their difference from the champion and the rank of each release, too."""
    several = len(turn.verdicts) > 1
    suites = turn.verdicts.get(role, turn.verdict).suites
    # MLflow's columns are in the order of writing: what one looks for comes first
    metrics: dict[str, float | None] = {metric_key(one.rule.name, "score"): None for one in suites}
    for result in suites:
        release = result.releases["challenger" if role in turn.verdicts else "champion"]
        interval = release.interval
        values = {
            "score": release.mean,
            "ci_low": None if interval is None else interval.low,
            "ci_high": None if interval is None else interval.high,
            "num_samples": result.num_samples,
            "num_scored": release.tally.num_scored,
            "num_failed": release.tally.num_failed,
            "num_missing": release.tally.num_missing,
            "num_unscored": release.tally.num_unscored,
            "num_not_counted": result.num_shown,
        }
        if result.num_shown:
            values["score_on_not_counted"] = release.on_shown
        if several and role in turn.verdicts:
            ends = result.interval
            values |= {
                "difference": result.difference,
                "difference_ci_low": None if ends is None else ends.low,
                "difference_ci_high": None if ends is None else ends.high,
            }
        metrics |= {metric_key(result.rule.name, name): value for name, value in values.items()}
    answers = [answer for item in turn.judged for answer in item.answers[role]]
    metrics["input_tokens"] = sum(answer.input_tokens or 0 for answer in answers)
    metrics["output_tokens"] = sum(answer.output_tokens or 0 for answer in answers)
    for rank in turn.ranking if several else ():
        if rank.role == role:
            suite = (rank.suite,) if rank.suite else ()
            metrics[metric_key(*suite, "rank_low")] = rank.low
            metrics[metric_key(*suite, "rank_high")] = rank.high
    return _split(metrics)


def columns(verdict: RecordedVerdict) -> dict[str, str]:
    """Tags that are columns of the runs table: the verdict, the suite whose numbers stand beside
    it, and the interval of the difference there."""
    told = {VERDICT: wording.heading(verdict.verdict)}
    suite = deciding_suite(verdict.verdict, verdict.suites)
    if suite is not None:
        told |= {
            DECIDED_BY: suite.rule.name,
            INTERVAL: wording.interval(suite.interval, signed=True),
        }
    return {key: shortened(value, MAX_TAG_CHARS) for key, value in told.items()}


def parent_metrics(turn: Turn) -> Metrics:
    """Difference and margin of the suite that decided, in points; then the paired differences of
    each suite, the ratio of each guardrail, and what went through each stage."""
    metrics: dict[str, float | None] = {}
    first = deciding_suite(turn.verdict.verdict, turn.verdict.suites)
    if first is not None and first.difference is not None:
        metrics[DIFFERENCE] = _points(first.difference)
    if first is not None:
        metrics[MARGIN] = _points(first.rule.margin)
    for result in turn.verdict.suites:
        values = result.to_json()
        for name in (
            "difference",
            "ci_low",
            "ci_high",
            "margin",
            "pass_probability",
            "effective_samples",
            "num_samples",
            "num_clusters",
            "num_won",
            "num_lost",
        ):
            if values[name] is None and name in ("num_won", "num_lost"):
                continue  # of binary scores only
            metrics[metric_key(result.rule.name, name)] = values[name]
        for one in result.also:
            parts = (result.rule.name, "also", one.metric[:_MAX_METRIC])
            metrics |= {metric_key(*parts, name): getattr(one, name) for name in _OF_ALSO}
    for part in turn.verdict.guardrails:
        told = part.to_json()
        for name in ("champion", "challenger", "ratio", "ci_low", "ci_high", "margin",
                     "num_samples", "num_unknown"):  # fmt: skip
            metrics[metric_key("guardrail", part.rule.name, name)] = told[name]
    for receipt in turn.receipts:
        for name in ("rows_in", "rows_out", "quarantined", "duplicates", "dead_letters", "seconds"):
            metrics[metric_key("stage", receipt.stage, name)] = getattr(receipt, name)
        if receipt.outside_window:
            name = metric_key("stage", receipt.stage, "outside_window")
            metrics[name] = receipt.outside_window
    metrics["num_flips"] = len(turn.flips)
    return _split(metrics)


def release_params(release: Release) -> dict[str, str]:
    """The release, flattened: what a person compares first."""
    params = {
        "release": release.name, "release_digest": release.digest, "model": release.model,
        "model_digest": release.model_digest, "prompt_digest": release.prompt_digest,
    }  # fmt: skip
    params |= flatten("sampling", release.sampling) | flatten("engine", release.engine)
    return {key[:250]: shortened(value, MAX_PARAM_CHARS) for key, value in params.items()}


def parent_params(turn: Turn) -> dict[str, str]:
    params = {role: release.name for role, release in turn.releases.items()}
    params |= {f"{role}_digest": release.digest for role, release in turn.releases.items()}
    params |= {
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


def _points(value: float) -> float:
    """As people read it; the metric of the suite has all its digits."""
    return round(100 * value, 2)


def defined(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are a number."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if value is not None and math.isfinite(value)
    }


def _split(metrics: Mapping[str, float | None]) -> Metrics:
    known = defined(metrics)
    return Metrics(known, tuple(key for key in metrics if key not in known))
