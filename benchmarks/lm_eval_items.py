"""Items of public data sets as suites of ours and as lm-eval's own tasks: the same questions, asked
by the definitions of `hellaswag`, `leaderboard_bbh_*` and `gsm8k`. What ours asks is put together
here and not taken from lm-eval, so that the two can be compared.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BBH = ("boolean_expressions", "date_understanding", "logical_deduction_three_objects", "navigate",
       "object_counting", "sports_understanding")  # fmt: skip
CHOOSE = """mode = "choose"
template = "raw"
also = [{ name = "multiple_choice", normalised = true }]
"""
WEIGH = 'mode = "perplexity"\ntemplate = "raw"\n'
WRITE = """template = "raw"
scorer = { name = "regex", pattern = '#### (\\-?[0-9\\.\\,]+)' }
"""


@dataclass(frozen=True, slots=True)
class Task:
    """`lines`: of our suite; `settings`: of our suite; `config`: what lm-eval runs; `documents`:
    what lm-eval reads."""

    name: str
    lines: list[dict[str, Any]]
    settings: str
    config: dict[str, Any]
    documents: list[dict[str, Any]]


def read(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def hellaswag(folder: Path, num_items: int) -> Task:
    """Without what is asked twice. lm-eval puts activity and context together again."""
    lines: dict[str, dict[str, Any]] = {}
    documents = []
    for row in read(folder, "hellaswag_val"):
        query, choices = _cleaned(row["ctx"]), [_cleaned(text) for text in row["endings"]]
        activity, colon, rest = row["ctx"].partition(": ")
        if query in lines or len(set(choices)) < len(choices) or not colon:
            continue
        choices = [f" {text}" for text in choices]
        lines[query] = {"input": query, "choices": choices, "target": int(row["label"])}
        documents.append({"activity_label": activity, "ctx_a": rest, "ctx_b": "",
                          "endings": row["endings"], "label": str(row["label"])})  # fmt: skip
        if len(lines) >= num_items:
            break
    return Task(
        "hellaswag",
        list(lines.values()),
        CHOOSE,
        {"definition": "hellaswag/hellaswag.yaml"},
        documents,
    )


def _cleaned(text: str) -> str:
    """As lm-eval's preprocess."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


def bbh(folder: Path, name: str, definition: dict[str, Any], num_items: int) -> Task:
    """Three examples first, as in the leaderboard's definition."""
    examples = definition["fewshot_config"]["samples"][:3]
    shown = "".join(f"Q: {one['input']}\nA: {one['target']}\n\n" for one in examples)
    head, labels = definition["description"] + shown, definition["doc_to_choice"]
    rows = list({row["input"]: row for row in read(folder, f"bbh_{name}")}.values())[:num_items]
    lines = [
        {"input": f"{head}Q: {row['input']}\nA:", "choices": [f" {one}" for one in labels],
         "target": labels.index(row["target"])}
        for row in rows
    ]  # fmt: skip
    task = f"leaderboard_bbh_{name}"
    return Task(task, lines, CHOOSE, {"definition": f"leaderboard/bbh_mc/{name}.yaml"}, rows)


def gsm8k(folder: Path, num_items: int, *, weighs: bool) -> Task:
    """Without examples: those are of a part that is not at hand."""
    rows = [row for row, _ in zip(read(folder, "gsm8k_test"), range(num_items), strict=False)]
    prompts = [f"Question: {row['question']}\nAnswer:" for row in rows]
    config: dict[str, Any] = {"num_fewshot": 0, "training_split": None, "fewshot_split": None}
    if weighs:
        lines = [
            {"input": prompt, "target": f" {row['answer']}"}
            for prompt, row in zip(prompts, rows, strict=True)
        ]
        config |= {
            "output_type": "loglikelihood", "test_split": "test",
            "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_target": " {{answer}}",
            "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
        }  # fmt: skip
        return Task("gsm8k_likelihood", lines, WEIGH, config, rows)
    lines = [
        {"input": prompt, "target": row["answer"].split("#### ")[1].replace(",", "")}
        for prompt, row in zip(prompts, rows, strict=True)
    ]
    return Task("gsm8k", lines, WRITE, config | {"definition": "gsm8k/gsm8k.yaml"}, rows)
