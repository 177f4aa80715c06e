"""Files of results as the tools write them, small, with the same scores in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def write_csv(path: Path, heading: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([heading, *rows])
    path.write_text(text.getvalue())
    return path


def scores(path: Path, values: Sequence[object]) -> Path:
    return write_csv(path, ("id", "score"), [(f"q{n}", value) for n, value in enumerate(values)])


def lm_eval_line(doc_id: int, value: float, filter_name: str = "none") -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"question": f"q{doc_id}", "subject": "sums" if doc_id % 2 else "logic"},
        "target": "5",
        "arguments": {"gen_args_0": {"arg_0": f"Q: q{doc_id}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [["it is 5"]],
        "filtered_resps": ["5"],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "doc_hash": "d", "prompt_hash": "p", "target_hash": "t",
        "exact_match": value,
    }  # fmt: skip


def promptfoo_test(number: int, provider: str, score: float, *, error: str = "") -> dict[str, Any]:
    passed = score >= 1
    return {
        "promptIdx": 0, "testIdx": number, "promptId": "1",
        "testCase": {"vars": {"city": f"c{number}"}, "assert": [{"type": "equals", "value": "x"}],
                     "metadata": {"topic": "t"}},
        "provider": {"id": provider, "label": ""},
        "prompt": {"raw": f"Where is c{number}?", "label": "Where is {{city}}?"},
        "vars": {"city": f"c{number}"},
        "response": {"error": error} if error else
                    {"output": "x", "tokenUsage": {"prompt": 4, "completion": 2}},
        "success": passed, "score": score, "latencyMs": 120, "cost": 0, "namedScores": {"tone": 1},
        "failureReason": 2 if error else 0 if passed else 1,
        "error": error or (None if passed else "Expected x"),
        "gradingResult": {"pass": passed, "score": score, "reason": "it is x"},
    }  # fmt: skip


def promptfoo(tests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"evalId": "eval-1", "results": {"version": 3, "prompts": [], "results": list(tests),
            "stats": {}}, "config": {}}  # fmt: skip


def nemo_line(problem: int, reward: float, repeat: int = 0) -> dict[str, Any]:
    return {
        "problem_idx": problem, "repeat": repeat, "reward": reward, "expected_answer": "4",
        "model_response": "4", "metadata": {"category": "sums"},
    }  # fmt: skip
