"""vLLM and llama.cpp: lines of text."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats import llama_cpp, vllm
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.builders import make_run, query

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


def test_a_received_request_is_a_call_with_its_prompt():
    done = ACCESS.format(id=1, path="/v1/chat/completions", status=200)
    (call,) = calls(vllm, [STATS, RECEIVED.format(id="a"), done])
    assert (call.request_id, call.input_tokens, call.output_tokens) == ("chatcmpl-a", 3, None)
    assert call.params == {"n": 1, "temperature": 0.7, "top_k": 1, "max_tokens": 32}
    assert call.messages == [{"role": "user", "content": "secret text"}]
    assert call.tags == {"logged_at": "04-10 03:35:45", "prompt": "rendered"}
    assert (call.status, call.response, call.started_at) == ("ok", None, None)


def test_every_answer_is_that_of_its_request_whenever_the_first_one_is_logged():
    lines = [RECEIVED.format(id="a"), RECEIVED.format(id="b"), GENERATED.format(id="b"),
             RECEIVED.format(id="c"), GENERATED.format(id="c"), GENERATED.format(id="a"),
             RECEIVED.format(id="still-at-work")]  # fmt: skip
    found = calls(vllm, lines)
    assert [(each.request_id, each.output_tokens) for each in found] == [
        ("chatcmpl-b", 2), ("chatcmpl-c", 2), ("chatcmpl-a", 2),
    ]  # fmt: skip
    assert found[1].finish_reason == "stop"
    assert found[1].response == {"role": "assistant", "content": "text"}
    assert sum(each.count if isinstance(each, Other) else 1 for each in read(vllm, lines)) == 4


def test_an_answer_whose_request_came_before_the_log_began_is_a_call():
    (call,) = calls(vllm, [GENERATED.format(id="early"), RECEIVED.format(id="at-work")])
    assert (call.request_id, call.output_tokens) == ("chatcmpl-early", 2)
    assert (call.messages, call.tags) == (None, {"answered_at": "04-10 03:35:47"})


def test_several_choices_are_one_call_with_the_tokens_of_all():
    asked = RECEIVED.format(id="a").replace("n=1", "n=2")
    other = GENERATED.format(id="a").replace("'text'", "'other'")
    (call,) = calls(vllm, [asked, GENERATED.format(id="a"), other])
    assert (call.output_tokens, call.response["content"]) == (4, "text")
    assert call.tags["other_choices"] == [{"role": "assistant", "content": "other"}]


def test_texts_are_read_as_python_prints_them():
    prompt = 'it\'s "so"\n\\ 你好 params: SamplingParams(n=9)'
    asked = RECEIVED.format(id="a").replace("'secret text'", repr(prompt))
    said = GENERATED.format(id="a").replace("'text'", repr("done, finish_reason: length\n"))
    (call,) = calls(vllm, [asked, said])
    assert call.messages == [{"role": "user", "content": prompt}]
    assert call.response["content"] == "done, finish_reason: length\n"
    assert (call.finish_reason, call.params["n"]) == ("stop", 1)


def test_newer_versions_log_the_prompt_in_a_line_of_its_own_and_no_ids():
    lines = [
        "DEBUG 11-03 09:00:00 [entrypoints/logger.py:48] Request chatcmpl-a details: prompt: 'hi', "
        "prompt_token_ids: [1, 2], prompt_embeds shape: None.",
        "INFO 11-03 09:00:00 [entrypoints/logger.py:60] Received request chatcmpl-a: params: "
        "SamplingParams(n=1, temperature=0.0), lora_request: None.",
        "INFO 11-03 09:00:01 [entrypoints/logger.py:80] Generated response chatcmpl-a (streaming "
        "delta): output: 'y', output_token_ids: [7], finish_reason: None",
        "INFO 11-03 09:00:02 [entrypoints/logger.py:80] Generated response chatcmpl-a (streaming "
        "complete): output: 'yo', output_token_ids: None, finish_reason: streaming_complete",
    ]
    (call,) = calls(vllm, lines)
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert (call.response["content"], call.finish_reason) == ("yo", None)


def test_the_older_engine_says_when_a_request_has_ended():
    asked = RECEIVED.format(id="a").replace("[logger.py:39]", "async_llm_engine.py:436]")
    asked = asked.replace("params: Sampling", "sampling_params: Sampling")
    ended = "INFO 04-10 03:35:48 async_llm_engine.py:111] {} request chatcmpl-{}."
    other = asked.replace("chatcmpl-a", "chatcmpl-b")
    found = calls(vllm, [asked, other, ended.format("Finished", "a"), ended.format("Aborted", "b")])
    assert [(call.request_id, call.status, call.error_type) for call in found] == [
        ("chatcmpl-a", "ok", None), ("chatcmpl-b", "error", "aborted"),
    ]  # fmt: skip


def test_a_failed_request_is_counted_once():
    path = "/v1/chat/completions"
    lines = [
        RECEIVED.format(id="a"), ACCESS.format(id=1, path=path, status=200),
        RECEIVED.format(id="b"), ACCESS.format(id=2, path=path, status=500),
    ]  # fmt: skip
    found = {call.request_id: call for call in calls(vllm, lines)}
    assert {key: call.http_status for key, call in found.items()} == {
        "chatcmpl-a": None, "chatcmpl-b": 500,
    }  # fmt: skip
    assert (found["chatcmpl-b"].status, found["chatcmpl-b"].error_type) == ("error", "500")
    at_once = [RECEIVED.format(id="a"), RECEIVED.format(id="b"), lines[-1]]
    failed, other = calls(vllm, at_once)
    assert failed.tags["http_status_of"] == "one of 2 requests at work"
    assert other.status == "ok"


def test_requests_are_let_go_once_it_shows_that_outputs_are_not_logged():
    done = ACCESS.format(id=1, path="/v1/chat/completions", status=200)
    reader = vllm.reader()
    counts = []
    for number in range(70):
        for line in (RECEIVED.format(id=number), done):
            counts.append(sum(isinstance(each, Call) for each in reader.feed(line)))
    assert (counts.index(64), counts[-1], sum(counts)) == (127, 1, 70)


def test_the_year_is_that_of_the_last_such_day_before_the_file_was_written():
    done = ACCESS.format(id=1, path="/v1/chat/completions", status=200)
    for written_at, year in ((datetime(2026, 4, 10, 12), 2026), (datetime(2026, 4, 1), 2025)):  # noqa: DTZ001
        reader = vllm.reader(written_at)
        found = [*reader.feed(RECEIVED.format(id="a")), *reader.feed(done), *reader.end()]
        (call,) = (each for each in found if isinstance(each, Call))
        assert str(call.started_at) == f"{year}-04-10 03:35:45"
    (call,) = calls(vllm, [f"2025-04-10T01:35:45.5Z {RECEIVED.format(id='a')}"])
    assert str(call.started_at) == "2025-04-10 01:35:45.500000"


@pytest.mark.parametrize(
    ("written_at", "told", "expected"),
    [
        # read in January, of a log that ends in December
        ("2027-01-03T09:00:00", ["12-30 22:00:00", "12-31 23:59:58"],
         ["2026-12-30 22:00:00", "2026-12-31 23:59:58"]),
        # across the turn of the year
        ("2027-01-01T00:10:00", ["12-31 23:59:58", "01-01 00:00:03"],
         ["2026-12-31 23:59:58", "2027-01-01 00:00:03"]),
        # a year of log: its first morning is not the one to come
        ("2026-12-31T12:00:00", ["01-01 08:00:00", "12-31 11:59:00"],
         ["2026-01-01 08:00:00", "2026-12-31 11:59:00"]),
        # a clock east of Greenwich has the new year before it is there
        ("2026-12-31T16:00:00", ["12-31 23:00:00", "01-01 00:59:00"],
         ["2026-12-31 23:00:00", "2027-01-01 00:59:00"]),
        # what a prompt holds is no line
        ("2026-06-02T12:00:00", ["06-01 10:00:00", "06-02 11:00:00 'on 12-24 10:00:00'"],
         ["2026-06-01 10:00:00", "2026-06-02 11:00:00"]),
    ],
)  # fmt: skip
def test_no_line_of_a_log_is_later_than_its_last(
    written_at: str, told: list[str], expected: list[str], tmp_path: Path
):
    lines = [
        f"INFO {at[:14]} [logger.py:39] Received request chatcmpl-{number}: prompt: "
        f"{at[15:] or repr('hi')}, params: SamplingParams(n=1)"
        for number, at in enumerate(told)
    ]
    path = tmp_path / "vllm.log"
    path.write_text("\n".join(lines) + "\n")
    at = datetime.fromisoformat(f"{written_at}+00:00").timestamp()
    os.utime(path, (at, at))
    run = make_run(tmp_path, path)
    ingest(run)
    rows = query(run, "SELECT started_at::VARCHAR FROM landing ORDER BY request_id")
    assert [row for (row,) in rows] == expected


def test_what_max_log_len_has_cut_is_no_text_and_the_model_is_that_of_the_start():
    start = ("INFO 04-10 03:00:00 [api_server.py:1] args: Namespace(model='org/big', "
             "served_model_name=['big'], max_log_len=4)")  # fmt: skip
    (call,) = calls(vllm, [start, RECEIVED.format(id="a"), GENERATED.format(id="a")])
    assert (call.model, call.messages, call.response, call.status) == ("big", None, None, "ok")
    assert (call.input_tokens, call.output_tokens) == (3, 2)


def test_without_logged_requests_the_access_lines_are_the_calls():
    lines = [ACCESS.format(id=1, path="/v1/chat/completions", status=200)] * 2
    found = calls(vllm, [*lines, ACCESS.format(id=2, path="/health", status=200)])
    assert [each.http_status for each in found] == [200, 200]
    assert found[0].tags["line"] != found[1].tags["line"]


def test_failed_requests_are_calls_even_where_requests_are_logged():
    refused = ACCESS.format(id=1, path="/v1/completions", status=400)
    (failed, _) = calls(vllm, [RECEIVED.format(id="a"), refused])
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
