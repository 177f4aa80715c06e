"""Bodies of watsonx.ai's text generation API; its chat API is OpenAI's.

One prompt as text, and its results; of a stream each object has a piece and the counts so far.
Source: the reference of IBM's watsonx.ai API, text generation.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.records import Json

_REASONS = {"eos_token": "stop", "stop_sequence": "stop", "max_tokens": "length",
            "token_limit": "length", "time_limit": "length"}  # fmt: skip
_FAILED = ("error", "cancelled")
_NOT_PARAMS = frozenset({"input", "model_id", "project_id", "space_id", "moderations", "messages"})


def _results(value: Json) -> list[dict[str, Json]]:
    pieces = value if isinstance(value, list) else [value]
    return [
        item
        for piece in pieces
        for item in coerce.sequence(coerce.first(piece, "results"))
        if isinstance(item, dict) and isinstance(item.get("generated_text"), str)
    ]


def _is_answer(value: Json) -> bool:
    return any("stop_reason" in item or "generated_token_count" in item for item in _results(value))


def _read_prompt(request: dict[str, Json]) -> Json:
    asked = request.get("input")
    return None if asked is None else [{"role": "user", "content": asked}]


def _read(value: Json) -> Answer:
    results = _results(value)
    last = results[-1] if results else {}
    pieces = [piece for piece in (value if isinstance(value, list) else [value])
              if isinstance(piece, dict)]  # fmt: skip
    reason = coerce.text("stop_reason", last.get("stop_reason"))
    failed = isinstance(reason, str) and reason.lower() in _FAILED
    asked = [coerce.integer("input_token_count", item.get("input_token_count")) for item in results]
    text = "".join(str(item["generated_text"]) for item in results)
    return Answer(
        message={"role": "assistant", "content": text} if results else None,
        model=next((coerce.text("model_id", piece["model_id"]) for piece in pieces
                    if piece.get("model_id")), None),
        created=next((piece["created_at"] for piece in pieces if piece.get("created_at")), None),
        finish_reason=None if failed or reason is None else _REASONS.get(reason.lower(), reason),
        tokens={
            "input_tokens": max((count for count in asked if count is not None), default=None),
            "output_tokens": coerce.integer("generated_token_count",
                                            last.get("generated_token_count")),
        },
        error=reason if failed else None,
        body=value,
    )  # fmt: skip


WATSONX = Api(
    "ibm.watsonx.ai", ("/ml/v1/text/generation", "/ml/v1/text/generation_stream"),
    "text_completion", _is_answer,
    lambda request: "model_id" in request and isinstance(request.get("input"), str),
    _read_prompt, _read, _NOT_PARAMS, "parameters",
)  # fmt: skip
