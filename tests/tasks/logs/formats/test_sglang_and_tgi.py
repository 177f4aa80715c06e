"""SGLang and text-generation-inference: their logs as text and as JSON, and their own APIs."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import sglang, sglang_json, tgi, tgi_json
from tasks.logs.formats.python_text import Text, text_at, value_of
from tasks.logs.shapes.records import Call, Other, UnreadableError

META = ("{'id': 'r-1', 'finish_reason': {'type': 'length', 'length': 4}, 'prompt_tokens': 9, "
        "'completion_tokens': 4, 'cached_tokens': 3, 'e2e_latency': 1.5}")  # fmt: skip
ASKED = ("GenerateReqInput(rid='r-1', text='say (a=1), \\'b\\'', input_ids=None, sampling_params="
         "{'temperature': 0.5, 'max_new_tokens': 4}, stream=False)")  # fmt: skip
RECEIVED = f"[2026-11-03 08:00:00] Receive: obj={ASKED}"
FINISHED = f"[2026-11-03 08:00:02] Finish: obj={ASKED}, out={{'text': 'so', 'meta_info': {META}}}"
ACCESS = '[2026-11-03 08:00:02] INFO:     10.0.0.1:1 - "POST /v1/completions HTTP/1.1" {} OK'
SPAN = (
    "generate{{parameters=GenerateParameters {{ best_of: None, temperature: Some(0.5), "
    "top_k: None, do_sample: true, max_new_tokens: Some(20), seed: None }}{}}}"
)
TIMES = (' total_time="1.5s" validation_time="750µs" queue_time="40ns" inference_time="1.4s" '
         'time_per_token="70ms" seed="Some(7)"')  # fmt: skip
TGI = ("2026-11-03T08:00:03.500000Z  INFO " + SPAN.format(TIMES)
       + ": text_generation_router::server: router/src/server.rs:420: Success")  # fmt: skip
TGI_JSON = {
    "timestamp": "2026-11-03T08:00:03.5Z", "level": "INFO", "message": "Success",
    "target": "text_generation_router::server", "filename": "router/src/server.rs",
    "span": {"parameters": "GenerateParameters { top_p: Some(0.9), max_new_tokens: 20 }",
             "total_time": "1.5s", "queue_time": "1m 2s", "seed": "None", "name": "generate"},
    "spans": [{"name": "generate"}],
}  # fmt: skip

EVENT = {
    "timestamp": "2026-11-03T08:00:02", "event": "request.finished", "rid": "r-2",
    "obj": {"text": "ask", "sampling_params": {"n": 1}},
    "out": {"text": "so", "meta_info": {"id": "r-2", "finish_reason": {"type": "stop"},
            "prompt_tokens": 5, "completion_tokens": 2, "e2e_latency": 0.5}},
}  # fmt: skip


def read(format: Any, *lines: str) -> list[Any]:
    reader = format.reader()
    return [*(record for line in lines for record in reader.feed(line)), *reader.end()]


def calls(format: Any, *lines: str) -> list[Call]:
    return [record for record in read(format, *lines) if isinstance(record, Call)]


def test_a_finished_request_is_a_call_from_when_it_was_received():
    assert formats.recognise_text([RECEIVED]) is sglang
    batch = "[2026-11-03 08:00:01 TP0] Decode batch. #running-req: 1, #token: 9"
    found = read(sglang, RECEIVED, batch, FINISHED, ACCESS.format(200))
    (call,) = (each for each in found if isinstance(each, Call))
    assert len(found) == 4
    assert (call.request_id, str(call.started_at)) == ("r-1", "2026-11-03 08:00:00")
    assert call.messages == [{"role": "user", "content": "say (a=1), 'b'"}]
    assert call.response == {"role": "assistant", "content": "so"}
    assert call.params == {"temperature": 0.5, "max_new_tokens": 4}
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (9, 4, 3)
    assert (call.latency_s, call.finish_reason, call.status) == (1.5, "length", "ok")


def test_one_without_its_receive_line_began_before_it_ended():
    (call,) = calls(sglang, FINISHED)
    assert str(call.started_at) == "2026-11-03 08:00:00.500000"


def test_lower_levels_have_counts_without_texts_and_long_texts_are_cut():
    bare = f"Finish: obj=GenerateReqInput(rid='r-1', n=1), out={{'meta_info': {META}}}"
    cut = FINISHED.replace("'so'", "'so' ... 'far'").replace(
        "input_ids=None", f"input_ids={[1] * 90} ... [2]"
    )
    for line in (bare, cut):
        (call,) = calls(sglang, line)
        assert (call.response, call.status, call.output_tokens) == (None, "ok", 4)


def test_what_cannot_be_read_in_a_request_leaves_the_answer():
    line = FINISHED.replace("input_ids=None", "image_data=<PIL.Image at 0x7f>")
    (call,) = calls(sglang, line)
    assert (call.request_id, call.messages, call.output_tokens) == ("r-1", None, 4)
    with pytest.raises(UnreadableError):
        calls(sglang, FINISHED[:-4])


def test_an_aborted_request_is_one_error_and_a_refused_one_is_another():
    reason = "{'type': 'abort', 'message': 'too long', 'status_code': 400}"
    gone = FINISHED.replace("{'type': 'length', 'length': 4}", reason)
    aborted, refused = calls(sglang, gone, ACCESS.format(400), ACCESS.format(422))
    assert (aborted.status, aborted.error_type, aborted.http_status) == ("error", "abort", 400)
    assert (refused.status, refused.http_status) == ("error", 422)


def test_requests_logged_as_json():
    assert formats.recognise(EVENT) is sglang_json
    (call,) = sglang_json.records(EVENT)
    assert (call.request_id, str(call.started_at)) == ("r-2", "2026-11-03 08:00:01.500000")
    assert (call.messages[0]["content"], call.response["content"]) == ("ask", "so")
    assert (call.input_tokens, call.output_tokens, call.params) == (5, 2, {"n": 1})
    assert list(sglang_json.records({**EVENT, "event": "request.received"})) == [Other()]
    exported = {"request_parameters": '{"text": "ask"}', "id": "r-3", "prompt_tokens": 5,
                "completion_tokens": 2, "e2e_latency": 0.5}  # fmt: skip
    (call,) = formats.recognise(exported).records(exported)
    assert (call.request_id, call.output_tokens, call.status) == ("r-3", 2, "ok")


def test_bodies_of_the_own_apis_are_read_in_a_pair():
    pair = {"request": {"text": "ask", "sampling_params": {"temperature": 0}},
            "response": {"text": "so", "meta_info": {"id": "i", "prompt_tokens": 1,
                         "completion_tokens": 2, "finish_reason": {"type": "stop"}}}}  # fmt: skip
    (call,) = formats.recognise(pair).records(pair)
    assert (call.provider, call.output_tokens, call.params) == ("sglang", 2, {"temperature": 0})
    own = {"request": {"prompt": "ask", "n_predict": 4}, "response": {
        "content": "so", "model": "m.gguf", "tokens_predicted": 2, "tokens_evaluated": 9,
        "stop": True, "stop_type": "limit", "timings": {"prompt_ms": 100.0, "predicted_ms": 400.0},
    }}  # fmt: skip
    (call,) = formats.recognise(own).records(own)
    assert (call.provider, call.finish_reason, call.latency_s) == ("llama.cpp", "length", 0.5)
    assert (call.input_tokens, call.output_tokens, call.ttft_s) == (9, 2, 0.1)


def test_a_success_of_tgi_is_a_call_that_began_before_its_line():
    assert formats.recognise_text([TGI]) is tgi
    start = '2026-11-03T07:00:00Z  INFO text_generation_launcher: Args { model_id: "org/m", x: 1 }'
    (call,) = calls(tgi, start, TGI)
    assert (str(call.started_at), call.latency_s) == ("2026-11-03 08:00:02", 1.5)
    assert call.params == {
        "temperature": 0.5, "do_sample": True, "max_new_tokens": 20, "seed": 7,
    }  # fmt: skip
    assert (call.model, call.operation, call.status) == ("org/m", "text_completion", "ok")
    assert call.tags["queue_time_s"] == pytest.approx(40e-9)
    coloured = TGI.replace("total_time=", "\x1b[3mtotal_time\x1b[0m\x1b[2m=\x1b[0m")
    assert calls(tgi, coloured)[0].latency_s == 1.5
    chat = TGI.replace(" generate{", ' chat_completions{total_time="1s"}:generate{')
    assert calls(tgi, chat)[0].operation == "chat"


def test_a_failed_request_of_tgi_is_counted_once():
    tail = "Request failed during generation: Server error: out of memory"
    lines = [
        "2026-11-03T08:00:03Z ERROR batch{batch_size=1}:prefill: text_generation_router_v3::client:"
        " backends/v3/src/client.rs:54: Server error: out of memory",
        "2026-11-03T08:00:03Z ERROR chat_completions:" + SPAN.format("") + ":async_stream: "
        f"text_generation_router::infer: router/src/infer/mod.rs:105: {tail}",
    ]
    (call,) = calls(tgi, *lines)
    assert (call.status, call.error_type) == ("error", "Request failed during generation")
    assert (call.operation, call.tags["error"]) == ("chat", tail)


def test_tgi_as_json_and_its_bodies():
    assert formats.recognise(TGI_JSON) is tgi_json
    (call,) = tgi_json.records(TGI_JSON)
    assert (str(call.started_at), call.params) == (
        "2026-11-03 08:00:02", {"top_p": 0.9, "max_new_tokens": 20},
    )  # fmt: skip
    assert call.tags["queue_time_s"] == 62
    assert list(tgi_json.records({**TGI_JSON, "span": {"name": "generate"}})) == [Other()]
    details = {
        "finish_reason": "eos_token", "generated_tokens": 3, "seed": 1, "tokens": [],
        "prefill": [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}],
    }  # fmt: skip
    asked = {"inputs": "ask", "parameters": {"max_new_tokens": 5}}
    whole = {"request": asked, "response": {"generated_text": "so", "details": details}}
    ended = {"finish_reason": "length", "generated_tokens": 2, "input_length": 4}
    stream = {"request": asked, "response": [
        {"token": {"id": 1, "text": "s"}, "generated_text": None, "details": None},
        {"token": {"id": 2, "text": "o"}, "generated_text": "so", "details": ended},
    ]}  # fmt: skip
    (first,), (second,) = (list(formats.recognise(x).records(x)) for x in (whole, stream))
    assert (first.input_tokens, first.output_tokens, first.finish_reason) == (2, 3, "stop")
    assert (second.input_tokens, second.output_tokens, second.finish_reason) == (4, 2, "length")
    assert first.response == second.response == {"role": "assistant", "content": "so"}
    assert first.params == {"max_new_tokens": 5}


def test_printed_values_are_read_without_evaluating_anything():
    said = "X(a=(1, 2), b={'k': [True, None]}, c=\"it's\", d=('x',), e=__import__('os').name)"
    with pytest.raises(UnreadableError):
        value_of(said)
    assert value_of(said.replace(", e=__import__('os').name", "")) == {
        "a": [1, 2], "b": {"k": [True, None]}, "c": "it's", "d": ["x"],
    }  # fmt: skip
    assert text_at("say: 'it\\'s' so", 5) == Text("it's", 12)
    assert text_at("say: 'it\\'s so", 5).value is None
    assert value_of("'" + "\\'" * 200_000) is None  # in a moment, not an hour
    with pytest.raises(UnreadableError, match="deeper"):
        value_of("[" * 5000)
