"""lm-eval's own task definitions over local files with its Hugging Face backend, batches of 16.

    python lm_eval_tasks.py JOB.json

JOB has model (a folder), threads, tasks (configurations that name one of lm-eval's tasks and what
is changed of it) and out, the file for prompts, answers and metrics of every item.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM

BATCH_SIZE = 16


def item(sample: dict[str, Any]) -> dict[str, Any]:
    """One of lm-eval's samples: what was asked, said and counted."""
    asked = [list(arguments) for arguments in sample["arguments"]]
    values = {
        name: value[0] if isinstance(value, (list, tuple)) else value
        for name, value in sample.items()
        if name in sample["metrics"]
    }
    return {
        "number": int(sample["doc_id"]),
        "filter": sample["filter"],
        "prompt": asked[0][0],
        "choices": [one[1] for one in asked],
        "said": [one[0] for one in sample["resps"]],
        "metrics": {name: float(value) for name, value in values.items()},
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    model = HFLM(pretrained=job["model"], dtype="float32", device="cpu", batch_size=BATCH_SIZE)
    found = lm_eval.simple_evaluate(
        model=model, tasks=job["tasks"], bootstrap_iters=0, log_samples=True
    )
    report = {
        "items": {task: [item(one) for one in rows] for task, rows in found["samples"].items()},
        "results": found["results"],
        "versions": {name: version(name) for name in ("lm-eval", "transformers", "torch")},
    }
    Path(job["out"]).write_text(json.dumps(report, default=str))


if __name__ == "__main__":
    main()
