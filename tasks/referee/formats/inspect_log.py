"""Logs of Inspect: a JSON document, or a zip file (.eval) with one member a sample and epoch.

Source: inspect_ai's EvalLog, log version 2. The letters of its scores count as its own metrics have
them: C 1, P 0.5, I and N (no answer) 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.referee.files import ResultFile
from tasks.referee.values import Mark, Results, Row, shown, texts

FORMAT = "inspect"
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def read(file: ResultFile) -> Results:
    header, told, samples = parts(file)
    suite = str(told.get("task") or file.stem).rpartition("/")[2]
    rows = [_row(suite, sample) for sample in samples if isinstance(sample, dict)]
    if not rows:
        raise file.refused(
            "holds no samples", next="log them: inspect eval without --no-log-samples"
        )
    return Results(
        name=str(told.get("model") or file.stem),
        source=str(file.path),
        format=FORMAT,
        digest=file.digest,
        rows=rows,
        notes=tuple(_notes(file, header, len(rows))),
    )


def parts(
    file: ResultFile,
) -> tuple[Mapping[str, Any], Mapping[str, Any], Iterable[Any]]:
    """Of a log: its header, what `eval` in it tells of the task, and its samples. Raises
    UsageError where it is none."""
    if file.is_zip:
        headers = [value for name, value in file.members("header.json")]
        # of a log that was not finished there is only how it began
        headers += [value for name, value in file.members("_journal/start.json")]
        if not headers:
            raise file.refused("is a zip file without header.json, so no log of Inspect")
        header = headers[0]
        samples: Iterable[Any] = (value for _, value in file.members("samples/"))
    else:
        header = file.document
        samples = header.get("samples") or ()
        if not isinstance(samples, list | tuple):
            raise file.refused("its samples are no list", None, repr(samples))
    told = header.get("eval")
    if not isinstance(told, dict):
        raise file.refused("is no log of Inspect: its header has no `eval`")
    return header, told, samples


def _notes(file: ResultFile, header: Mapping[str, Any], num_rows: int) -> Iterator[str]:
    status = header.get("status") or "not finished"
    if status != "success":
        yield f"{file.path.name}: the log says of its run: {status}"
    results = header.get("results")
    planned = results.get("total_samples") if isinstance(results, dict) else None
    if isinstance(planned, int) and planned > num_rows:
        yield f"{file.path.name}: {num_rows:,} of {planned:,} samples are in the log"


def _row(suite: str, sample: Mapping[str, Any]) -> Row:
    output = sample.get("output")
    output = output if isinstance(output, dict) else {}
    choices = output.get("choices") or [{}]
    first = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
    error = sample.get("error")
    usage = output.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    metadata = sample.get("metadata")
    scores = sample.get("scores") or {}
    message = first.get("message")
    text = output.get("completion")
    if not isinstance(text, str) and isinstance(message, dict):
        text = _said(message.get("content"))
    told = error or output.get("error")
    return Row(
        suite=suite,
        item_id=str(sample.get("id")),
        marks=dict(_marks(scores)) if isinstance(scores, dict) else {},
        error=None if not told else _message(told),
        text=text if isinstance(text, str) and (choices != [{}] or text) else None,
        question=_asked(sample.get("input")),
        target=shown(sample.get("target")),
        details=texts(metadata) if isinstance(metadata, dict) else {},
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        finish_reason="length" if first.get("stop_reason") == "max_tokens" else None,
    )


def _marks(scores: Mapping[str, Any]) -> Iterator[tuple[str, Mark]]:
    for name, score in scores.items():
        if not isinstance(score, dict):
            continue
        value = score.get("value")
        answer, explanation = (score.get(key) for key in ("answer", "explanation"))
        told = (
            answer if isinstance(answer, str) else None,
            explanation if isinstance(explanation, str) else None,
        )
        if isinstance(value, dict):
            for key, part in value.items():
                yield f"{name}/{key}", Mark(_number(part), *told)
        else:
            yield name, Mark(_number(value), *told)


def _number(value: Any) -> Any:
    return _LETTERS.get(value, value) if isinstance(value, str) else value


def _message(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text).split())[:500]


def _asked(value: Any) -> str:
    """Of a conversation what its last user said."""
    if not isinstance(value, list):
        return shown(value)
    asked = [part for part in value if isinstance(part, dict) and part.get("role") == "user"]
    return _said(asked[-1].get("content")) if asked else shown(value)


def _said(content: Any) -> str:
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return shown(content)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
