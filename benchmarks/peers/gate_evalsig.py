"""evalsig: `evalsig.gate`, its release gate, on one task.

The gate asks for a significant win of at least `min_delta`; the margin is given as that (it must
be positive). It is asked one-sided at alpha / 2, its own default side, as our alpha is two-sided;
the cluster bootstrap is chosen wherever samples share a cluster. Repeats are its `epoch`. An answer
that is lost leaves its item out of that run, as there is no other way to say it; a release's own
failure is an item with score 0, as a user of it would write it.

ALLOW: better. REJECT, "the data does not support shipping": worse, blocked or cannot tell.
INCONCLUSIVE: cannot tell.
"""

from __future__ import annotations

from typing import Any

import evalsig
from gates import (
    Question,
    Reply,
    has_clusters,
    of_suite,
    refuse_undeclared,
    refuse_what_has_no_place,
    serve,
)

_MEANS = {
    "ALLOW": ["better"],
    "REJECT": ["worse", "blocked", "cannot_tell"],
    "INCONCLUSIVE": ["cannot_tell"],
}


def reply(question: Question) -> Reply:
    refuse_undeclared(question)
    refuse_what_has_no_place(question, "clusters")
    (suite,) = question["suites"]
    samples = of_suite(question, suite["name"])
    try:
        runs = [_run(role, samples) for role in ("champion", "challenger")]
        grouped = {"cluster": "cluster_id"} if has_clusters(samples) else {}
        report = evalsig.gate(
            *runs, min_delta=suite["margin"], alpha=question["alpha"] / 2, **grouped
        )
        both = evalsig.compare(*runs, alpha=question["alpha"], **grouped)
    except ValueError as error:
        # its way to say that there is too little to decide on
        too_little = any(
            text in str(error) for text in ("no items", "at least 2", "no overlapping")
        )
        if too_little:
            return {
                "verdicts": ["cannot_tell"],
                "says": f"ValueError: {error}",
                "has_margin": False,
            }
        return {"refused": True, "says": str(error)}
    return {
        "verdicts": _MEANS[report.verdict.value],
        "says": report.verdict.value,
        "differences": {suite["name"]: both.delta},
        "intervals": {suite["name"]: both.ci},
        "has_margin": False,
    }


def _run(role: str, samples: list[dict[str, Any]]) -> evalsig.RunFrame:
    items = [
        evalsig.ItemResult(
            item_id=sample["id"],
            score=0.0 if answer == "release" else float(answer),
            cluster_id=sample["cluster"] if has_clusters(samples) else None,
            epoch=epoch,
        )
        for sample in samples
        for epoch, answer in enumerate(sample[role])
        if answer not in ("judge", "harness")
    ]
    return evalsig.RunFrame(
        run_id=role, model_id=role, task_id="suite", metric_name="score", items=items
    )


if __name__ == "__main__":
    serve(reply)
