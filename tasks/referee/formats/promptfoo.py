"""Results that promptfoo writes (`-o results.json`): results.results[], a test of a prompt and a
provider each.

One file often holds several providers or prompts; each is a release, named FILE#NAME. A test that
failed by its assertions has a score; one that has an error got no answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.logs.formats.results_of_others import results_of_promptfoo
from tasks.model.canonical import canonical_json
from tasks.referee.files import ResultFile
from tasks.referee.values import Mark, Results, Row, shown, texts

FORMAT = "promptfoo"
SUITE = "promptfoo"
#: of `failureReason`: the provider failed, not an assertion
_ERROR = 2


def read(file: ResultFile) -> Results:
    tests = [test for test in results_of_promptfoo(file.document) or () if isinstance(test, dict)]
    prompts = {str(_of(test, "prompt").get("label") or test.get("promptIdx")) for test in tests}
    rows = [_row(test, with_prompt=len(prompts) > 1) for test in tests]
    return Results(file.stem, str(file.path), FORMAT, file.digest, rows)


def _of(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _row(test: Mapping[str, Any], *, with_prompt: bool) -> Row:
    case, response = _of(test, "testCase"), _of(test, "response")
    variables = _of(test, "vars") or _of(case, "vars")
    provider = test.get("provider")
    label = provider.get("label") or provider.get("id") if isinstance(provider, dict) else provider
    release = str(label or "")
    if with_prompt:
        prompt = _of(test, "prompt")
        release += f" | {prompt.get('label') or prompt.get('raw') or test.get('promptIdx')}"[:120]
    failed = test.get("failureReason") == _ERROR or (
        "output" not in response and bool(test.get("error"))
    )
    usage = _of(response, "tokenUsage")
    milliseconds = test.get("latencyMs")
    output = response.get("output")
    metadata = {**_of(case, "metadata"), **_of(test, "metadata")}
    return Row(
        suite=SUITE,
        item_id=_id(test, case, variables),
        marks={} if failed else dict(_marks(test)),
        error=shown(test.get("error") or response.get("error")) if failed else None,
        text=None if output is None else shown(output),
        question=shown(_of(test, "prompt").get("raw")) or shown(dict(variables)),
        target=_target(case),
        details={**texts(metadata), **texts(variables)},
        release=release,
        input_tokens=_count(usage.get("prompt")),
        output_tokens=_count(usage.get("completion")),
        latency_s=milliseconds / 1000 if isinstance(milliseconds, int | float) else None,
    )


def _id(test: Mapping[str, Any], case: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """By content: the place of a test moves when others are added before it."""
    asked = [variables, case.get("assert"), case.get("description")]
    if not variables and not case.get("description"):
        asked.append(test.get("testIdx"))
    return hashlib.sha256(canonical_json(asked).encode()).hexdigest()[:16]


def _marks(test: Mapping[str, Any]) -> Iterator[tuple[str, Mark]]:
    grading = _of(test, "gradingResult")
    reason = grading.get("reason")
    explanation = reason if isinstance(reason, str) else None
    score = test.get("score", grading.get("score"))
    success = test.get("success", grading.get("pass"))
    yield "score", Mark(success if score is None else score, None, explanation)
    yield "success", Mark(success, None, explanation)
    named = _of(test, "namedScores") or _of(grading, "namedScores")
    for name, value in named.items():
        yield str(name), Mark(value)


def _target(case: Mapping[str, Any]) -> str:
    asserted = case.get("assert")
    values = [
        shown(one.get("value"))
        for one in (asserted if isinstance(asserted, list) else ())
        if isinstance(one, dict) and one.get("value") is not None
    ]
    return "\n".join(values)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
