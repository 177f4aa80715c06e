"""MLflow: `mlflow.genai.compare_evaluations` with `ComparisonResult.assert_improved`.

The rows of both runs are handed over in memory, as the objects that its loader makes of traces
(`_load_eval_rows` is replaced), since 200,000 traces in a tracking store say nothing else; pairing,
tests and assertion are MLflow's own. A suite is a scorer on its rows. Repeats are several
feedbacks of one name on a trace, which it averages. A scorer that failed is a feedback with an
error, as its evaluation writes it. Where a release gave no answer its scorers are run on None: one
that compares gives 0, which is taken here; one that raises would leave the row out. What the
harness lost is no trace at all.

assert_improved passes: better. It fails: a scorer whose difference is negative with p < alpha is
worse or blocked; anything else is cannot tell.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from gates import (
    CannotExpressError,
    Question,
    Reply,
    of_suite,
    refuse_undeclared,
    refuse_what_has_no_place,
    serve,
)
from mlflow.entities.assessment import AssessmentError, Feedback
from mlflow.exceptions import MlflowException
from mlflow.genai.evaluation.comparison import comparison
from mlflow.genai.evaluation.comparison.utils import _EvalRow

logging.getLogger("mlflow").setLevel(logging.ERROR)


def reply(question: Question) -> Reply:
    refuse_undeclared(question)
    refuse_what_has_no_place(question, "several suites", "report suites")
    deciding = [s["name"] for s in question["suites"] if s["role"] == "primary"]
    if not deciding:
        raise CannotExpressError("report suites alone")
    rows = {role: _rows(question, role) for role in ("champion", "challenger")}
    comparison._load_eval_rows = rows.__getitem__
    try:
        result = comparison.compare_evaluations("challenger", "champion")
    except (MlflowException, ValueError) as error:
        return {"refused": True, "says": str(error).splitlines()[0]}
    told = {n: s for n, s in result.scorers.items() if s.status == "ok" and n in deciding}
    said = {
        "differences": {name: s.diff for name, s in told.items()},
        "intervals": {n: [s.ci_low, s.ci_high] for n, s in told.items() if _is_finite(s)},
        "has_margin": False,
    }
    try:
        result.assert_improved(scorers=deciding, alpha=question["alpha"])
    except (AssertionError, MlflowException) as error:
        is_lost = any(s.diff < 0 and s.p_value < question["alpha"] for s in told.values())
        verdicts = ["worse", "blocked"] if is_lost else ["cannot_tell"]
        return {"verdicts": verdicts, "says": str(error).splitlines()[-1].strip(), **said}
    return {"verdicts": ["better"], "says": "improved", **said}


def _rows(question: Question, role: str) -> list[_EvalRow]:
    rows = []
    for suite in question["suites"]:
        for sample in of_suite(question, suite["name"]):
            if all(answer == "harness" for answer in sample[role]):
                continue
            feedbacks = [
                _feedback(suite["name"], answer) for answer in sample[role] if answer != "harness"
            ]
            valid = [feedback for feedback in feedbacks if feedback.error is None]
            rows.append(
                _EvalRow(
                    trace_id=f"{role}-{sample['id']}",
                    eval_request_id=sample["id"],
                    inputs_hash=None,
                    inputs_hash_unstable=False,
                    feedbacks={suite["name"]: valid} if valid else {},
                )
            )
    return rows


def _feedback(name: str, answer: Any) -> Feedback:
    if answer == "judge":
        return Feedback(name=name, error=AssessmentError(error_code="SCORER_ERROR"))
    return Feedback(name=name, value=0.0 if answer == "release" else answer)


def _is_finite(scorer: Any) -> bool:
    return scorer.ci_low is not None and math.isfinite(scorer.ci_low)


if __name__ == "__main__":
    serve(reply)
