"""lm-eval's own task definitions over local files with its Hugging Face backend, batches of 16.

    python lm_eval_tasks.py JOB.json

JOB has model (a folder), dtype, threads, tasks (name → what is changed of lm-eval's definition,
which `definition` names as a file in its folder of tasks) and out, the file for prompts, answers
and metrics of every item.
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
from lm_eval.tasks import TaskManager

BATCH_SIZE = 16
#: before the names of tasks, which are otherwise lm-eval's own
PREFIX = "local_"


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
    model = HFLM(pretrained=job["model"], dtype=job["dtype"], device="cpu", batch_size=BATCH_SIZE)
    folder = Path(job["out"]).parent / "definitions"
    folder.mkdir()
    shipped = Path(lm_eval.__file__).parent / "tasks"
    for name, changed in job["tasks"].items():
        definition = changed.pop("definition", None)
        config = {"task": PREFIX + name, **changed}
        if definition:
            config["include"] = str(shipped / definition)
        (folder / f"{name}.yaml").write_text(json.dumps(config))  # JSON is YAML
    found = lm_eval.simple_evaluate(
        model=model,
        tasks=[PREFIX + name for name in job["tasks"]],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    report = {
        "items": {
            task.removeprefix(PREFIX): [item(one) for one in rows]
            for task, rows in found["samples"].items()
        },
        "results": found["results"],
        "versions": {name: version(name) for name in ("lm-eval", "transformers", "torch")},
    }
    Path(job["out"]).write_text(json.dumps(report, default=str))


if __name__ == "__main__":
    main()
