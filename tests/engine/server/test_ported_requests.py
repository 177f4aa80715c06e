"""Requests that the test suites of OpenAI-compatible servers send, with what they expect of the
answer; where something is not supported here, the refusal that names it. Sources, facts only: the
suites of vLLM (tests/entrypoints/openai), llama.cpp (tools/server/tests), SGLang (test/srt), and
what the openai client reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine import LLM
from tests.engine.server.local_server import Answer, LocalServer, serving

openai = pytest.importorskip("openai")

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
USER = {"role": "user", "content": "what is 1+1?"}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server(chatty: LLM) -> Iterator[LocalServer]:
    with serving(chatty) as running:
        yield running


def chat(server: LocalServer, **body: Any) -> Answer:
    return server.post(
        "chat/completions",
        {"model": "tiny", "messages": [SYSTEM, USER], "max_tokens": 10, "temperature": 0} | body,
    )


def complete(server: LocalServer, **body: Any) -> Answer:
    defaults = {"model": "tiny", "prompt": "Hello, my name is", "max_tokens": 5, "temperature": 0}
    return server.post("completions", defaults | body)


def choices(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return answer.json["choices"]


# what is answered ---------------------------------------------------------------------------------


def test_vllm_single_completion(server: LocalServer):
    answer = complete(server)
    [choice] = choices(answer)
    assert answer.json["id"].startswith("cmpl-")
    assert len(choice["text"]) >= 1
    assert choice["finish_reason"] == "length"
    assert answer.json["usage"] | {"prompt_tokens_details": None} == {
        "completion_tokens": 5,
        "prompt_tokens": 17,
        "total_tokens": 22,
        "prompt_tokens_details": None,
    }


def test_vllm_completion_of_token_ids(server: LocalServer):
    assert len(choices(complete(server, prompt=[1] * 5))[0]["text"]) >= 1


def test_vllm_no_logprobs_unless_asked_for(server: LocalServer):
    assert choices(complete(server))[0]["logprobs"] is None
    assert choices(chat(server))[0]["logprobs"] is None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_vllm_some_logprobs(server: LocalServer, count: int):
    logprobs = choices(complete(server, logprobs=count))[0]["logprobs"]
    assert logprobs["text_offset"][0] == 0
    assert len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == 5
    tops = logprobs["top_logprobs"]
    assert tops is None if count == 0 else all(count <= len(top) <= count + 1 for top in tops)


def test_vllm_too_many_logprobs_are_refused(server: LocalServer):
    assert complete(server, logprobs=21).error["param"] == "logprobs"
    assert chat(server, logprobs=True, top_logprobs=21).error["param"] == "top_logprobs"


def test_vllm_chat_logprobs_zero_to_five(server: LocalServer):
    for count in (0, 1, 5):
        content = choices(chat(server, logprobs=True, top_logprobs=count))[0]["logprobs"]["content"]
        assert all(len(token["top_logprobs"]) == count for token in content)


def test_vllm_completion_stream_adds_up(server: LocalServer):
    whole = choices(complete(server))[0]["text"]
    events = complete(server, stream=True).events
    assert "".join(event["choices"][0]["text"] for event in events) == whole
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons.count("length") == 1
    assert reasons[-1] == "length"


def test_vllm_chat_stream_adds_up_and_tells_the_role_first(server: LocalServer):
    whole = choices(chat(server))[0]["message"]
    assert whole["role"] == "assistant"
    deltas = [event["choices"][0]["delta"] for event in chat(server, stream=True).events]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content") or "" for delta in deltas) == whole["content"]


@pytest.mark.parametrize("include", [True, False, None])
def test_vllm_usage_comes_last_and_only_if_asked_for(server: LocalServer, include: bool | None):
    options = None if include is None else {"include_usage": include}
    *events, last = complete(server, stream=True, stream_options=options).events
    if include:
        assert all(event["usage"] is None for event in events)
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 5
    else:
        assert all("usage" not in event for event in [*events, last])


@pytest.mark.parametrize("options", [{"include_usage": None}, {"include_usage": True}, {}])
def test_vllm_stream_options_need_a_stream(server: LocalServer, options: dict[str, Any]):
    for answer in (
        complete(server, stream=False, stream_options=options),
        chat(server, stream_options=options),
    ):
        assert (answer.status, answer.error["param"]) == (400, "stream_options")


def test_vllm_batch_of_prompts_keeps_its_order(server: LocalServer):
    batch = choices(complete(server, prompt=["Hello", "Hello, my name is"]))
    alone = [choices(complete(server, prompt=p))[0] for p in ("Hello", "Hello, my name is")]
    assert [choice["index"] for choice in batch] == [0, 1]
    assert [choice["text"] for choice in batch] == [choice["text"] for choice in alone]


def test_vllm_n_choices_of_each_prompt(server: LocalServer):
    found = choices(complete(server, prompt=["a", "b"], n=2, temperature=1, seed=1))
    assert [choice["index"] for choice in found] == [0, 1, 2, 3]
    assert len(choices(chat(server, n=3))) == 3


@pytest.mark.parametrize("echo", [True, False])
def test_vllm_echo(server: LocalServer, echo: bool):
    text = choices(complete(server, echo=echo))[0]["text"]
    assert text.startswith("Hello, my name is") == echo


def test_vllm_echo_with_logprobs_and_without_an_answer(server: LocalServer):
    [choice] = choices(complete(server, echo=True, logprobs=1, max_tokens=0))
    assert choice["text"] == "Hello, my name is"
    assert choice["logprobs"]["token_logprobs"][0] is None
    assert len(choice["logprobs"]["tokens"]) == 17


def test_llama_stop_is_a_text_or_several(server: LocalServer):
    text = choices(complete(server, max_tokens=60))[0]["text"]
    stop = next(c for c in text[3:] if c.isprintable() and c not in text[:2])
    for given in (stop, [stop], ["\0never", stop]):
        [choice] = choices(complete(server, max_tokens=60, stop=given))
        assert (choice["text"], choice["finish_reason"]) == (text[: text.index(stop)], "stop")
    for none in (None, []):
        assert choices(complete(server, max_tokens=60, stop=none))[0]["text"] == text


def test_vllm_seed_decides_and_a_negative_one_is_taken(server: LocalServer):
    def text(seed: int) -> str:
        return str(choices(complete(server, temperature=1.0, seed=seed, max_tokens=20))[0]["text"])

    assert text(42) == text(42) != text(43)
    assert text(-1)


def test_openai_content_parts_are_one_text(server: LocalServer):
    parts = [{"type": "text", "text": "what is "}, {"type": "text", "text": "1+1?"}]
    split = chat(server, messages=[SYSTEM, {"role": "user", "content": parts}])
    assert choices(split)[0]["message"] == choices(chat(server))[0]["message"]


def test_openai_roles_and_names(server: LocalServer):
    messages = [
        {"role": "developer", "content": "a"},
        {"role": "user", "content": "b", "name": "Bob"},
        {"role": "assistant", "content": "c", "refusal": None, "tool_calls": None},
        {"role": "tool", "content": "d", "tool_call_id": "1"},
    ]
    assert choices(chat(server, messages=messages))


def test_openai_max_completion_tokens_goes_before(server: LocalServer):
    answer = chat(server, max_tokens=9, max_completion_tokens=2)
    assert answer.json["usage"]["completion_tokens"] == 2


def test_llama_server_limits_the_answer_by_the_context(server: LocalServer):
    answer = complete(server, prompt=[5] * 1000, max_tokens=None)
    assert answer.status == 200
    unlimited = chat(server, max_tokens=None, messages=[{"role": "user", "content": "a" * 900}])
    assert unlimited.json["usage"]["total_tokens"] <= 1024


def test_vllm_response_format_of_text_and_of_a_schema(server: LocalServer):
    assert choices(chat(server, response_format={"type": "text"}))
    assert choices(complete(server, response_format={"type": "text"}))
    pytest.importorskip("llguidance")
    described = {"name": "x", "strict": True, "schema": SCHEMA}
    answer = chat(
        server, max_tokens=200, response_format={"type": "json_schema", "json_schema": described}
    )
    assert set(json.loads(choices(answer)[0]["message"]["content"])) == {"ok"}


def test_a_call_of_a_tool_comes_as_one_whole_and_in_a_stream(server: LocalServer):
    pytest.importorskip("llguidance")
    call = {"type": "object", "additionalProperties": False, "required": ["name", "arguments"],
            "properties": {"name": {"const": "get_weather"}, "arguments": SCHEMA}}  # fmt: skip
    described = {"type": "json_schema", "json_schema": {"name": "x", "schema": call}}
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x")
    asked: Any = {"model": "tiny", "messages": [USER], "tools": [TOOL], "temperature": 0,
                  "max_tokens": 300, "response_format": described}  # fmt: skip
    (whole,) = client.chat.completions.create(**asked).choices
    assert (whole.message.content, whole.finish_reason) == (None, "tool_calls")
    (said,) = whole.message.tool_calls or ()
    assert said.type == "function"
    assert said.function.name == "get_weather"
    assert set(json.loads(said.function.arguments)) == {"ok"}
    pieces = [piece.choices[0] for piece in client.chat.completions.create(**asked, stream=True)]
    assert not any(piece.delta.content for piece in pieces)
    assert pieces[-1].finish_reason == "tool_calls"
    (streamed,) = [call for piece in pieces for call in piece.delta.tool_calls or ()]
    assert streamed.index == 0
    assert streamed.function
    assert streamed.function.model_dump() == said.function.model_dump()
    # none may be called: it is text, and the model does not hear of the tool
    (plain,) = client.chat.completions.create(**asked, tool_choice="none").choices
    assert plain.finish_reason == "stop"
    assert json.loads(plain.message.content or "")["name"] == "get_weather"


def test_a_history_of_tools_and_an_answer_begun_are_taken(server: LocalServer):
    called = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [USER, {"role": "assistant", "content": None, "tool_calls": [called]},
               {"role": "tool", "content": "rain", "tool_call_id": "1"}]  # fmt: skip
    assert choices(chat(server, messages=history, tools=[TOOL]))
    begun = [USER, {"role": "assistant", "content": "It is"}]
    goes_on = chat(server, messages=begun, continue_final_message=True, add_generation_prompt=False)
    assert choices(goes_on) != choices(chat(server, messages=begun))
    refused = chat(server, continue_final_message=True, add_generation_prompt=True)
    assert (refused.status, refused.error["param"]) == (400, "add_generation_prompt")


def test_openai_models_are_listed(server: LocalServer):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x")
    [model] = client.models.list().data
    assert (model.id, model.object) == ("tiny", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")
    with pytest.raises(openai.NotFoundError) as raised:
        client.completions.create(model="gpt-4o", prompt="a")
    assert raised.value.code == "model_not_found"


def test_clients_know_an_overflow_of_the_context(server: LocalServer):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x")
    long = "a" * 5000
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": long}])
    assert raised.value.code == "context_length_exceeded"
    assert raised.value.param == "messages"
    assert raised.value.type == "invalid_request_error"
    for prompt in (long, [5] * 1024, ["a", long]):
        with pytest.raises(openai.BadRequestError) as raised:
            client.completions.create(model="tiny", prompt=prompt)  # type: ignore[arg-type]
        assert raised.value.code == "context_length_exceeded"


NEUTRAL_FOR_BOTH = {
    "top_k": -1,
    "ignore_eos": False,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "include_stop_str_in_output": False,
    "length_penalty": 1.0,
    "use_beam_search": False,
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "repetition_penalty": 1.0,
    "min_p": 0,
    "top_p": 1,
    "min_tokens": 0,
    "stop_token_ids": [],
    "stop": None,
    "seed": None,
    "user": "me",
    "priority": 0,
    "response_format": {"type": "text"},
    "stream": False,
    "stream_options": None,
    "truncate_prompt_tokens": None,
    "cache_prompt": True,
    "n_probs": 0,
    "typical_p": 1.0,
    "no_stop_trim": False,
    "best_of": 1,
    "echo": False,
}
NEUTRAL_FOR_CHAT = {
    "tools": [TOOL],
    "tool_choice": "none",
    "parallel_tool_calls": True,
    "logprobs": False,
    "modalities": ["text"],
    "add_generation_prompt": True,
    "continue_final_message": False,
    "add_special_tokens": False,
    "chat_template_kwargs": {},
    "documents": None,
    "reasoning_effort": None,
    "functions": None,
}


def test_fields_with_their_neutral_value_are_accepted(server: LocalServer):
    body = NEUTRAL_FOR_BOTH | {"add_special_tokens": True, "suffix": ""}
    assert choices(complete(server, **body)) == choices(complete(server))
    both = NEUTRAL_FOR_BOTH | NEUTRAL_FOR_CHAT
    assert choices(chat(server, **both)) == choices(chat(server))
    for name, value in both.items():
        assert chat(server, **{name: value, "tool_choice": "none"}).status == 200, name
    assert complete(server, n=2, best_of=2).status == 200


# what is refused, by name -------------------------------------------------------------------------

REFUSED_FOR_BOTH: dict[str, Any] = {
    "presence_penalty": 0.5,
    "frequency_penalty": -1,
    "logit_bias": {"5": 100},
    "ignore_eos": True,
    "skip_special_tokens": False,
    "include_stop_str_in_output": True,
    "length_penalty": 0.5,
    "use_beam_search": True,
    "best_of": 2,
    "prompt_logprobs": 1,
    "guided_json": SCHEMA,
    "structured_outputs": {"regex": "a"},
    "regex": "a+",
    "grammar": "root ::= 'a'",
    "json_schema": SCHEMA,
    "mirostat": 2,
    "n_predict": 5,
    "repeat_penalty": 1.1,
    "truncate_prompt_tokens": 5,
    "lora_path": "x",
    "bad_words": ["a"],
    "allowed_token_ids": [1],
    "typical_p": 0.5,
    "top_k": -2,
    "top_p": 0,
    "temperature": -1,
    "n": 0,
    "max_tokens": -1,
    "repetition_penalty": 0,
    "min_p": 2,
    "seed": 1.5,
    "stop": "",
}
REFUSED_FOR_CHAT: dict[str, Any] = {
    "max_tokens": 0,
    "max_completion_tokens": 0,
    "tools": [{"type": "retrieval"}],
    "tool_choice": "required",  # without tools
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "a"},
    "prediction": {"type": "content", "content": "a"},
    "reasoning_effort": "high",
    "web_search_options": {},
    "echo": True,
    "add_generation_prompt": False,
    "add_special_tokens": True,
    "chat_template": "{{ 1 }}",
    "chat_template_kwargs": {"messages": []},
    "response_format": {"type": "grammar"},
    "messages": [],
    "top_logprobs": 3,
}
REFUSED_FOR_COMPLETIONS: dict[str, Any] = {
    "max_tokens": 0,
    "suffix": "end",
    "prompt": None,
    "add_special_tokens": False,
    "logprobs": 21,
    "prompt_embeds": "AAAA",
}


@pytest.mark.parametrize("name", REFUSED_FOR_BOTH | REFUSED_FOR_CHAT)
def test_chat_refuses_by_name(server: LocalServer, name: str):
    answer = chat(server, **{name: (REFUSED_FOR_BOTH | REFUSED_FOR_CHAT)[name]})
    assert answer.status == 400
    assert answer.error["param"] == name
    assert name in answer.error["message"]


@pytest.mark.parametrize("name", REFUSED_FOR_BOTH | REFUSED_FOR_COMPLETIONS)
def test_completions_refuse_by_name(server: LocalServer, name: str):
    answer = complete(server, **{name: (REFUSED_FOR_BOTH | REFUSED_FOR_COMPLETIONS)[name]})
    assert answer.status == 400
    assert answer.error["param"] == name
    assert name in answer.error["message"]


@pytest.mark.parametrize("name", ["continuous_usage_stats", "include_obfuscation", "unheard_of"])
def test_stream_options_that_nobody_knows_are_refused(server: LocalServer, name: str):
    options = {"include_usage": True, name: True}
    answer = complete(server, stream=True, stream_options=options)
    assert (answer.status, answer.error["param"]) == (400, "stream_options")
    assert f"stream_options.{name}" in answer.error["message"]
    if name != "unheard_of":
        assert complete(server, stream=True, stream_options={name: False}).status == 200


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": 5},
        {"role": "robot", "content": "a"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
        "not a message",
    ],
)
def test_openai_messages_that_are_none_are_refused(server: LocalServer, message: Any):
    answer = chat(server, messages=[SYSTEM, message])
    assert (answer.status, answer.error["param"]) == (400, "messages")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/unknown", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/responses", 404),
        ("GET", "/v1/models/other", 404),
    ],
)
def test_paths_and_methods_that_are_not_there(
    server: LocalServer, method: str, path: str, status: int
):
    answer = server.request(method, path, b"{}" if method == "POST" else None)
    assert answer.status == status
    assert answer.error["type"] == "invalid_request_error"


def test_openai_parallel_tool_calls_allow_one_at_most(server: LocalServer):
    pytest.importorskip("llguidance")
    find = {"type": "function", "function": {"name": "find", "parameters": SCHEMA}}
    for seed in range(4):
        answer = chat(
            server, tools=[find], tool_choice="required", parallel_tool_calls=False,
            temperature=1.0, seed=seed, max_tokens=700,
        )  # fmt: skip
        (choice,) = choices(answer)
        assert len(choice["message"]["tool_calls"]) == 1
        assert choice["finish_reason"] == "tool_calls"


FORCED = [
    ("required", "tool_calls"),
    ({"type": "function", "function": {"name": "find"}}, "stop"),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "find"}}]}}, "tool_calls"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "why"), FORCED, ids=["required", "named", "allowed"])
def test_a_forced_call_comes_whole_and_in_a_stream(server: LocalServer, choice: Any, why: str):
    """As OpenAI ends them: by its name with stop, else with tool_calls."""
    pytest.importorskip("llguidance")
    find = {"type": "function", "function": {"name": "find", "parameters": SCHEMA}}
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x")
    asked: Any = {"model": "tiny", "messages": [USER], "tools": [find], "tool_choice": choice,
                  "temperature": 1.0, "seed": 4, "max_tokens": 700}  # fmt: skip
    (whole,) = client.chat.completions.create(**asked).choices
    assert (whole.message.content, whole.finish_reason) == (None, why)
    said = whole.message.tool_calls or ()
    assert said
    for call in said:
        assert call.type == "function"
        assert call.function.name == "find"
        (value,) = json.loads(call.function.arguments).items()
        assert value in (("ok", True), ("ok", False))
    pieces = [piece.choices[0] for piece in client.chat.completions.create(**asked, stream=True)]
    assert not any(piece.delta.content for piece in pieces)
    assert pieces[-1].finish_reason == why
    streamed = [call for piece in pieces for call in piece.delta.tool_calls or ()]
    assert [call.function and call.function.arguments for call in streamed] == [
        call.function.arguments for call in said if call.type == "function"
    ]


def test_json_without_a_schema_is_an_object(server: LocalServer):
    pytest.importorskip("llguidance")
    answer = chat(
        server, max_tokens=900, temperature=1.0, seed=2, response_format={"type": "json_object"}
    )
    (choice,) = choices(answer)
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(choice["message"]["content"]), dict)
    assert choice["message"]["content"].lstrip().startswith("{")


@pytest.mark.parametrize(
    "choice",
    ["sometimes", {"type": "function", "function": {"name": "other"}}, {"type": "web_search"}],
    ids=str,
)
def test_a_choice_that_fits_no_tool_is_refused(server: LocalServer, choice: Any):
    answer = chat(server, tools=[TOOL], tool_choice=choice)
    assert (answer.status, answer.error["param"]) == (400, "tool_choice")
