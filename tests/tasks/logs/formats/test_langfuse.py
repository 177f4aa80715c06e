from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import langfuse
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError


def observation(own: str = "g", kind: str = "GENERATION", **changes: Any) -> dict[str, Any]:
    return {
        "id": own, "traceId": "t", "type": kind, "name": "chat", "parentObservationId": "root",
        "startTime": "2025-06-06T11:31:33.000Z", "endTime": "2025-06-06T11:31:34.500Z",
        "completionStartTime": "2025-06-06T11:31:33.500Z", "level": "DEFAULT", "model": "gpt-4o",
        "input": json.dumps([{"role": "user", "content": "hi"}]), "output": "ho",
        "modelParameters": {"temperature": 1, "seed": ""}, "totalCost": 0.25,
        "usageDetails": {"input": 40, "input_cached_tokens": 2, "output": 3,
                         "output_reasoning_tokens": 1, "total": 46},
        "metadata": json.dumps({"attributes": {"gen_ai.system": "openai"}, "team": "x"}),
        **changes,
    }  # fmt: skip


def export(*observations: dict[str, Any], **trace: Any) -> dict[str, Any]:
    """Every observation twice: in the trace without input and output, beside it with them."""
    bare = [{**each, "input": None, "output": None, "metadata": "{}"} for each in observations]
    about = {"id": "t", "sessionId": "s", "userId": "ann", "release": "v1", "scores": [],
             "corrections": [], **trace}  # fmt: skip
    return {"trace": {**about, "observations": bare}, "observations": list(observations)}


def calls(value: Any) -> list[Call]:
    return [each for each in langfuse.records(value) if isinstance(each, Call)]


def test_an_export_holds_every_observation_twice_and_each_counts_once():
    value = export(observation("root", "SPAN", parentObservationId=None), observation())
    assert formats.recognise(value) is langfuse
    other, call = langfuse.records(value)
    assert other == Other()
    assert isinstance(call, Call)
    assert (call.request_id, call.session_id, call.user, call.release) == ("t:g", "s", "ann", "v1")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (42, 4, 46)
    assert (call.cached_tokens, call.reasoning_tokens) == (2, 1)
    assert (call.latency_s, call.ttft_s, call.cost_usd) == (1.5, 0.5, 0.25)
    assert (call.provider, call.params) == ("openai", {"temperature": 1})
    assert call.tags["team"] == "x"


def test_two_generations_around_one_api_call_count_once_by_the_inner():
    tool = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    outer = observation("outer", output=json.dumps(tool), usageDetails={"input": 99, "output": 99})
    inner = observation("inner", parentObservationId="outer", output="None", input=None)
    (call,) = calls(export(outer, inner))
    assert (call.request_id, call.input_tokens, call.output_tokens) == ("t:inner", 42, 4)
    assert call.tool_calls == [{"id": "c"}]
    assert call.messages == [{"role": "user", "content": "hi"}]


def test_a_generation_under_a_tool_of_another_is_a_call_of_its_own():
    first = observation("a")
    second = observation("b", parentObservationId="tool")
    value = export(first, observation("tool", "TOOL", parentObservationId="a"), second)
    assert [each.request_id for each in calls(value)] == ["t:a", "t:b"]


def test_a_plain_span_between_two_generations_does_not_part_them():
    outer = observation("outer", parentObservationId=None, timeToFirstToken=0.3)
    span = observation("span", "SPAN", parentObservationId="outer")
    inner = observation("inner", parentObservationId="span", completionStartTime=None,
                        timeToFirstToken=0.25)  # fmt: skip
    (call,) = calls(export(outer, span, inner))
    assert (call.request_id, call.ttft_s) == ("t:inner", 0.25)


def test_scores_one_a_line():
    line = {"id": "s", "trace_id": "t", "observation_id": "g", "name": "tone", "value": 1,
            "source": "API", "timestamp": "2025-01-01 00:00:00"}  # fmt: skip
    assert formats.recognise(line) is langfuse
    (signal,) = langfuse.records(line)
    assert isinstance(signal, Feedback)
    assert (signal.kind, signal.value, signal.request_id) == ("tone", 1.0, "t:g")
    assert list(langfuse.records({**line, "observation_id": None})) == [Other()]


