"""The application that the pages speak of: whatever their commands name is there, by that name.

So `flywheel show --suite NAME` and `flywheel judge-runs A B` are run as they stand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.flows.application import call_record
from tests.tasks.suites.test_importers import CONFIG

_RELEASE = """
[releases.{name}]
model = "{model}"
prompt = "{prompt}"
sampling = {{ max_tokens = 2 }}
"""
_SUITE = """
[suites.{name}]
samples = "items.jsonl"
scorer = "choice"
role = "primary"
margin = 0.5
{more}
"""
_JUDGE = """
[judges.{name}]
release = "now"
kind = "{kind}"
rubric = "Be right."
max_tokens = 2
{more}
"""
_SETTINGS = """
logs = ["logs"]
champion = "now"
challenger = "next"
validate = { data_docs = false }
mlflow = { max_rows = 1 }
"""


def write_documented(folder: Path, model: Path, typed: str) -> Path:
    """Write settings, logs, items, labels and results of others, and return the folder.

    `typed`: all commands; whatever samples of lm-eval these name are there.
    """
    for name in ("logs", "FOLDER"):
        (folder / name).mkdir(parents=True)
    prompts = {"now": "Good?", "next": "Bad?", "NAME": "Good?", "A": "Good?", "B": "Bad?"}
    (folder / "flywheel.toml").write_text(
        "".join(
            [
                _SETTINGS,
                *(_RELEASE.format(name=name, model=model, prompt=f"{text[:-1]}.md")
                  for name, text in prompts.items()),
                _SUITE.format(name="NAME", more='task = "route"'),
                _JUDGE.format(name="NAME", kind="pointwise", more=""),
                *(_JUDGE.format(name=name, kind="pairwise", more='labels = "pairs.jsonl"')
                  for name in ("small", "free")),
            ]
        )
    )  # fmt: skip
    for text in prompts.values():
        (folder / f"{text[:-1]}.md").write_text(text)
    calls = [call_record(number) for number in range(6)]
    corrected = {"kind": "correction", "corrected": "billing"}
    _lines(folder / "logs" / "calls.jsonl", [
        *calls,
        {**call_record(6), "request_id": "REQUEST_ID", "feedback": corrected},
        {**call_record(7), "prompt_name": "T"},
    ])  # fmt: skip
    items = [{"input": f"mood {n}?", "target": "good | bad"} for n in range(4)]
    for name in ("items.jsonl", "OLD"):
        _lines(folder / name, items)
    (folder / "TRAINING_FILE").write_text("\n\n".join(item["input"] for item in items))
    _lines(folder / "NEW", items[1:])
    _lines(folder / "FILE", [
        {"input": f"Q{n}?", "answer": "a", "label": 4} for n in range(2)
    ])  # fmt: skip
    _lines(folder / "FOLDER" / "train.jsonl", items)
    _lines(folder / "pairs.jsonl", [
        {"input": "q", "answer_a": "x", "answer_b": f"y{n}", "label": "ab"[n]} for n in range(2)
    ])  # fmt: skip
    _results(folder, typed)
    (folder / "promptfooconfig.yaml").write_text(CONFIG)
    return folder


def _results(folder: Path, typed: str) -> None:
    """Of two runs of another tool each."""
    for name in ("A", "B"):
        _lines(folder / name, [{"id": n, "score": n % 2} for n in range(40)])
    for name in re.findall(r"\S*samples_\S+\.jsonl", typed):
        (folder / name).parent.mkdir(exist_ok=True)
        _lines(folder / name, [
            {"doc_id": n, "doc": {}, "target": "4", "arguments": [[f"q{n}", {}]], "resps": [["4"]],
             "filtered_resps": ["4"], "filter": "none", "metrics": ["exact_match"],
             "exact_match": n % 2}
            for n in range(40)
        ])  # fmt: skip
    for name in ("vicuna-7b", "mistral-7b"):
        _lines(folder / f"{name}.jsonl", [
            {"instruction": f"Do {n}.", "output": "Done.", "generator": name} for n in range(40)
        ])  # fmt: skip


def _lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
