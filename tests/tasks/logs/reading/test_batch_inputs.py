"""Batch output files and the input files beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.ingest.task import ingest
from tests.tasks.logs.builders import call, make_run, query, write_lines
from tests.tasks.logs.formats.test_batches import INPUT, OUTPUT
from tests.tasks.logs.formats.test_openai_chat import COMPLETION


def asked(custom_id: str, text: str) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return {**INPUT, "custom_id": custom_id, "body": body}


def answered(custom_id: str) -> dict[str, Any]:
    response = {"status_code": 200, "body": {**COMPLETION, "id": f"chatcmpl-{custom_id}"}}
    return {**OUTPUT, "custom_id": custom_id, "response": response}


def questions(run: Any) -> list[tuple[Any, ...]]:
    return query(run, "SELECT request_id, messages->0->>'content' FROM landing ORDER BY 1")


def test_the_output_in_any_order_gets_its_questions_from_the_input_file(tmp_path: Path):
    write_lines(tmp_path / "in.jsonl", *(asked(each, f"question {each}") for each in "abc"))
    write_lines(tmp_path / "out.jsonl", answered("c"), answered("a"))
    write_lines(tmp_path / "other.jsonl", call(1))
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert questions(run)[:2] == [("chatcmpl-a", "question a"), ("chatcmpl-c", "question c")]
    assert (receipt.rows_in, receipt.rows_out, receipt.notes["other_spans"]) == (3, 3, 3)


def test_input_and_output_in_one_file(tmp_path: Path):
    write_lines(tmp_path / "both.jsonl", answered("a"), asked("a", "q"))
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    assert questions(run) == [("chatcmpl-a", "q")]


def test_two_inputs_that_disagree_or_lack_an_id_give_no_question(tmp_path: Path):
    write_lines(tmp_path / "in1.jsonl", asked("a", "one"))
    write_lines(tmp_path / "in2.jsonl", asked("a", "two"))
    write_lines(tmp_path / "out.jsonl", answered("a"))
    write_lines(tmp_path / "out2.jsonl", answered("a"), answered("z"))
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    assert questions(run) == [("chatcmpl-a", None), ("chatcmpl-z", None)]


def test_an_id_with_escapes_or_below_another_one_is_found(tmp_path: Path):
    odd = 'a"\u00e9'
    body = {"metadata": {"custom_id": "zzz"}, "messages": [{"role": "user", "content": "inner"}]}
    inner = {"body": body, "custom_id": "b", "method": "POST", "url": "/x"}
    write_lines(tmp_path / "in.jsonl", {**inner, "custom_id": odd}, inner, asked("c", "no"))
    write_lines(tmp_path / "out.jsonl", answered(odd), answered("b"))
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    assert [text for _, text in questions(run)] == ["inner", "inner"]


def test_keyed_output_of_gemini_and_records_of_bedrock_get_their_questions(tmp_path: Path):
    def contents(text: str) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}

    content = {"role": "model", "parts": [{"text": "yo"}]}
    said = {"candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "gemini"}
    write_lines(tmp_path / "in.jsonl", *({"key": each, "request": contents(f"question {each}")}
                                         for each in "ab"))  # fmt: skip
    write_lines(tmp_path / "out.jsonl", {"key": "b", "response": {**said, "responseId": "r-b"}},
                {"key": "a", "error": {"code": 13, "message": "internal"}})  # fmt: skip
    answer = {"output": {"message": {"role": "assistant", "content": [{"text": "yo"}]}},
              "stopReason": "end_turn"}  # fmt: skip
    asked_of_bedrock = {"messages": [{"role": "user", "content": [{"text": "question c"}]}]}
    write_lines(tmp_path / "in2.jsonl", {"recordId": "c", "modelInput": asked_of_bedrock})
    write_lines(tmp_path / "out2.jsonl.out", {"recordId": "c", "modelOutput": answer})
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    rows = query(run, "SELECT messages->0->>'content', response->>'content', status FROM landing "
                      "ORDER BY 1")  # fmt: skip
    assert rows == [("question a", None, "error"), ("question b", "yo", "ok"),
                    ("question c", "yo", "ok")]  # fmt: skip
