"""Mutated lines of every format: no exception but UnreadableError, and every line is counted."""

from __future__ import annotations

import contextlib
import io
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.logs import formats
from tasks.logs.files.lines import iterate_lines
from tasks.logs.files.opening import LogStream
from tasks.logs.formats import (
    FORMATS,
    anthropic,
    azure,
    bedrock,
    braintrust,
    canonical,
    claude_code,
    cloudflare,
    codex,
    conversations,
    data_flywheel,
    datadog,
    elastic,
    envoy,
    gemini,
    gemini_batch,
    helicone,
    inspect_events,
    jaeger,
    kong,
    langfuse,
    langsmith,
    litellm,
    llama_cpp,
    llama_cpp_json,
    logfire,
    mlflow_traces,
    new_relic,
    openai_agents,
    openai_batch,
    openai_chat,
    openai_responses,
    openinference,
    openrouter,
    opik,
    otel_spans,
    otel_traces,
    otlp,
    phoenix,
    portkey,
    posthog,
    sentry,
    sglang,
    sglang_json,
    tensorzero,
    tgi,
    tgi_json,
    vertex,
    vllm,
    weave,
    zipkin,
)
from tasks.logs.formats.vendors import cohere, interactions, ollama, watsonx
from tasks.logs.reading.line_values import At
from tasks.logs.reading.locate import Reading
from tasks.logs.reading.taking import Way
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError
from tasks.logs.shapes.rows import Provenance, call_values, feedback_row
from tasks.settings import IngestSettings
from tests.tasks.logs.builders import call, clock
from tests.tasks.logs.formats import test_anthropic as messages
from tests.tasks.logs.formats import test_batches as batches
from tests.tasks.logs.formats import test_bedrock as cloud
from tests.tasks.logs.formats import test_braintrust as brain
from tests.tasks.logs.formats import test_claude_code as claude_sessions
from tests.tasks.logs.formats import test_clouds as clouds
from tests.tasks.logs.formats import test_codex as codex_sessions
from tests.tasks.logs.formats import test_conversations as data_sets
from tests.tasks.logs.formats import test_datadog as dog
from tests.tasks.logs.formats import test_gateways as gateways
from tests.tasks.logs.formats import test_gemini as gemini_bodies
from tests.tasks.logs.formats import test_helicone as helic
from tests.tasks.logs.formats import test_jaeger as jaegers
from tests.tasks.logs.formats import test_langfuse as traces
from tests.tasks.logs.formats import test_langsmith as smith
from tests.tasks.logs.formats import test_logfire as rows
from tests.tasks.logs.formats import test_mlflow_traces as mlflow
from tests.tasks.logs.formats import test_more_gateways as more
from tests.tasks.logs.formats import test_more_telemetry as telemetry
from tests.tasks.logs.formats import test_ollama as local
from tests.tasks.logs.formats import test_openai_agents as agents
from tests.tasks.logs.formats import test_openai_chat as chat
from tests.tasks.logs.formats import test_openai_responses as responses
from tests.tasks.logs.formats import test_openinference as inference
from tests.tasks.logs.formats import test_opik as op
from tests.tasks.logs.formats import test_otel_traces as tables
from tests.tasks.logs.formats import test_otlp as spans
from tests.tasks.logs.formats import test_phoenix as phoenix_rows
from tests.tasks.logs.formats import test_posthog as post
from tests.tasks.logs.formats import test_results_of_others as evaluations
from tests.tasks.logs.formats import test_server_logs as servers
from tests.tasks.logs.formats import test_sglang_and_tgi as own_servers
from tests.tasks.logs.formats import test_span_shapes as shapes
from tests.tasks.logs.formats import test_vendors as vendors
from tests.tasks.logs.formats import test_weave as weave_calls
from tests.tasks.logs.formats import test_zipkin as zipkins


def apart(trace: str, *seeds: Any) -> list[Any]:
    """Each in a trace of its own: what stands in several rows of one is put together."""
    return [json.loads(json.dumps(seed).replace(f'"{trace}"', f'"{trace}{number}"'))
            for number, seed in enumerate(seeds)]  # fmt: skip