def test_scores_and_corrections_are_feedback_on_their_call_or_the_last():
    late = observation("late", startTime="2025-06-06T12:00:00Z", endTime=None)
    scores = [
        {"name": "toxicity", "value": 0.8, "comment": "rude", "observationId": "g"},
        {"name": "tone", "value": None, "stringValue": "warm", "observationId": None},
        {"name": "broken", "value": "x"},
    ]
    corrected = [{"name": "output", "value": 0, "longStringValue": "better"}]
    found = list(
        langfuse.records(export(late, observation(), scores=scores, corrections=corrected))
    )
    by_id = {each.request_id: each.feedback for each in found if isinstance(each, Call)}
    assert [(each.kind, each.value, each.comment) for each in by_id["t:g"]] == [
        ("toxicity", 0.8, "rude")
    ]
    assert [(each.kind, each.comment, each.corrected) for each in by_id["t:late"]] == [
        ("tone", "warm", None), ("correction", None, "better"),
    ]  # fmt: skip
    assert [each for each in found if isinstance(each, Dead)]


def test_errors_and_empty_answers_are_error_rows():
    (failed,) = calls(export(observation(level="ERROR", output=None, statusMessage="boom")))
    assert (failed.status, failed.error_type, failed.tags["status_message"]) == (
        "error", "_OTHER", "boom",
    )  # fmt: skip
    (empty,) = calls(export(observation(output='{"role": "assistant", "content": ""}')))
    assert (empty.status, empty.error_type) == ("error", "no_completion")


def test_a_trace_of_the_api_and_observations_one_a_line_in_snake_case():
    trace = {"id": "t", "userId": "ann", "observations": [observation()]}
    assert formats.recognise(trace) is langfuse
    assert calls(trace)[0].user == "ann"
    line = {"id": "g", "trace_id": "t", "type": "GENERATION", "start_time": "2025-01-01 00:00:00",
            "end_time": "2025-01-01 00:00:02", "provided_model_name": "m",
            "usage_details": '{"input": 3, "output": 2}', "output": '{"role": "assistant", '
            '"content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}'}  # fmt: skip
    assert formats.recognise(line) is langfuse
    (call,) = calls(line)
    assert (call.request_id, call.model, call.input_tokens, call.latency_s) == ("t:g", "m", 3, 2.0)
    assert call.tool_calls[0]["function"]["name"] == "f"


@pytest.mark.parametrize("value", [5, {}, {"trace": {}, "observations": []}])
def test_what_is_no_trace_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        list(langfuse.records(value))


def fed(*values: Any) -> list[Any]:
    reader = langfuse.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def row(**changes: Any) -> dict[str, Any]:
    """An enriched row of the blob storage export, as JSON lines have it."""
    return {
        "id": "g", "trace_id": "t", "project_id": "p", "type": "GENERATION", "name": "chat",
        "parent_observation_id": "root", "start_time": "2026-05-29 13:46:19.963000",
        "end_time": "2026-05-29 13:46:21.963000", "level": "DEFAULT", "status_message": "",
        "completion_start_time": None, "input": '[{"role":"user","content":"hi"}]', "output": "ho",
        "provided_model_name": "m", "model_parameters": '{"temperature":0.7}', "metadata": {},
        "usage_details": {"input": 3, "output": 2, "total": 5}, "cost_details": {"input": 0.5,
        "output": 0.25}, "total_cost": 0.75, "latency": 2000, "time_to_first_token": 500,
        "prompt_name": "support", "prompt_version": 3, "user_id": "ann", "session_id": "s",
        "trace_name": "qa", "tags": ["prod"], "release": "v1", "version": "w", "bookmarked": False,
        "public": False, "input_price": "0.03", **changes,
    }  # fmt: skip


def cells(line: dict[str, Any]) -> dict[str, str]:
    """The same as a row of CSV: everything is text, what is null is empty."""
    return {key: "" if item is None else json.dumps(item) if isinstance(item, dict | list)
            else str(item).lower() if isinstance(item, bool) else str(item)
            for key, item in line.items()}  # fmt: skip


@pytest.mark.parametrize("shape", [dict, cells])
def test_an_enriched_row_of_the_export_as_json_and_as_csv(shape: Any):
    line = shape(row())
    assert formats.recognise(line) is langfuse
    (call,) = fed(line)
    assert (call.request_id, call.model, call.status) == ("t:g", "m", "ok")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (3, 2, 5)
    # exports of older integrations tell these two in milliseconds
    assert (call.latency_s, call.ttft_s, call.cost_usd) == (2.0, 0.5, 0.75)
    assert (call.prompt_name, call.prompt_version) == ("support", "3")
    assert (call.user, call.session_id, call.release) == ("ann", "s", "v1")
    assert call.params == {"temperature": 0.7}
    assert call.tags == {"span_name": "chat", "parent_span_id": "root", "trace_name": "qa",
                         "trace_tags": ["prod"]}  # fmt: skip


