"""NeMo Evaluator: `gate_runs`, which `nel gate` calls, on bundles written as its evaluations write
them.

A suite is a benchmark with `max_drop` = margin and metric `mean_reward`; primary is its tier
critical, guard supporting, report advisory. Clusters are `metadata.category`, by which it clusters
its interval. Its evaluation loop (engine/eval_loop.py of 0.3.0) grades 0.0 with an error in
`scoring_details` what solver, infrastructure or scorer failed on, whosever fault it was, so all
three are written like that. Its interval is always of 95%.

GO: better or no worse. NO-GO for a breach: worse or blocked; only for a benchmark that is missing:
cannot tell. INCONCLUSIVE: cannot tell.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from gates import (
    CannotExpressError,
    Question,
    Reply,
    has_clusters,
    of_suite,
    refuse_undeclared,
    refuse_what_has_no_place,
    serve,
)
from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.engine.gate import gate_runs

_TIERS = {"primary": "critical", "guard": "supporting", "report": "advisory"}
_MEANS = {
    "PASS": ["better", "no_worse"],
    "BREACH": ["worse", "blocked"],
    "INSUFFICIENT_EVIDENCE": ["cannot_tell"],
    "MISSING": ["cannot_tell"],
}


def reply(question: Question) -> Reply:
    refuse_undeclared(question)
    refuse_what_has_no_place(question, "clusters", "several suites", "guards", "report suites")
    if question["alpha"] != 0.05:
        raise CannotExpressError("another alpha than 0.05")
    policy = GatePolicy.model_validate(
        {
            "benchmarks": {
                suite["name"]: {
                    "tier": _TIERS[suite["role"]],
                    "max_drop": suite["margin"],
                    "metric": "mean_reward",
                }
                for suite in question["suites"]
            }
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        for role in ("champion", "challenger"):
            (Path(folder) / role).mkdir()
            for suite in question["suites"]:
                samples = of_suite(question, suite["name"])
                if samples:
                    _write(Path(folder) / role / suite["name"], suite["name"], role, samples)
        try:
            report = gate_runs(Path(folder) / "champion", Path(folder) / "challenger", policy)
        except (ValueError, TypeError) as error:
            return {"refused": True, "says": str(error)}
    parts = {part.benchmark: part for part in report.benchmarks}
    return {
        "verdicts": _verdicts(report),
        "says": report.verdict,
        "suites": {name: _MEANS[part.status] for name, part in parts.items()},
        "differences": {n: p.delta for n, p in parts.items() if p.delta is not None},
        "intervals": {
            n: [p.delta_ci_lower, p.delta_ci_upper]
            for n, p in parts.items()
            if p.delta_ci_lower is not None
        },
    }


def _verdicts(report: Any) -> list[str]:
    if report.verdict == "GO":
        return ["better", "no_worse"]
    breached = any(b.status == "BREACH" and b.tier != "advisory" for b in report.benchmarks)
    return ["worse", "blocked"] if report.verdict == "NO-GO" and breached else ["cannot_tell"]


def _write(folder: Path, suite: str, role: str, samples: list[dict[str, Any]]) -> None:
    folder.mkdir()
    records = [
        {
            "problem_idx": number,
            "repeat": repeat,
            "reward": 0.0 if isinstance(answer, str) else answer,
            "scoring_details": {"error": answer} if isinstance(answer, str) else {},
            "metadata": {"category": sample["cluster"]} if has_clusters(samples) else {},
        }
        for number, sample in enumerate(samples)
        for repeat, answer in enumerate(sample[role])
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    mean = sum(r["reward"] for r in records) / len(records)
    scores = {"mean_reward": {"value": mean}}
    bundle = {"run_id": role, "config": {}, "benchmark": {"name": suite, "scores": scores}}
    (folder / f"eval-{suite}.json").write_text(json.dumps(bundle))


if __name__ == "__main__":
    serve(reply)