SEEDS: dict[str, tuple[ModuleType, list[Any]]] = {
    "anthropic": (anthropic, [
        {"request": messages.REQUEST, "response": messages.MESSAGE},
        {"request": messages.REQUEST, "response": [
            {"type": "message_start", "message": messages.MESSAGE},
            {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{}"}}]},
    ]),
    "bedrock": (bedrock, [
        cloud.record(), cloud.record(said=[
            {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}}},
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "x"}}},
            {"metadata": {"usage": {"inputTokens": 1}}}]),
        cloud.record({"inputText": "hi"}, {"results": [{"outputText": "x"}]}),
        {"recordId": "1", "modelInput": {"prompt": "q"}, "modelOutput": {"generation": "a"},
         "error": {"errorCode": 400}},
    ]),
    "azure": (azure, [clouds.COUNTS, clouds.GATEWAY, clouds.TEXTLESS, {"records": [
        {**clouds.COUNTS, "RequestMessages": clouds.ASKED, "ResponseMessages": clouds.ASKED}]}]),
    "cloudflare": (cloudflare, [more.CLOUDFLARE, more.PUSHED, {"result": [more.CLOUDFLARE]}]),
    "cohere": (cohere, [vendors.COHERE, {"request": {"messages": []}, "response": [
        {"type": "message-start", "id": "c"}, {"type": "content-delta", "index": 0, "delta": {
            "message": {"content": {"text": "a"}}}}, {"type": "message-end", "delta": {}}]}]),
    "data_flywheel": (data_flywheel, [
        {"timestamp": 1, "workload_id": "w", "client_id": "c", "error_details": None, **chat.pair()}
    ]),
    "datadog": (datadog, [dog.span(), dog.WAYS["intake"], dog.WAYS["page"]]),
    "envoy": (envoy, [gateways.ENVOY]),
    "gemini": (gemini, [
        {"request": gemini_bodies.REQUEST, "response": gemini_bodies.RESPONSE},
        {"request": gemini_bodies.REQUEST, "response": [gemini_bodies.RESPONSE] * 2},
    ]),
    "gemini_batch": (gemini_batch, [clouds.KEYED, clouds.INLINE]),
    "interactions": (interactions, [vendors.INTERACTION, {"request": {"input": "q"}, "response": [
        {"event_type": "interaction.created", "interaction": {}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "a"}}]}]),
    "jaeger": (jaeger, [jaegers.export(jaegers.agent(), jaegers.span()), jaegers.span()]),
    "kong": (kong, [gateways.KONG]),
    "langfuse": (langfuse, apart("t", traces.export(
        traces.observation("a"), traces.observation("b", parentObservationId="a"),
        traces.observation("c", "TOOL"), scores=[{"name": "x", "value": 1}],
        corrections=[{"longStringValue": "y"}]), traces.row(), traces.cells(traces.row()),
        {"data": [traces.observation(), traces.row()], "meta": {}}, {"batch": traces.EVENTS})),
    "langsmith": (langsmith, apart("r1",
        smith.run(), smith.root(child_runs=[smith.run()]), {"runs": [smith.run(), smith.root()]},
        {"post": [smith.run(end_time=None)], "patch": [{"id": "r2", "trace_id": "r1", "end_time": 1,
         "dotted_order": "20260102T030405000000Zr1", "outputs": {"choices": [{"message": {}}]}}]})),
    "phoenix": (phoenix, apart("t",
        phoenix_rows.FLAT, phoenix_rows.NESTED, phoenix_rows.AS_TEXT,
        {"data": [phoenix_rows.OF_API]})),
    "braintrust": (braintrust, apart(
        "s1", brain.row(), {"events": [brain.row(), brain.root()]})),
    "weave": (weave, apart("t", weave_calls.call(), {"calls": [weave_calls.call(), weave_calls.root(
        summary={"weave": {"feedback": [{"feedback_type": "wandb.note.1", "payload": {}}]}})]})),
    "helicone": (helicone, [helic.row(), {"data": [helic.row(response_body=None)]}]),
    "opik": (opik, apart("t", op.span(), {"trace": op.trace(), "spans": [op.span()]})),
    "posthog": (posthog, apart("t", post.event(), {"batch": [
        post.event(), post.event("$ai_metric", {"$ai_trace_id": "t", "$ai_metric_name": "n",
                                                "$ai_metric_value": 1})]})),
    "litellm": (litellm, [gateways.STANDARD, gateways.SPEND]),
    "logfire": (logfire, [rows.row(), rows.in_csv(rows.row()), rows.ROWS["columns"]]),
    "mlflow": (mlflow_traces, [mlflow.trace(
        mlflow.span(1, None, "AGENT"), mlflow.llm(2), mlflow.llm(3, 2),
        assessments=[{"assessment_name": "n", "feedback": {"value": 1}}])]),
    "openai_agents": (openai_agents, [
        agents.trace(), agents.TOOL, {"data": [agents.trace(), agents.span()]}]),
    "openai_batch": (openai_batch, [
        batches.OUTPUT, batches.INPUT,
        {"custom_id": "a", "result": {"type": "succeeded", "message": messages.MESSAGE}}]),
    "openai_responses": (openai_responses, [
        {"request": responses.REQUEST, "response": responses.RESPONSE}]),
    "openinference": (openinference, [
        inference.span(), spans.document(inference.span(traceId="t", spanId="1"))]),
    "openrouter": (openrouter, [more.ACTIVITY, {"data": more.GENERATION}]),
    "portkey": (portkey, [more.PORTKEY]),
    "vertex": (vertex, [clouds.LOGGED, clouds.PREDICTED]),
    "otel_spans": (otel_spans, [
        shapes.SHAPES[name] for name in (
            "python", "javascript console", "javascript", "go", "php", "table")]),
    "otel_traces": (otel_traces, [tables.row()]),
    "tensorzero": (tensorzero, [batches.CHAT_ROW]),
    "ollama": (ollama, [
        local.CHAT, local.GENERATE,
        {"request": local.ASKED, "response": local.CHAT},
        {"request": local.ASKED, "response": [local.piece("x"), local.CHAT]}]),
    "sglang_json": (sglang_json, [own_servers.EVENT, {"request": {"text": "x"}, "response": {
        "text": "y", "meta_info": {"id": "i", "prompt_tokens": 1}}}]),
    "tgi_json": (tgi_json, [own_servers.TGI_JSON, {"request": {"inputs": "x"}, "response": {
        "generated_text": "y", "details": {"generated_tokens": 1, "prefill": [{"id": 1}]}}}]),
    "llama_cpp_json": (llama_cpp_json, [{"request": {"prompt": "x", "n_predict": 1}, "response": {
        "content": "y", "tokens_predicted": 1, "timings": {"prompt_ms": 1, "predicted_ms": 2}}}]),
    "claude_code": (claude_code, claude_sessions.SESSION),
    "codex": (codex, codex_sessions.NEW),
    "inspect": (inspect_events, [evaluations.LOG]),
    "conversations": (conversations, [
        data_sets.SHARED, data_sets.WILD, data_sets.ARENA, data_sets.PREFERENCE,
        {"messages": data_sets.TURNS}]),
    "canonical": (canonical, [call(1, feedback={"value": 1}, params={"n": 1}, tags={"a": 1})]),
    "openai_chat": (openai_chat, [
        chat.pair(latency_ms=5, metadata={"a": 1}), {"interactions": [chat.exchange()]},
        {"request": chat.REQUEST, "response": [chat.chunk(content="a"), chat.chunk(finish="stop")]},
    ]),
    "otlp": (otlp, [
        spans.document(spans.span(
            {"gen_ai.output.messages": json.dumps(spans.OUT), "gen_ai.prompt.0.content": "x",
             "gen_ai.response.finish_reasons": ["stop"], "user": {"id": 1}},
            events=[spans.event("gen_ai.evaluation.result"), spans.event("gen_ai.choice")],
        )),
        spans.log("gen_ai.client.inference.operation.details", {"gen_ai.request.model": "m"}),
        *(shapes.SHAPES[name] for name in ("protobuf", "java", "tempo", "tempo 2")),
    ]),
    "zipkin": (zipkin, [zipkins.span()]),
    "elastic": (elastic, [telemetry.DOC]),
    "sentry": (sentry, [telemetry.transaction(telemetry.CHAT)]),
    "new_relic": (new_relic, [
        telemetry.SUMMARY, {**telemetry.message(1, "user", "x"), "completion_id": "of none"}]),
    "watsonx": (watsonx, [
        telemetry.answer("x"), {"request": telemetry.ASKED, "response": telemetry.answer("x")}]),
    "lunary": (formats.by_name("lunary"), [telemetry.RUN]),
}  # fmt: skip
#: an envelope without spans and a cassette without exchanges hold no record; a row of a span that
#: stands in another row too is part of that one
_MAY_BE_EMPTY = (
    "otlp", "openinference", "mlflow", "openai_chat", "openai_responses", "anthropic",
    "gemini", "data_flywheel", "inspect", "ollama", "sglang_json", "tgi_json", "llama_cpp_json",
    "gemini", "data_flywheel", "cohere", "interactions", "azure", "jaeger", "datadog", "langfuse",
    "langsmith", "phoenix", "braintrust", "weave", "posthog", "opik", "sentry", "new_relic",
    "watsonx",
)  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(-1e300, 1e300),
    st.text(max_size=8),
    st.sampled_from([[], {}, [{}], "[{}]", {"a": []}]).map(lambda v: json.loads(json.dumps(v))),
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seeds: list[Any]) -> Any:
    value = json.loads(json.dumps(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(1, 4))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            if not keys:
                break
            key = draw(st.sampled_from(list(keys)))
            if isinstance(holder[key], dict | list) and draw(st.integers(0, 9)):
                holder = holder[key]
                continue
            if isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
                holder[draw(st.sampled_from(["id", "role", "content", "x"]))] = holder.pop(key)
            else:
                holder[key] = draw(ODD)
            break
    return value


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_record_is_read_or_refused_and_fits_the_store(name: str, data: st.DataObject):
    format, seeds = SEEDS[name]
    value = data.draw(mutated(seeds))
    for other in FORMATS:  # each is asked about a line until one takes it
        other.matches(value)
    reader = Provenance("/a", name, format.VERSION, "run", clock())
    found: list[Any] = []
    with contextlib.suppress(UnreadableError):
        found.extend(format.records(value))
    for record in found:
        assert isinstance(record, Call | Feedback | Dead | Other)
        if isinstance(record, Call):
            row = call_values(record, "1", reader)
            assert row[0]
            assert all(
                feedback_row(each, each.request_id, "1", reader)["kind"] for each in record.feedback
            )


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_changed_anywhere_never_raise_and_every_line_is_counted(
    name: str, data: st.DataObject
):
    format, seeds = SEEDS[name]
    whole = bytearray(b"\n".join(json.dumps(seed).encode() for seed in seeds * 2))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    content = bytes(whole)
    stream = LogStream(io.BytesIO(content), len(content), 10**9, 1e9)
    reading = Reading(Way(format), IngestSettings())
    located = list(reading.lines(stream))
    assert not [x for x in located if "the parser broke" in getattr(x.record, "error", "")]
    if stream.is_encoded:
        return
    seen = {each.line_number for each in located}
    for each in iterate_lines(io.BytesIO(content), 10**6):
        if each.data.strip() and each.number not in seen:
            # only a whole line of nothing may leave no record: [] or an envelope without spans
            assert not json.loads(each.data) or name in _MAY_BE_EMPTY
    assert 0 <= reading.bytes_done <= len(content)


@pytest.mark.parametrize("name", ["ollama", "claude_code", "codex"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_reader_of_mutated_values_reads_or_refuses_each(name: str, data: st.DataObject):
    format, seeds = SEEDS[name]
    seeds = [*seeds, local.piece("x")] if name == "ollama" else seeds
    values = data.draw(st.lists(st.sampled_from(seeds) | mutated(seeds), max_size=12))
    reader, made_by = format.reader(), Provenance("/a", name, format.VERSION, "run", clock())
    found: list[Any] = []
    for place, value in enumerate(values):
        with contextlib.suppress(UnreadableError):
            found.extend(reader.feed(value, At(place, place, str(place), b"")))
    for record, place in [*found, *reader.end()]:
        assert isinstance(record, Call | Feedback | Dead | Other)
        assert place.number in range(len(values))
        if isinstance(record, Call):
            assert call_values(record, "1", made_by)[0]


@pytest.mark.parametrize("format", [vllm, llama_cpp, sglang, tgi])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_text_lines_changed_anywhere_are_each_read_or_counted(format: Any, data: st.DataObject):
    lines = [
        *servers.NEW.splitlines(), *servers.OLD.splitlines(), servers.STATS,
        *(servers.RECEIVED.format(id=each) for each in "ab"),
        *(servers.GENERATED.format(id=each) for each in "ab"),
        own_servers.RECEIVED, own_servers.FINISHED, own_servers.TGI,
    ]  # fmt: skip
    whole = bytearray("\n".join(data.draw(st.permutations(lines))).encode())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    content = bytes(whole)
    stream = LogStream(io.BytesIO(content), len(content), 10**9, 1e9)
    reading = Reading(None, IngestSettings())
    located = list(reading.text(stream, format.reader(), len(content)))
    broken = [each.record.error for each in located if isinstance(each.record, Dead)]
    assert not [error for error in broken if "the parser broke" in error]
    for each in located:
        if isinstance(each.record, Call):
            assert call_values(each.record, "1", Provenance("/a", "x", "1", "r", clock()))[0]
    num_lines = len(list(iterate_lines(io.BytesIO(content), 10**6)))
    num_seen = sum(each.record.count if isinstance(each.record, Other) else 1 for each in located)
    # a vLLM request that waits for its output is one with it; each other line is one record
    assert num_lines - 2 <= num_seen <= num_lines
