"""vLLM and llama.cpp: lines of text, of which only the numbers are read."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import llama_cpp, vllm
from tasks.logs.shapes.records import Call, Other

RECEIVED = (
    "(APIServer pid=1) INFO 04-10 03:35:45 [logger.py:39] Received request chatcmpl-{id}: "
    "prompt: 'secret text', params: SamplingParams(n=1, temperature=0.7, top_k=1, max_tokens=32, "
    "logprobs=None), prompt_token_ids: [1, 2, 3], lora_request: None."
)
GENERATED = (
    "INFO 04-10 03:35:47 [logger.py:60] Generated response chatcmpl-{id}: output: 'text', "
    "output_token_ids: [7, 8], finish_reason: stop"
)
ACCESS = 'INFO:     127.0.0.1:5{id} - "POST {path} HTTP/1.1" {status} OK'
STATS = (
    "INFO 04-10 03:35:27 [loggers.py:80] Avg prompt throughput: 13.0 tokens/s, Avg generation "
    "throughput: 52.1 tokens/s, Running: 0 reqs"
)
NEW = """\
build: 4567 (abc) with cc
[42027] 1.35.716.244 I srv  update_slots: all slots are idle
slot launch_slot_: id  0 | task 388 | processing task
slot update_slots: id  0 | task 388 | new prompt, n_ctx_slot = 32768, n_prompt_tokens = 40
[42027] 1.37.495.377 I slot print_timing: id  0 | task 388 |
[42027] prompt eval time =     789.03 ms /    27 tokens (   29.22 ms per token)
[42027]        eval time =   16112.50 ms /   192 tokens (   83.92 ms per token)
[42027]       total time =   16901.53 ms /   219 tokens
srv  log_server_r: request: POST /v1/chat/completions 127.0.0.1 200
srv  log_server_r: request: POST /v1/chat/completions 127.0.0.1 400
srv  log_server_r: request: GET /props 127.0.0.1 404"""
OLD = """\
INFO [   print_timings] prompt eval time     =      15.62 ms /    12 tokens ( 1.30 ms per token) | tid="1" timestamp=1723569622 id_slot=0 id_task=5
INFO [   print_timings] generation eval time =    3194.22 ms /   783 runs   ( 4.08 ms per token) | tid="1" timestamp=1723569622 id_slot=0 id_task=5
INFO [   print_timings]           total time =    3209.84 ms | tid="1" timestamp=1723569622 id_slot=0 id_task=5"""  # noqa: E501


def read(format: Any, lines: list[str]) -> list[Any]:
    reader = format.reader()
    found = [record for line in lines for record in reader.feed(line)]
    return [*found, *reader.end()]


def calls(format: Any, lines: list[str]) -> list[Call]:
    return [each for each in read(format, lines) if isinstance(each, Call)]


@pytest.mark.parametrize(
    ("lines", "format"),
    [(["(APIServer pid=1) " + STATS], vllm), ([RECEIVED], vllm),
     (NEW.splitlines(), llama_cpp), (OLD.splitlines(), llama_cpp),
     (["INFO: something else", "plain text"], None)],
)  # fmt: skip
def test_logs_are_recognised_by_their_lines(lines: list[str], format: Any):
    assert formats.recognise_text(lines) is format


def test_a_received_request_is_a_call_without_its_text():
    done = ACCESS.format(id=1, path="/v1/chat/completions", status=200)
    (call,) = calls(vllm, [STATS, RECEIVED.format(id="a"), done])
    assert (call.request_id, call.input_tokens, call.output_tokens) == ("chatcmpl-a", 3, None)
    assert call.params == {"n": 1, "temperature": 0.7, "top_k": 1, "max_tokens": 32}
    assert (call.started_at, call.tags["logged_at"]) == (None, "04-10 03:35:45")
    assert "secret" not in str(call)


def test_generated_responses_add_their_tokens_once_outputs_are_logged():
    lines = [RECEIVED.format(id="a"), GENERATED.format(id="a"), RECEIVED.format(id="b"),
             RECEIVED.format(id="c"), GENERATED.format(id="c"), GENERATED.format(id="b"),
             RECEIVED.format(id="still-at-work")]  # fmt: skip
    found = calls(vllm, lines)
    assert [(each.request_id, each.output_tokens) for each in found] == [
        ("chatcmpl-a", None), ("chatcmpl-c", 2), ("chatcmpl-b", 2),
    ]  # fmt: skip
    assert found[1].finish_reason == "stop"
    assert sum(each.count if isinstance(each, Other) else 1 for each in read(vllm, lines)) == 5


def test_without_logged_requests_the_access_lines_are_the_calls():
    lines = [ACCESS.format(id=1, path="/v1/chat/completions", status=200)] * 2
    found = calls(vllm, [*lines, ACCESS.format(id=2, path="/health", status=200)])
    assert [each.http_status for each in found] == [200, 200]
    assert found[0].tags["line"] != found[1].tags["line"]


def test_failed_requests_are_calls_even_where_requests_are_logged():
    refused = ACCESS.format(id=1, path="/v1/completions", status=400)
    (_, failed) = calls(vllm, [RECEIVED.format(id="a"), refused])
    assert (failed.status, failed.error_type, failed.http_status) == ("error", "400", 400)


def test_llama_cpp_timings_are_a_call():
    timed, failed = calls(llama_cpp, NEW.splitlines())
    assert (timed.input_tokens, timed.cached_tokens, timed.output_tokens) == (40, 13, 192)
    assert (timed.ttft_s, timed.latency_s) == (pytest.approx(0.78903), pytest.approx(16.90153))
    assert timed.tags == {"slot": "0", "task": "388"}
    assert (failed.status, failed.http_status) == ("error", 400)


def test_older_llama_cpp_timings_have_a_time():
    (call,) = calls(llama_cpp, OLD.splitlines())
    assert (call.input_tokens, call.output_tokens) == (12, 783)
    assert call.latency_s == pytest.approx(3.20984)
    assert str(call.started_at)[:19] == "2024-08-13 17:20:18"


def test_cut_off_timings_are_no_call_yet():
    lines = OLD.splitlines()[:2]
    assert read(llama_cpp, lines) == [Other(), Other()]


@pytest.mark.parametrize(
    ("said", "read_as"),
    [("1e-05", 1e-05), ("2", 2), ("-1", -1), (".", None), ("1..2", None), ("1.2.3", None),
     ("9" * 5000, None)],
)  # fmt: skip
def test_a_parameter_is_read_whole_or_left_out(said: str, read_as: float | None):
    line = RECEIVED.format(id=1).replace("temperature=0.7", f"temperature={said}")
    (call,) = calls(vllm, [line])
    assert call.params is not None
    assert call.params.get("temperature") == read_as
    assert call.params["max_tokens"] == 32
