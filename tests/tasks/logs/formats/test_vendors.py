"""Bodies of vendors: what each has that OpenAI's and Anthropic's first APIs have not."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import anthropic, bedrock, gemini, openai_chat, openai_responses
from tasks.logs.formats.vendors import cohere, interactions
from tasks.logs.shapes.providers import named, provider_of
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.formats.test_anthropic import MESSAGE
from tests.tasks.logs.formats.test_bedrock import record
from tests.tasks.logs.formats.test_openai_chat import COMPLETION, REQUEST, pair
from tests.tasks.logs.formats.test_openai_responses import RESPONSE
from tests.tasks.logs.formats.test_streaming import calls

COHERE = {
    "id": "c-1", "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Ra"},
                                                 {"type": "text", "text": "in."}],
                "citations": [{"start": 0, "end": 4, "text": "Rain"}]},
    "usage": {"billed_units": {"input_tokens": 5, "output_tokens": 3},
              "tokens": {"input_tokens": 71, "output_tokens": 3}, "cached_tokens": 64},
}  # fmt: skip
INTERACTION = {
    "id": "v1_1", "object": "interaction", "status": "completed", "model": "gemini-3-flash",
    "created": "2026-02-03T04:05:06Z", "role": "model",
    "steps": [
        {"type": "user_input", "content": [{"type": "text", "text": "Weather?"}]},
        {"type": "thought", "signature": "abc",
         "summary": [{"type": "text", "text": "look it up"}]},
        {"type": "google_search_call", "id": "g", "arguments": {"queries": ["oslo"]}},
        {"type": "google_search_result", "call_id": "g", "result": [{"url": "u"}]},
        {"type": "model_output", "content": [{"type": "text", "text": "Ra"},
                                             {"type": "text", "text": "in."}]}],
    "usage": {"total_input_tokens": 20, "total_output_tokens": 4, "total_thought_tokens": 6,
              "total_cached_tokens": 8, "total_tool_use_tokens": 3, "total_tokens": 33},
}  # fmt: skip


def one(format: Any, value: Any) -> Call:
    assert formats.recognise(value) is format
    (found,) = format.records(value)
    assert isinstance(found, Call)
    return found


def chat(message: Any = None, **changes: Any) -> Call:
    choice = {"index": 0, "message": message or {"content": "Paris"}, "finish_reason": "stop"}
    return one(openai_chat, {**COMPLETION, "choices": [choice], **changes})


@pytest.mark.parametrize(
    ("host", "model", "provider"),
    [(None, "gpt-4o", "openai"), (None, "magistral-medium-2507", "mistral_ai"),
     (None, "kimi-k2.6", "moonshot_ai"), (None, "grok-4", "x_ai"),
     (None, "sonar-pro", "perplexity"),
     (None, "deepseek-reasoner", "deepseek"), (None, "Claude-x", "anthropic"),
     # open weights may be served by anybody
     (None, "mistralai/Mistral-7B", "openai"), (None, "deepseek-r1:7b", "openai"),
     ("api.groq.com", "llama-3", "groq"), ("codestral.mistral.ai", "x", "mistral_ai"),
     ("my.openai.azure.com", "gpt-4o", "azure.ai.openai"),
     ("my.services.ai.azure.com", "grok-4", "azure.ai.inference"),
     ("bedrock-runtime.eu-west-1.amazonaws.com", None, "aws.bedrock"),
     ("europe-west4-aiplatform.googleapis.com", None, "gcp.vertex_ai"),
     ("api.together.xyz", "gpt-oss", "api.together.xyz"),
     ("notapi.openai.com", None, "notapi.openai.com")],
)  # fmt: skip
def test_one_home_for_which_provider_it_is(host: str | None, model: str | None, provider: str):
    assert provider_of(host, "openai", model) == provider


def test_words_of_gateways_for_providers():
    words = [
        "Azure OpenAI",
        "vertex_ai",
        "google-ai-studio",
        "bedrock",
        "xAI",
        "Mistral",
        "odd one",
    ]
    assert [named(word) for word in words] == [
        "azure.ai.openai", "gcp.vertex_ai", "gcp.gemini", "aws.bedrock", "x_ai", "mistral_ai",
        "odd one",
    ]  # fmt: skip
    assert named(None) is None


def test_thinking_inside_the_content_of_mistral():
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "easy"}]},
               {"type": "text", "text": "Pa"}, {"type": "reference", "reference_ids": [1]},
               {"type": "text", "text": "ris"}]  # fmt: skip
    call = chat({"role": "assistant", "content": content}, model="mistral-large-latest")
    assert call.response == {"role": "assistant", "content": "Paris", "reasoning": "easy"}
    assert call.provider == "mistral_ai"
    turn = {"role": "assistant", "content": content}
    call = one(openai_chat, {"request": {"messages": [turn]}, "response": COMPLETION})
    assert call.messages == [{"role": "assistant", "content": "Paris", "reasoning": "easy"}]


def test_counts_and_costs_where_others_have_them():
    usage = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
    last = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop", "usage": usage}
    kimi = [{"object": "chat.completion.chunk", "id": "k", "model": "kimi-k2", "choices": [last]}]
    call = one(openai_chat, {"request": REQUEST, "response": kimi})
    assert (call.input_tokens, call.output_tokens, call.provider) == (20, 30, "moonshot_ai")
    assert chat(x_groq={"id": "r", "usage": usage}, usage=None).provider == "groq"
    for cost in ({"cost": 0.5}, {"cost": {"total_cost": 0.5}}, {"estimated_cost": 0.5},
                 {"cost_in_usd_ticks": 5_000_000_000}):  # fmt: skip
        assert chat(usage={**usage, **cost}).cost_usd == 0.5
    assert chat(provider="Amazon Bedrock").provider == "aws.bedrock"


def test_a_refusal_is_an_answer_that_says_so():
    call = chat({"role": "assistant", "content": None, "refusal": "I cannot."})
    assert call.response == {"role": "assistant", "content": "I cannot.", "refusal": "I cannot."}
    assert (call.status, call.finish_reason) == ("ok", "stop")
    item = {"type": "message", "role": "assistant",
            "content": [{"type": "refusal", "refusal": "I cannot."}]}  # fmt: skip
    assert one(openai_responses, {**RESPONSE, "output": [item]}).response == call.response


def test_a_spoken_answer_is_its_transcript():
    audio = {"id": "a", "data": "AAAA", "transcript": "Hello"}
    call = chat({"role": "assistant", "content": None, "audio": audio})
    assert (call.response["content"], call.response["audio"]["id"]) == ("Hello", "a")
    deltas = [{"audio": {"transcript": piece}} for piece in ("Hel", "lo")]
    chunks = [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
              for delta in deltas]  # fmt: skip
    call = one(openai_chat, {"request": REQUEST, "response": chunks})
    assert call.response["content"] == "Hello"


def test_a_text_completion_object_tells_its_operation():
    body = {"object": "text_completion", "id": "cmpl-1", "model": "gpt-3.5-turbo-instruct",
            "choices": [{"text": "ho", "index": 0, "finish_reason": "length"}]}  # fmt: skip
    call = one(openai_chat, body)
    assert (call.operation, call.finish_reason, call.response["content"]) == (
        "text_completion", "length", "ho",
    )  # fmt: skip


def test_the_content_filter_is_a_verdict():
    results = {"hate": {"filtered": True, "severity": "high"}, "violence": {"filtered": False}}
    choice = {"message": {"content": "So"}, "finish_reason": "content_filter",
              "content_filter_results": results}  # fmt: skip
    call = one(openai_chat, {**COMPLETION, "choices": [choice]})
    assert (call.status, call.response["content"]) == ("ok", "So")
    assert call.guardrail_verdicts[0]["categories"] == ["hate"]
    cut = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    assert one(openai_responses, cut).guardrail_verdicts[0]["action"] == "blocked"


def test_the_stop_reason_refusal_of_anthropic_is_a_verdict():
    message = {**MESSAGE, "stop_reason": "refusal", "content": [],
               "stop_details": {"type": "refusal", "category": "bio"}}  # fmt: skip
    call = one(anthropic, message)
    assert (call.status, call.error_type, call.finish_reason) == ("ok", None, "content_filter")
    assert call.guardrail_verdicts == [
        {"guardrail": "anthropic", "action": "blocked", "stage": "output", "reason": "bio"}
    ]


def test_tools_of_the_provider_are_beside_the_text_of_anthropic():
    blocks = [
        {"type": "compaction", "content": "so far"}, {"type": "text", "text": "Ra"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "oslo"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]},
        {"type": "text", "text": "in", "citations": [{"url": "u"}]}, {"type": "text", "text": "."},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]  # fmt: skip
    call = one(anthropic, {**MESSAGE, "content": blocks, "stop_reason": "tool_use"})
    assert (call.response["content"], call.response["compaction"]) == ("Rain.", "so far")
    (asked,) = call.response["server_tool_calls"]
    assert asked["function"] == {"name": "web_search", "arguments": '{"query":"oslo"}'}
    assert call.response["server_tool_results"] == [
        {"tool_call_id": "s", "content": [{"url": "u"}]}
    ]
    assert call.response["citations"] == [{"url": "u"}]
    assert [each["function"]["name"] for each in call.tool_calls] == ["f"]
    paused = {"type": "compaction", "content": None, "encrypted_content": "e"}
    call = one(anthropic, {**MESSAGE, "content": [paused], "stop_reason": "compaction"})
    assert (call.status, call.response["compaction"]) == ("ok", "e")


def test_items_of_the_responses_api():
    items = [
        {"type": "web_search_call", "id": "w", "status": "completed",
         "action": {"type": "search", "query": "oslo"}},
        {"type": "code_interpreter_call", "id": "ci", "code": "1+1", "container_id": "c",
         "outputs": [{"type": "logs", "logs": "2"}]},
        {"type": "mcp_call", "id": "m", "name": "ask", "arguments": "{}", "output": "yes"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "Ra"}, {"type": "output_text", "text": "in."}]},
    ]  # fmt: skip
    call = one(openai_responses, {**RESPONSE, "output": items})
    assert (call.response["content"], call.tool_calls, call.finish_reason) == (
        "Rain.",
        None,
        "stop",
    )
    names = [each["function"]["name"] for each in call.response["server_tool_calls"]]
    assert names == ["web_search", "code_interpreter", "ask"]
    assert call.response["server_tool_results"] == [
        {"tool_call_id": "ci", "content": [{"type": "logs", "logs": "2"}]},
        {"tool_call_id": "m", "content": "yes"},
    ]
    own = [{"type": "custom_tool_call", "call_id": "a", "name": "sql", "input": "select 1"},
           {"type": "local_shell_call", "call_id": "b", "action": {"command": ["ls"]}}]  # fmt: skip
    call = one(openai_responses, {**RESPONSE, "output": own})
    assert [each["function"] for each in call.tool_calls] == [
        {"name": "sql", "arguments": "select 1"},
        {"name": "local_shell", "arguments": '{"command":["ls"]}'},
    ]
    assert call.finish_reason == "tool_calls"
    picture = {"type": "image_generation_call", "id": "i", "result": "AAAA", "revised_prompt": "a"}
    call = one(openai_responses, {**RESPONSE, "output": [picture, *RESPONSE["output"]]})
    assert isinstance(call.response["content"], str)
    assert call.response["server_tool_results"] == [{"tool_call_id": "i", "content": "AAAA"}]
    alone = one(openai_responses, {**RESPONSE, "output": [picture]})
    assert (alone.status, alone.response["content"]) == ("ok", None)


def test_compaction_cancelling_and_stored_prompts_of_the_responses_api():
    output = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]},
              {"type": "compaction", "id": "c", "encrypted_content": "xyz"}]  # fmt: skip
    body = {"object": "response.compaction", "id": "r", "created_at": 1_759_223_041,
            "output": output, "usage": RESPONSE["usage"]}  # fmt: skip
    call = one(openai_responses, body)
    assert call.response == {"role": "assistant", "content": None, "compaction": "xyz"}
    assert (call.input_tokens, call.status) == (85, "ok")
    assert one(openai_responses, {**RESPONSE, "status": "cancelled"}).error_type == "cancelled"
    stored = {**RESPONSE, "prompt": {"id": "pmpt_1", "version": "3"}, "safety_identifier": "ann",
              "conversation": {"id": "conv_1"}}  # fmt: skip
    call = one(openai_responses, stored)
    assert (call.prompt_name, call.prompt_version) == ("pmpt_1", "3")
    assert (call.user, call.session_id, call.operation) == ("ann", "conv_1", "chat")


def test_a_stream_of_the_responses_api_that_was_cut():
    events = [
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [],
                                                  "usage": None}},
        {"type": "response.output_item.added", "output_index": 0,
         "item": {"type": "message", "role": "assistant", "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Ra"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "in"},
    ]  # fmt: skip
    call = one(openai_responses, {"request": {"input": "q", "model": "m"}, "response": events})
    assert (call.request_id, call.response["content"], call.finish_reason) == (
        "resp_1", "Rain", None,
    )  # fmt: skip


def test_cohere_v2():
    call = one(cohere, COHERE)
    assert (call.request_id, call.provider, call.model) == ("c-1", "cohere", None)
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (71, 3, 64)
    assert (call.response["content"], call.finish_reason) == ("Rain.", "stop")
    assert call.response["citations"] == COHERE["message"]["citations"]  # type: ignore[index]
    tools = [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "tool_plan": "ask f", "tool_calls": tools}
    calling = {**COHERE, "finish_reason": "TOOL_CALL", "message": message}
    call = one(cohere, {"request": {"model": "command-a", "messages": REQUEST["messages"],
                                    "temperature": 0}, "response": calling})  # fmt: skip
    assert (call.model, call.params) == ("command-a", {"temperature": 0})
    assert (call.tool_calls, call.response["reasoning"], call.finish_reason) == (
        tools, "ask f", "tool_calls",
    )  # fmt: skip
    billed = {**COHERE, "usage": {"billed_units": {"input_tokens": 5, "output_tokens": 3}}}
    assert one(cohere, billed).input_tokens == 5
    assert one(cohere, {**COHERE, "finish_reason": "ERROR"}).error_type == "error"


def test_a_stream_of_cohere_v2():
    def text(piece: str) -> dict[str, Any]:
        return {"type": "content-delta", "index": 0,
                "delta": {"message": {"content": {"text": piece}}}}  # fmt: skip

    called = {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"function": {"arguments": '{"a":1}'}}
    events = [
        {"type": "message-start", "id": "c-2", "delta": {"message": {"role": "assistant"}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "ask f"}}},
        {"type": "content-start", "index": 0,
         "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        text("Ra"), text("in."),
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": called}}},
        {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": more}}},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": COHERE["usage"]}},
    ]  # fmt: skip
    line = {"request": {"model": "m", "messages": []}, "response": events}
    (by_event,) = calls(cohere, *events)  # as they are logged one a line
    assert formats.recognise(events[:3]) is cohere
    for call in (one(cohere, line), by_event):
        assert (call.request_id, call.response["content"], call.response["reasoning"]) == (
            "c-2", "Rain.", "ask f",
        )  # fmt: skip
        assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
        assert (call.finish_reason, call.input_tokens) == ("tool_calls", 71)


def test_cohere_v1_and_embeddings():
    asked = {"message": "Weather?", "preamble": "Be brief.", "model": "command-r",
             "chat_history": [{"role": "CHATBOT", "message": "Hello"}]}  # fmt: skip
    said = {"text": "Rain.", "generation_id": "g", "finish_reason": "MAX_TOKENS",
            "chat_history": [], "tool_calls": [{"name": "f", "parameters": {"a": 1}}],
            "meta": {"tokens": {"input_tokens": 9, "output_tokens": 2}}}  # fmt: skip
    call = one(cohere, {"request": asked, "response": said})
    assert [(each["role"], each["content"]) for each in call.messages] == [
        ("system", "Be brief."), ("assistant", "Hello"), ("user", "Weather?"),
    ]  # fmt: skip
    assert (call.finish_reason, call.input_tokens, call.response["content"]) == (
        "length", 9, "Rain.",
    )  # fmt: skip
    assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    end = {"event_type": "stream-end", "response": said, "finish_reason": "COMPLETE"}
    events = [{"event_type": "text-generation", "text": "Rain."}, end]
    assert one(cohere, {"request": asked, "response": events}).finish_reason == "stop"
    vectors = {"id": "e", "embeddings": {"float": [[0.1]]}, "texts": ["a"],
               "response_type": "embeddings_by_type",
               "meta": {"billed_units": {"input_tokens": 2}}}  # fmt: skip
    call = one(cohere, vectors)
    assert (call.operation, call.status, call.input_tokens) == ("embeddings", "ok", 2)


def test_an_interaction_is_one_call():
    call = one(interactions, INTERACTION)
    assert (call.request_id, call.provider, call.model) == ("v1_1", "gcp.gemini", "gemini-3-flash")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (23, 10, 33)
    assert (call.cached_tokens, call.reasoning_tokens) == (8, 6)
    assert (call.response["content"], call.response["reasoning"]) == ("Rain.", "look it up")
    assert call.response["server_tool_results"] == [
        {"tool_call_id": "g", "content": [{"url": "u"}]}
    ]
    assert (call.finish_reason, call.status) == ("stop", "ok")
    request = {
        "model": "gemini-3-flash", "system_instruction": "Be brief.", "generation_config": {},
        "input": [{"role": "user", "content": "Hi"}, {"role": "model", "content": "Hello"},
                  {"type": "text", "text": "Weather?"}],
    }  # fmt: skip
    call = one(interactions, {"request": request, "response": INTERACTION})
    assert [(each["role"], each["content"]) for each in call.messages] == [
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Weather?"),
    ]  # fmt: skip
    assert call.params == {"generation_config": {}}


def test_older_interactions_calls_of_tools_and_failures():
    old = {**INTERACTION, "status": "requires_action", "steps": None, "outputs": [
        {"type": "thought", "signature": "s"}, {"type": "text", "text": "Let me see."},
        {"type": "function_call", "id": "f1", "name": "f", "arguments": {"a": 1}}]}  # fmt: skip
    del old["steps"]
    call = one(interactions, old)
    assert (call.finish_reason, call.response["content"]) == ("tool_calls", "Let me see.")
    assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    failed = {**INTERACTION, "status": "failed", "steps": [],
              "errors": [{"code": 13, "message": "internal"}]}  # fmt: skip
    assert one(interactions, failed).error_type == "13"
    long = {**INTERACTION, "status": "incomplete"}
    assert one(interactions, long).finish_reason == "length"


def test_a_stream_of_an_interaction():
    bare = {key: INTERACTION[key] for key in ("id", "model", "usage", "status")}
    events = [
        {"event_type": "interaction.created", "interaction": {**bare, "status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {"event_type": "step.delta", "index": 0,
         "delta": {"type": "thought_summary", "content": {"type": "text", "text": "hm"}}},
        {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Ra"}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "in."}},
        {"event_type": "step.start", "index": 2,
         "step": {"type": "function_call", "id": "f1", "name": "f"}},
        {"event_type": "step.delta", "index": 2,
         "delta": {"type": "arguments_delta", "arguments": '{"a":'}},
        {"event_type": "step.delta", "index": 2,
         "delta": {"type": "arguments_delta", "arguments": '1}'}},
        {"event_type": "interaction.completed", "interaction": bare},
    ]  # fmt: skip
    line = {"request": {"input": "q", "generation_config": {}}, "response": events}
    (by_event,) = calls(interactions, *events)  # as they are logged one a line
    assert formats.recognise(events[:3]) is interactions
    for call in (one(interactions, line), by_event):
        assert (call.response["content"], call.response["reasoning"]) == ("Rain.", "hm")
        assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
        assert (call.output_tokens, call.finish_reason) == (10, "tool_calls")


def test_vectors_and_code_of_gemini():
    body = {"embeddings": [{"values": [0.1, 0.2]}]}
    uri = "https://generativelanguage.googleapis.com/v1beta/models/e-1:embedContent"
    call = one(gemini, {"request": {"content": {"parts": [{"text": "hi"}]}}, "response": body,
                        "url": uri})  # fmt: skip
    assert (call.operation, call.status, call.model) == ("embeddings", "ok", "e-1")
    assert call.messages == [{"role": "user", "content": "hi"}]
    parts = [{"executableCode": {"language": "PYTHON", "code": "1+1"}},
             {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
             {"text": "Two."}]  # fmt: skip
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    call = one(gemini, {"candidates": [candidate], "modelVersion": "m"})
    assert call.response["content"] == "Two."
    assert call.response["server_tool_calls"][0]["function"]["arguments"] == "1+1"


@pytest.mark.parametrize(
    ("asked", "said", "text", "operation", "finish"),
    [({"prompt": "q"}, {"choices": [{"text": "a", "stop_reason": "length"}]}, "a",
      "text_completion", "length"),
     ({"messages": []}, {"choices": [{"index": 0, "message": {"content": "a"},
                                      "stop_reason": "stop"}]}, "a", "chat", "stop"),
     ({"prompt": "q"}, {"completions": [{"data": {"text": "a"},
                                         "finishReason": {"reason": "endoftext"}}]}, "a",
      "text_completion", "stop"),
     ({"message": "q"}, {"text": "a", "finish_reason": "COMPLETE", "chat_history": []}, "a",
      "chat", "stop"),
     ({"prompt": "q"}, [{"text": "a", "is_finished": False},
                        {"text": "", "is_finished": True, "finish_reason": "MAX_TOKENS"}], "a",
      "text_completion", "length"),
     ({"inputPrompt": "q"}, {"message": "a", "finishReason": "stop"}, "a",
      "text_completion", "stop"),
     ({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "q"}}, {"images": ["AAAA"]}, None,
      "image_generation", None),
     ({"texts": ["q"]}, {"embeddings": [[0.1]], "response_type": "embeddings_floats"}, None,
      "embeddings", None),
     ({"messages": [{"role": "user", "content": "q"}]},
      [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"},
                                                        "finish_reason": "stop"}]}],
      "a", "chat", "stop")],
)  # fmt: skip
def test_more_models_of_bedrock(asked: Any, said: Any, text: Any, operation: str, finish: Any):
    (call,) = bedrock.records(record(asked, said))
    assert isinstance(call, Call)
    assert (call.status, call.operation, call.finish_reason) == ("ok", operation, finish)
    assert (call.response or {}).get("content") == text
    if asked != {"messages": []}:
        assert call.messages[-1]["content"] == "q"


def test_output_of_a_bedrock_batch():
    line = {"recordId": "1", "modelInput": {"anthropic_version": "b", "max_tokens": 5, "messages": [
        {"role": "user", "content": "hi"}]}, "modelOutput": MESSAGE}  # fmt: skip
    call = one(bedrock, line)
    assert call.request_id is not None
    assert call.request_id.startswith("1:")
    assert (call.provider, call.model, call.tags["response_id"]) == (
        "aws.bedrock", "claude-x-1", "msg_1",
    )  # fmt: skip
    assert (call.messages[0]["content"], call.params) == (
        "hi", {"anthropic_version": "b", "max_tokens": 5},
    )  # fmt: skip
    error = {"errorCode": 400, "errorMessage": "bad", "expired": False, "retryable": False}
    failed = one(bedrock, {**line, "modelOutput": None, "error": error})
    assert (failed.status, failed.error_type) == ("error", "400")
    late = one(bedrock, {**line, "modelOutput": None, "error": {**error, "expired": True}})
    assert late.error_type == "expired"
    del line["modelOutput"]
    assert list(bedrock.records(line)) == [Other()]


def test_a_line_may_tell_model_and_counts_beside_the_bodies():
    bare = {key: item for key, item in COMPLETION.items() if key not in ("usage", "model")}
    line = {"request": {"messages": REQUEST["messages"]}, "response": bare, "model": "m-9",
            "usage": {"prompt_tokens": 4, "completion_tokens": 2}}  # fmt: skip
    call = one(openai_chat, line)
    assert (call.model, call.input_tokens, call.output_tokens) == ("m-9", 4, 2)
    assert one(openai_chat, pair(usage={"prompt_tokens": 9_999})).input_tokens != 9_999
