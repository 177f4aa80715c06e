"""Results that other tools computed: they are judged by `flywheel judge-runs`, and are no logs.

The one place that knows each by its shape; tasks/referee reads them. `of_value` gives the refusal
of a file of logs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tasks.logs.shapes.records import Json

_GRADED = ("outputs", "predictions", "prediction", "ground_truth", "targets", "assessments")


def is_inspect_log(value: Any) -> bool:
    return isinstance(value, dict) and "eval" in value and "status" in value


def results_of_promptfoo(value: Any) -> Sequence[Any] | None:
    """Of a file of results, old or new; None: it is none."""
    inner = value.get("results") if isinstance(value, dict) else None
    found = inner.get("results") if isinstance(inner, dict) else inner
    if not isinstance(found, list) or not found:
        return None
    tests = all(isinstance(x, dict) and ("success" in x or "gradingResult" in x) for x in found)
    return found if tests else None


def is_lm_eval_sample(value: Any) -> bool:
    return isinstance(value, dict) and "doc_id" in value and "filtered_resps" in value


def is_nemo_result(value: Any) -> bool:
    return isinstance(value, dict) and "problem_idx" in value and "reward" in value


def is_alpaca_record(value: Any) -> bool:
    """An output, or an annotation of two."""
    return isinstance(value, dict) and "instruction" in value and (
        {"output", "generator"} <= value.keys() or is_alpaca_annotation(value)
    )  # fmt: skip


def is_alpaca_annotation(value: Any) -> bool:
    return isinstance(value, dict) and {"output_1", "output_2", "preference"} <= value.keys()


def is_mlflow_table(value: Any) -> bool:
    """A table as pandas writes it with orient="split", with columns of an evaluation."""
    if not isinstance(value, dict) or not {"columns", "data"} <= value.keys():
        return False
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        return False
    return any(
        isinstance(name, str) and (name.endswith("/score") or name in _GRADED) for name in columns
    )


#: what it is, and the sign of it in a value of the file: the document, or its first line or item
RESULTS: tuple[tuple[str, Callable[[Json], bool]], ...] = (
    ("Inspect", is_inspect_log),
    ("promptfoo", lambda value: results_of_promptfoo(value) is not None),
    ("lm-eval", is_lm_eval_sample),
    ("NeMo Evaluator", is_nemo_result),
    ("AlpacaEval", is_alpaca_record),
    ("an MLflow evaluation", is_mlflow_table),
)


def of_value(value: Json) -> str | None:
    """Why a file with this value is refused; None: it holds no results that are known."""
    if isinstance(value, list):
        value = next(iter(value), None)
    what = next((what for what, is_one in RESULTS if is_one(value)), None)
    return None if what is None else refusal(what)


def refusal(what: str) -> str:
    return f"results of {what}: flywheel judge-runs judges them"