def test_rows_of_one_file_show_which_generation_is_around_which():
    found = fed(row(id="outer", parent_observation_id=""), row(id="step", type="SPAN",
                parent_observation_id="outer"), row(parent_observation_id="step"))  # fmt: skip
    assert [getattr(each, "request_id", None) for each in found] == [None, None, "t:g"]


def test_pages_of_the_api_of_observations_traces_and_scores():
    score = {"id": "s", "traceId": "t", "observationId": "g", "name": "tone", "value": 1,
             "source": "API", "dataType": "NUMERIC"}  # fmt: skip
    listed = {"id": "t2", "timestamp": "2026-01-01T00:00:00Z", "projectId": "p", "htmlPath": "/x",
              "observations": ["a", "b"], "scores": []}  # fmt: skip
    whole = {"id": "t", "sessionId": "s", "observations": [observation()], "scores": [score]}
    meta = {"page": 1}
    for page, kinds in (
        ({"data": [observation(), observation("b", "TOOL")], "meta": {"cursor": "x"}},
         [Call, Other]),
        ({"data": [whole, listed], "meta": meta}, [Call, Other]),
        ({"data": [score], "meta": meta}, [Feedback]),
        ({"data": [score, 5], "meta": meta}, [Feedback, Dead]),
    ):  # fmt: skip
        assert formats.recognise(page) is langfuse
        assert [type(each) for each in fed(page)] == kinds
    (call,) = calls({"data": [whole], "meta": meta})
    assert (call.session_id, call.feedback[0].kind) == ("s", "tone")
    assert not langfuse.matches({"data": [{"id": 1}], "meta": meta})


def test_a_trace_without_its_observations_holds_no_call():
    line = {"id": "t", "timestamp": "2026-01-01 00:00:00", "name": "qa", "session_id": None,
            "bookmarked": False, "public": False, "input": "hi", "output": "ho"}  # fmt: skip
    assert formats.recognise(line) is langfuse
    assert fed(line) == [Other()]


@pytest.mark.parametrize(
    ("details", "expected", "unclear"),
    [
        # every bucket counts for itself, as the total shows
        ({"input": 40, "cache_read_input_tokens": 60, "output": 3, "total": 103}, (100, 3, 60),
         None),
        ({"input": 40, "input_cached_tokens": 60, "output": 3, "output_reasoning_tokens": 2,
          "total": 105}, (100, 5, 60), None),
        # the cache is part of the input, as the total shows, whatever it is called
        ({"input": 100, "cache_read_input_tokens": 60, "output": 3, "total": 103}, (100, 3, 60),
         None),
        ({"input": 100, "input_cached_tokens": 60, "output": 3, "total": 103}, (100, 3, 60), None),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, (9, 3, None), None),
        # written into the cache, and modalities, are buckets too
        ({"input": 1, "cache_creation_input_tokens": 5, "input_audio_tokens": 2, "output": 1,
          "total": 9}, (8, 1, None), None),
        # as Gemini names them, and where the whole is in parts
        ({"prompt_token_count": 7, "candidates_token_count": 1, "thoughts_token_count": 20,
          "cached_content_token_count": 2, "total_token_count": 28}, (7, 21, 2), None),
        ({"input_text": 7, "input_cached_tokens": 2, "output_text": 1, "total": 10}, (9, 1, 2),
         None),
        # nothing decides: a warning
        ({"input": 40, "cache_read_input_tokens": 60, "output": 3}, (100, 3, 60),
         "no total tells whether cache_read_input_tokens are counted beside the others"),
        ({"input": 100, "prompt_details.cache_read": 60, "output": 3}, (100, 3, 60),
         "no total tells whether prompt_details.cache_read are counted beside the others"),
        ({"input": 40, "cache_read_input_tokens": 60, "output": 3, "total": 70}, (100, 3, 60),
         "100 + 3, total 70"),
        ({"input": 40, "input_cached_tokens": 0, "output": 3}, (40, 3, 0), None),
    ],
)  # fmt: skip
def test_buckets_of_usage_are_told_apart_by_their_total(
    details: dict[str, int], expected: tuple[Any, ...], unclear: str | None
):
    (call,) = fed(row(usage_details=details))
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == expected
    assert call.tags.get("tokens_unclear") == unclear


