"""One call that two logs tell of is one row with both in its sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.redact.task import redact
from tests.tasks.logs.builders import call, make_run, query, write_lines
from tests.tasks.logs.formats import test_otlp as spans
from tests.tasks.logs.formats.test_gateways import ENVOY, STANDARD

USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 20}
SPAN = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": "chatcmpl-1", **USAGE}  # fmt: skip
TIMES = {"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000002500000000"}


def span(attributes: dict[str, Any] = SPAN, **changes: Any) -> dict[str, Any]:
    return spans.document({**spans.span(attributes), "traceId": "t", "spanId": "s", **TIMES,
                           **changes})  # fmt: skip


def details(**attributes: Any) -> dict[str, Any]:
    said = {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
        ),
        **attributes,
    }
    value = spans.log("gen_ai.client.inference.operation.details", said)
    record = value["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    record.update(traceId="t", spanId="s", timeUnixNano="1700000002400000000")
    return value


def counts_add_up(run: Any, receipt: Any) -> None:
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates + receipt.dead_letters
    assert query(run, "SELECT count(*), coalesce(sum(input_tokens), 0), "
                 "coalesce(sum(output_tokens), 0) FROM landing") == [
        (receipt.rows_out, receipt.notes["input_tokens"], receipt.notes["output_tokens"])
    ]  # fmt: skip


def test_the_event_with_the_messages_goes_into_its_span(tmp_path: Path):
    write_lines(tmp_path / "logs.jsonl", details())
    write_lines(tmp_path / "spans.jsonl", span())
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    ((request_id, messages, latency, tokens, sources, started),) = query(
        run, "SELECT request_id, messages->0->>'content', latency_s, input_tokens, sources, "
        "started_at::VARCHAR FROM landing"
    )  # fmt: skip
    assert (request_id, messages, latency, tokens) == ("t:s", "hi", 2.5, 10)
    assert started == "2023-11-14 22:13:20"
    assert [Path(each).name for each in sources] == ["spans.jsonl:1", "logs.jsonl:1"]
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (2, 1, 1)
    assert "conflicts" not in receipt.notes
    counts_add_up(run, receipt)


def test_a_gateway_and_a_span_tell_of_one_call(tmp_path: Path):
    write_lines(tmp_path / "gateway.jsonl", STANDARD)
    write_lines(tmp_path / "spans.jsonl", span())
    write_lines(tmp_path / "thumbs.jsonl",
                {"record": "feedback", "request_id": "chatcmpl-1", "value": -1})  # fmt: skip
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    ((request_id, content, cost, sources),) = query(
        run, "SELECT request_id, response->>'content', cost_usd, sources FROM landing"
    )
    assert (request_id, content, cost, len(sources)) == ("t:s", "ho", 0.5, 2)
    assert query(run, "SELECT request_id FROM feedback") == [("t:s",)]
    counts_add_up(run, make_counts(receipt))


def test_messages_that_came_as_events_of_their_own_go_into_their_span(tmp_path: Path):
    def message(name: str, **body: Any) -> dict[str, Any]:
        record = {"traceId": "t", "spanId": "s", "timeUnixNano": "1700000002400000000",
                  "attributes": [{"key": "event.name", "value": {"stringValue": name}},
                                 {"key": "gen_ai.system", "value": {"stringValue": "openai"}}],
                  "body": {"kvlistValue": {"values": [
                      {"key": k, "value": v if isinstance(v, dict) else {"stringValue": v}}
                      for k, v in body.items()]}}}  # fmt: skip
        return record

    answer = {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "ho"}}]}}
    logs = [message("gen_ai.system.message", content="Be brief."),
            message("gen_ai.user.message", content="hi"),
            message("gen_ai.choice", finish_reason="stop", message=answer)]  # fmt: skip
    write_lines(tmp_path / "logs.jsonl", {"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]})
    write_lines(tmp_path / "spans.jsonl", span())
    run = make_run(tmp_path, tmp_path)
    counts_add_up(run, ingest(run))
    assert query(
        run, "SELECT messages->1->>'content', response->>'content', finish_reason, provider, "
        "input_tokens, len(sources) FROM landing"
    ) == [("hi", "ho", "stop", "openai", 10, 2)]  # fmt: skip


def make_counts(receipt: Any) -> Any:
    """Without the feedback line, which is no row of landing."""
    from dataclasses import replace

    return replace(receipt, rows_in=receipt.rows_in - 1, rows_out=receipt.rows_out - 1)


def test_an_access_log_is_joined_by_the_header(tmp_path: Path):
    attributes = {**SPAN, "gen_ai.usage.input_tokens": 15, "gen_ai.usage.output_tokens": 7,
                  "http.request.header.x-request-id": "r1"}  # fmt: skip
    times = {"startTimeUnixNano": "1756572697000000000", "endTimeUnixNano": "1756572698000000000"}
    write_lines(tmp_path / "envoy.jsonl", ENVOY)
    write_lines(tmp_path / "spans.jsonl", span(attributes, **times))
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    assert query(run, "SELECT request_id, http_status, len(sources) FROM landing") == [
        ("t:s", 200, 2)
    ]


def test_a_merged_report_is_known_when_it_is_met_again(tmp_path: Path):
    gateway = write_lines(tmp_path / "gateway.jsonl", STANDARD)
    write_lines(tmp_path / "spans.jsonl", span())
    ingest(make_run(tmp_path, tmp_path))
    # the file is written anew, with another call before the old one
    write_lines(gateway, {**STANDARD, "id": "chatcmpl-2"}, STANDARD)
    run = make_run(tmp_path, tmp_path, run_id="run-2")
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (2, 1, 1)
    assert query(run, "SELECT count(*) FROM landing") == [(2,)]


def test_what_contradicts_or_is_told_more_than_twice_stays_apart(tmp_path: Path):
    write_lines(tmp_path / "gateway.jsonl", {**STANDARD, "prompt_tokens": 11})
    write_lines(tmp_path / "spans.jsonl", span())
    other = {**STANDARD, "id": "chatcmpl-9"}
    cached = {**SPAN, "gen_ai.response.id": "chatcmpl-9"}
    write_lines(
        tmp_path / "cached.jsonl", other, span(cached, spanId="a"), span(cached, spanId="b")
    )
    write_lines(tmp_path / "late.jsonl", {**STANDARD, "id": "chatcmpl-8", "startTime": 1,
                                          "endTime": 2, "completionStartTime": None})  # fmt: skip
    write_lines(tmp_path / "late-span.jsonl",
                span({**SPAN, "gen_ai.response.id": "chatcmpl-8"}, spanId="late"))  # fmt: skip
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert receipt.duplicates == 0
    assert query(run, "SELECT count(*) FROM landing WHERE len(sources) > 1") == [(0,)]


def test_two_versions_of_a_call_stay_a_conflict(tmp_path: Path):
    write_lines(tmp_path / "a.jsonl", call(1), call(1, response=...))
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.notes["conflicts"]) == (2, 2)


def in_turn(folder: Path, first: Any, second: Any, *, admit: bool) -> tuple[Any, Any, Any]:
    """Two runs, one log each; between them the first call is admitted, or waits in landing."""
    one = make_run(folder, write_lines(folder / "first.jsonl", first), run_id="run-1")
    receipts = [ingest(one)]
    if admit:
        redact(one)
    two = make_run(folder, write_lines(folder / "second.jsonl", second), run_id="run-2")
    receipts.append(ingest(two))
    return two, *receipts


@pytest.mark.parametrize("admit", [False, True])
@pytest.mark.parametrize("gateway_first", [False, True])
def test_the_second_report_may_come_in_a_later_run(
    tmp_path: Path, admit: bool, gateway_first: bool
):
    logs = (STANDARD, span()) if gateway_first else (span(), STANDARD)
    run, first, second = in_turn(tmp_path, *logs, admit=admit)
    table = "requests" if admit else "landing"
    ((request_id, cost, latency, tokens, sources),) = query(
        run, f"SELECT request_id, cost_usd, latency_s, input_tokens, sources FROM {table}"
    )
    # an admitted call keeps its id: what was evaluated speaks of it
    assert request_id == ("chatcmpl-1" if admit and gateway_first else "t:s")
    assert (cost, latency, tokens) == (0.5, 2.5, 10)
    assert {Path(each).name for each in sources} == {"first.jsonl:1", "second.jsonl:1"}
    assert (first.rows_out, second.rows_in, second.rows_out, second.duplicates) == (1, 1, 0, 1)
    assert second.notes["input_tokens"] == second.notes["output_tokens"] == 0
    if admit:
        assert query(run, "SELECT count(*) FROM landing") == [(0,)]


def test_a_late_report_is_known_when_it_is_met_again(tmp_path: Path):
    in_turn(tmp_path, span(), STANDARD, admit=True)
    copy = write_lines(tmp_path / "copy.jsonl", STANDARD, {**STANDARD, "id": "chatcmpl-2"})
    receipt = ingest(make_run(tmp_path, copy, run_id="run-3"))
    assert (receipt.rows_out, receipt.duplicates) == (1, 1)


def test_feedback_on_a_late_report_speaks_of_the_admitted_call(tmp_path: Path):
    thumbs = {"record": "feedback", "request_id": "chatcmpl-1", "value": -1}
    one = make_run(tmp_path, write_lines(tmp_path / "first.jsonl", span()))
    ingest(one)
    redact(one)
    log = write_lines(tmp_path / "second.jsonl", STANDARD)
    write_lines(tmp_path / "thumbs.jsonl", thumbs)
    two = make_run(tmp_path, log, tmp_path / "thumbs.jsonl", run_id="run-2")
    ingest(two)
    assert query(two, "SELECT request_id FROM feedback") == [("t:s",)]


def test_a_late_report_that_contradicts_or_is_ambiguous_is_a_call_of_its_own(tmp_path: Path):
    one = make_run(tmp_path, write_lines(tmp_path / "first.jsonl", span(),
                   span({**SPAN, "gen_ai.response.id": "chatcmpl-9"}, spanId="a"),
                   span({**SPAN, "gen_ai.response.id": "chatcmpl-9"}, spanId="b")))  # fmt: skip
    ingest(one)
    redact(one)
    other = {**STANDARD, "id": "chatcmpl-9"}
    log = write_lines(tmp_path / "second.jsonl", {**STANDARD, "prompt_tokens": 11}, other)
    two = make_run(tmp_path, log, run_id="run-2")
    receipt = ingest(two)
    assert (receipt.rows_out, receipt.duplicates) == (2, 0)
    assert query(two, "SELECT count(*) FROM landing") == [(2,)]
