"""Any value in any place of a file to import: an item, something that is named, or one line."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.suites.imported import Mapped
from tasks.suites.recognise import read_suite_of
from tasks.suites.writing import files_of, suite_toml

VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**400, "", "x", "\ud800", "{{item.x}}", "file://x", "#### 5", [], {},
    [None], [[]], ["a", 1], {"a": None}, [{"role": "user"}], [{"role": 1, "content": {}}], "é\x00",
]  # fmt: skip
CONFIG = {
    "prompts": ["Say {{q}}", {"raw": "x"}],
    "defaultTest": {
        "assert": [{"type": "latency"}],
        "vars": {"q": "d"},
        "options": {"prefix": "p"},
    },
    "tests": [
        {
            "vars": {"q": ["a", "b"]},
            "assert": [{"type": "contains-all", "value": ["a", "b"]}],
            "metadata": {"k": "v"},
            "description": "d",
            "threshold": 0.5,
        },
        {
            "vars": {"q": "c"},
            "assert": [
                {"type": "assert-set", "assert": [{"type": "is-json"}]},
                {"type": "similar", "value": "s", "threshold": 0.5},
                {"type": "not-regex", "value": "a+", "weight": 2},
            ],
        },
    ],
}
EVALS = {
    "eval": {
        "id": "e",
        "name": "n",
        "data_source_config": {"type": "custom"},
        "testing_criteria": [
            {
                "type": "string_check",
                "name": "c",
                "input": "{{sample.output_text}}",
                "operation": "like",
                "reference": "{{item.a}}",
            },
            {
                "type": "text_similarity",
                "input": "{{sample.output_text}}",
                "reference": "{{item.a}}",
                "evaluation_metric": "cosine",
                "pass_threshold": 0.5,
            },
            {
                "type": "label_model",
                "input": [{"role": "user", "content": "x"}],
                "passing_labels": ["a"],
            },
        ],
    },
    "runs": [
        {
            "data_source": {
                "input_messages": {"template": [{"role": "user", "content": "{{item.q}}"}]},
                "source": {"content": [{"item": {"q": "a", "a": "b"}}]},
            }
        }
    ],
    "output_items": {
        "data": [
            {
                "datasource_item": {"q": "c", "a": "d"},
                "sample": {"input": [{"role": "user", "content": "c"}]},
            }
        ]
    },
}
INSPECT = {
    "status": "success",
    "eval": {
        "task": "t",
        "scorers": [
            {"name": "match", "options": {"location": "end"}},
            {"name": "pattern", "options": {"pattern": "a"}},
        ],
    },
    "samples": [
        {
            "id": 1,
            "input": [{"role": "user", "content": "a"}],
            "target": ["b"],
            "choices": ["a", "b"],
            "metadata": {"k": 1},
        }
    ],
}
LM_EVAL = {
    "doc_id": 0,
    "doc": {},
    "target": "a",
    "filter": "none",
    "metrics": ["acc"],
    "arguments": {
        "gen_args_0": {"arg_0": "q", "arg_1": " a"},
        "gen_args_1": {"arg_0": "q", "arg_1": " b"},
    },
    "filtered_resps": [["-1", "False"]],
}
ROWS = [
    {
        "id": 1,
        "question": "q",
        "choices": {"text": ["a", "b"], "label": ["1", "2"]},
        "answer": "1",
        "slices": {"a": "b"},
        "metadata": {"k": "v"},
    }
]
DOCUMENTS = {"promptfoo": CONFIG, "openai-evals": EVALS, "inspect": INSPECT, "lm-eval": LM_EVAL,
             "table": ROWS}  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document with a key of it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@pytest.mark.parametrize("said", DOCUMENTS)
def test_whatever_stands_there_ends_in_no_traceback(said: str, tmp_path: Path):
    rng = random.Random(said)
    num_read, refusals = 0, list[str]()
    for number in range(150):
        document = copy.deepcopy(DOCUMENTS[said])
        for _ in range(rng.choice((1, 1, 2))):
            container, key = rng.choice([*places(document)])
            container[key] = copy.deepcopy(rng.choice(VALUES))
        path = tmp_path / f"{number}.json{'l' if said == 'lm-eval' else ''}"
        path.write_text(json.dumps(document))
        try:
            found = read_suite_of(str(path), said, Mapped())
            files, _ = files_of(found, Path("s.jsonl"))
            for file in files:
                assert file.text.encode("utf-8", "backslashreplace").count(b"\n") == len(file.lines)
                suite_toml(file.name, "s", file.scorer, purpose="")
            num_read += 1
        except UsageError as error:
            refusals.append(error.line())
    assert num_read > 30
    assert not any("\n" in line for line in refusals)