def test_older_usage_counts_only_tokens():
    older = {"input": 3, "output": 2, "total": 5, "unit": "TOKENS", "inputCost": 0.1}
    (call,) = calls(export(observation(usageDetails={}, usage=older)))
    assert (call.input_tokens, call.total_tokens) == (3, 5)
    (call,) = calls(export(observation(usageDetails={}, usage={**older, "unit": "CHARACTERS"})))
    assert (call.input_tokens, call.total_tokens) == (None, None)


def test_the_index_of_a_category_is_no_score():
    line = {"id": "s", "trace_id": "t", "observation_id": "g", "name": "tone", "value": 2,
            "source": "API", "data_type": "CATEGORICAL", "string_value": "warm"}  # fmt: skip
    (signal,) = fed(line)
    assert (signal.value, signal.comment) == (None, "warm")
    (signal,) = fed({**line, "data_type": "BOOLEAN", "value": 1, "string_value": "True"})
    assert (signal.value, signal.comment) == (1.0, "True")


def test_costs_without_their_total_are_added():
    (call,) = fed(row(total_cost=None))
    assert call.cost_usd == 0.75


def test_maps_of_parquet_are_pairs():
    told = [["team", "x"], ["attributes", '{"gen_ai.system": "a"}']]
    line = row(usage_details=[["input", 3], ["output", 2]], cost_details=[["total", 0.5]],
               total_cost=None, metadata=told)  # fmt: skip
    assert formats.recognise(line) is langfuse
    (call,) = fed(line)
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (3, 2, 0.5)
    assert (call.provider, call.tags["team"]) == ("a", "x")


def test_tools_that_its_handler_for_langchain_puts_among_the_messages():
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    asked = [{"role": "user", "content": "hi"}, {"role": "tool", "content": tool},
             {"role": "tool", "tool_call_id": "c", "content": "gave"}]  # fmt: skip
    (call,) = calls(export(observation(input=json.dumps(asked))))
    assert call.messages == [asked[0], asked[2]]
    assert call.params == {"temperature": 1, "tools": [tool]}


def test_the_provider_as_langchain_tells_it():
    (call,) = calls(export(observation(metadata={"ls_provider": "google_vertexai"})))
    assert call.provider == "gcp.vertex_ai"


@pytest.mark.parametrize(("path", "model"), [
    ("projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
    ("models/gemini-2.5-pro", "gemini-2.5-pro"), ("publishers/google/models/g", "g"),
    ("projects/p/locations/l/endpoints/12", "projects/p/locations/l/endpoints/12"),
    ("accounts/fireworks/models/llama", "accounts/fireworks/models/llama"),
    ("org/models/llama", "org/models/llama"),
])  # fmt: skip
def test_the_path_before_a_model_of_google(path: str, model: str):
    (call,) = calls(export(observation(model=path)))
    assert call.model == model


def ingested(kind: str, own: str = "e", **body: Any) -> dict[str, Any]:
    return {"id": own, "timestamp": "2025-06-06T11:31:35.000Z", "type": kind, "body": body}


EVENTS = [
    ingested("trace-create", id="t", userId="ann", sessionId="s", release="v1", name="app"),
    ingested("generation-create", id="g", traceId="t", startTime="2025-06-06T11:31:33.000Z",
             model="m", input=[{"role": "user", "content": "hi"}], promptName="greet"),
    ingested("span-create", id="x", traceId="t", startTime="2025-06-06T11:31:33.000Z"),
    ingested("generation-update", id="g", traceId="t", endTime="2025-06-06T11:31:34.500Z",
             output={"role": "assistant", "content": "ho"},
             usage={"promptTokens": 12, "completionTokens": 5, "totalTokens": 17}),
    ingested("score-create", "e1", traceId="t", name="good", value=1),
    ingested("score-create", "e2", traceId="t", name="kind", value=0.5),
    ingested("score-create", "e3", traceId="t", observationId="g", name="own", value=0),
    ingested("sdk-log", log={"a": 1}),
]  # fmt: skip


def test_events_to_be_ingested_make_observations():
    assert formats.recognise(EVENTS) is langfuse
    reader = langfuse.reader()
    placed = [*reader.feed({"batch": EVENTS, "metadata": {}}, 0), *reader.end()]
    found = [record for record, _ in placed]
    (call,) = [each for each in found if isinstance(each, Call)]
    assert (call.request_id, call.model, call.latency_s) == ("t:g", "m", 1.5)
    assert (call.user, call.session_id, call.release, call.prompt_name) == (
        "ann", "s", "v1", "greet")  # fmt: skip
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, 17)
    assert [(each.kind, each.value) for each in call.feedback] == [("good", 1.0), ("kind", 0.5)]
    (own,) = [each for each in found if isinstance(each, Feedback)]
    assert (own.kind, own.request_id) == ("own", "t:g")
    assert not [each for each in found if isinstance(each, Dead)]


def event(own: str, name: str, at: int, parent: str = "main", **changes: Any) -> dict[str, Any]:
    """An event of a model of BeeAI, as its instrumentation writes it down."""
    told = {"target": f"llm.ollama.chat.{name}", "name": name, "openinference.span.kind": "LLM"}
    when = f"2025-06-06T11:31:{at:02d}.000Z"
    return observation(own, **{
        "name": own, "parentObservationId": parent, "input": None, "output": None,
        "usageDetails": {}, "totalCost": 0, "completionStartTime": None,
        "startTime": when, "endTime": when,
        "metadata": {"attributes": told}, **changes,
    })  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_the_events_of_one_call_are_one_call(order: int):
    said = {"output": "ho", "usageDetails": {"input": 4, "output": 3, "total": 7}}
    asked = json.dumps([{"role": "user", "content": "hi"}])
    rows = [
        observation("main", parentObservationId=None, name="beeai-framework-main", model="m"),
        event("e1", "start", 1, input=asked), event("e2", "success", 3, **said),
        event("e3", "finish", 4), event("e4", "start", 5, input=asked),
        event("e5", "success", 6, **said),
    ]  # fmt: skip
    found = calls(export(*rows[::order]))
    assert sorted(call.request_id or "" for call in found) == ["t:e1", "t:e4"]
    first = next(call for call in found if call.request_id == "t:e1")
    assert first.messages == [{"role": "user", "content": "hi"}]
    assert first.response == {"role": "assistant", "content": "ho"}
    assert (first.input_tokens, first.output_tokens, first.latency_s) == (4, 3, 2.0)
    others = [each for each in langfuse.records(export(*rows)) if isinstance(each, Other)]
    assert len(others) == 4


def test_an_event_within_the_call_itself_adds_no_call():
    path = {"attributes": {"metadata.path": "backend.openai.chat.finish"}}
    inner = event("e", "finish", 5, parent="g", metadata=path, model=None)
    (call,) = calls(export(observation(), {**inner, "name": "finish"}))
    assert (call.request_id, call.input_tokens) == ("t:g", 42)


def test_a_conversation_that_openlit_made_a_text_of_is_messages():
    text = "system: be brief\nuser: hi\nso: no role\nassistant: \ntool: 4"
    metadata = {"resourceAttributes": {"telemetry.sdk.name": "openlit"}}
    (call,) = calls(export(observation(input=text, metadata=metadata)))
    assert call.messages == [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi\nso: no role"},
        {"role": "assistant", "content": ""}, {"role": "tool", "content": "4"},
    ]  # fmt: skip
    for other in (observation(input=text), observation(input="hi", metadata=metadata)):
        (call,) = calls(export(other))
        assert call.messages == [{"role": "user", "content": other["input"]}]


@pytest.mark.parametrize("printed", [
    "id='x' role='user' content=\"it's\\n'so'\" name=None "
    "metrics=Metrics(input_tokens=0, a={'b': 1}) tool_calls=[{'id': 'c', 'type': 'function', "
    "'function': {'name': 'f', 'arguments': '{}'}}]",
    "Message(id='x', role='user', content=\"it's\\n'so'\", name=None, "
    "metrics=Metrics(input_tokens=0, a={'b': 1}), tool_calls=[{'id': 'c', 'type': 'function', "
    "'function': {'name': 'f', 'arguments': '{}'}}])",
])  # fmt: skip
def test_messages_that_agno_has_printed_are_messages(printed: str):
    asked = json.dumps({"messages": [printed, "role='assistant' content=None", "role='x' y"]})
    (call,) = calls(export(observation(input=asked, output="role='assistant' content='ho'")))
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert call.messages == [
        {"role": "user", "content": "it's\n'so'", "tool_calls": [tool]},
        {"role": "assistant", "content": None}, {"role": "user", "content": "role='x' y"},
    ]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "ho"}
