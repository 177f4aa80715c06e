"""Events of OpenLineage: what is in them, and that nobody is troubled where they are not taken."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import tasks.posting
from flows.events import lineage_events
from tasks.errors import UsageError
from tasks.lineage.events import Told, run_event
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.model.turn import LogFile
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store.control import ledger
from tests.flows.application import Application, call_record

NOW = datetime(2026, 11, 24, 16, 7)  # noqa: DTZ001 - the store keeps UTC without a zone
_TOLD = Told(
    log_files=[
        LogFile("/logs/a.jsonl", "a" * 64, "canonical", 5, True),
        LogFile("s3://bucket/logs/b.jsonl", "b" * 64, "canonical", 7, False),
    ],
    receipts=[
        Receipt("validate", "k", 12, 9, quarantined=3, notes={"by_reason": {"has_id": 3}}),
        Receipt("curate", "set", 9, 4, duplicates=5),
    ],
    eval_set_digest="c" * 64,
    verdicts={"next": "worse"},
    error="StoreError: gone",
)


def _event(told: Told = _TOLD, **changes: Any) -> dict[str, Any]:
    values = {"kind": "FAIL", "run_id": "run 1", "at": NOW, "job": "flywheel", "store": "/s.duckdb",
              "version": "0.1.0"} | changes  # fmt: skip
    kind, run_id, at = (values.pop(name) for name in ("kind", "run_id", "at"))
    return run_event(kind, run_id, at, told, **values)


def _facets(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from event["run"]["facets"].items()
    for one in [*event["inputs"], *event["outputs"]]:
        for name in ("facets", "inputFacets", "outputFacets"):
            yield from one.get(name, {}).items()


def test_an_event_tells_what_went_in_and_what_came_out():
    event = _event()
    assert event["eventTime"] == "2026-11-24T16:07:00Z"
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/")
    assert event["run"]["facets"]["errorMessage"]["message"] == "StoreError: gone"
    first, second, calls = event["inputs"]
    assert (first["namespace"], first["name"]) == ("file", "/logs/a.jsonl")
    assert (second["namespace"], second["name"]) == ("s3://bucket", "logs/b.jsonl")
    assert first["facets"]["version"]["datasetVersion"] == "a" * 64
    assert first["inputFacets"]["dataQualityMetrics"]["rowCount"] == 5
    assert calls["inputFacets"]["dataQualityMetrics"]["rowCount"] == 12
    assert calls["inputFacets"]["dataQualityAssertions"]["assertions"] == [
        {"assertion": "has_id", "success": False, "severity": "error", "actual": "3 rows"}
    ]
    eval_set, verdict = event["outputs"]
    assert eval_set["facets"]["version"]["datasetVersion"] == "c" * 64
    assert eval_set["outputFacets"]["outputStatistics"]["rowCount"] == 4
    assert verdict["facets"]["flywheel_verdict"]["verdicts"] == {"next": "worse"}
    for _, facet in _facets(event):
        assert facet["_producer"].startswith("urn:")
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def test_the_events_of_a_run_have_one_uuid_and_those_of_another_another():
    ids = [_event(kind=kind)["run"]["runId"] for kind in ("START", "FAIL")]
    assert ids[0] == ids[1] == str(uuid.UUID(ids[0]))
    assert _event(run_id="run 2")["run"]["runId"] != ids[0]


@pytest.mark.needs("openlineage")
def test_the_client_of_openlineage_takes_the_same(tmp_path: Path):
    """It makes the same JSON of the parts, refuses what is no UUID, time or URI, and calls the
    schemas of facets the same."""
    from openlineage.client import event_v2
    from openlineage.client import facet_v2 as facets
    from openlineage.client.serde import Serde

    ours = _event()
    theirs = event_v2.RunEvent(
        eventTime=ours["eventTime"],
        producer=ours["producer"],
        eventType=event_v2.RunState.FAIL,
        run=event_v2.Run(ours["run"]["runId"]),
        job=event_v2.Job(ours["job"]["namespace"], ours["job"]["name"]),
        inputs=[event_v2.InputDataset(one["namespace"], one["name"]) for one in ours["inputs"]],
        outputs=[event_v2.OutputDataset(one["namespace"], one["name"]) for one in ours["outputs"]],
    )
    kinds = {
        "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet,
        "dataQualityMetrics": (
            facets.data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet
        ),
        "dataQualityAssertions": (
            facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
        ),
        "outputStatistics": (
            facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        ),
        "errorMessage": facets.error_message_run.ErrorMessageRunFacet,
    }
    told = {name: facet["_schemaURL"] for name, facet in _facets(ours) if name in kinds}
    assert told == {name: kind._get_schema() for name, kind in kinds.items()}
    value = json.loads(Serde.to_json(theirs))
    assert value["schemaURL"] == ours["schemaURL"]
    for name in ("eventType", "producer", "eventTime"):
        assert value[name] == ours[name]
    assert value["run"]["runId"] == ours["run"]["runId"]
    for name in ("inputs", "outputs"):
        places = [
            [(one["namespace"], one["name"]) for one in event[name]] for event in (value, ours)
        ]
        assert places[0] == places[1]


@pytest.fixture
def application(tmp_path: Path) -> Application:
    (tmp_path / "logs").mkdir()
    (tmp_path / "flywheel.toml").write_text('logs = ["logs/*.jsonl"]\n')
    made = Application(tmp_path)
    made.log("calls.jsonl", [call_record(1), call_record(2)])
    return made


@contextmanager
def _listening(status: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/lineage", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_turn_is_told_into_a_file_and_a_failed_one_as_such(application: Application):
    told = {"FLYWHEEL_LINEAGE__OPENLINEAGE": "told/events.jsonl"}
    assert application.here("ingest", **told).code == 0
    assert application.here("curate", **told).code == 2
    lines = (application.folder / "told" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "START", "FAIL"]
    assert events[0]["run"]["runId"] == events[1]["run"]["runId"] != events[2]["run"]["runId"]
    (log,) = events[1]["inputs"]
    assert log["name"] == str(application.folder / "logs" / "calls.jsonl")
    assert "nothing to evaluate" in events[3]["run"]["facets"]["errorMessage"]["message"]


def _told_to(target: str, folder: Path) -> Run:
    """A run in a store of its own, and nothing done yet."""
    values = {"home": str(folder / ".flywheel"), "lineage": {"openlineage": target}}
    run = Run("run 1", RunRequest(), parse_settings(values, base=str(folder)))
    with run.open_store() as store:
        ledger.begin_run(store, run.run_id, run.request.to_json(), "digest", NOW)
    return run


def test_a_turn_is_told_to_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with _listening(201) as (address, taken), lineage_events(_told_to(address, tmp_path)):
        assert [event["eventType"] for event in taken] == ["START"]
    assert [event["eventType"] for event in taken] == ["START", "COMPLETE"]
    assert capsys.readouterr().err == ""


def test_a_turn_that_is_stopped_from_outside_is_told_as_such(tmp_path: Path):
    run = _told_to("events.jsonl", tmp_path)
    with pytest.raises(KeyboardInterrupt), lineage_events(run):
        raise KeyboardInterrupt
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "ABORT"]


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/nobody", "file/no-folder", "500"])
def test_who_does_not_take_it_stops_no_turn_and_that_is_said_once(
    tmp_path: Path,
    target: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(tasks.posting, "_FIRST_WAIT_S", 0.0)
    (tmp_path / "file").touch()
    with _listening(500) as (address, taken):
        run = _told_to(address if target == "500" else target, tmp_path)
        with lineage_events(run):
            done = True
    assert done
    assert capsys.readouterr().err.count("no event of lineage goes out") == 1
    tries = 3  # of each of two events
    assert len(taken) == 2 * tries * (target == "500")


@pytest.mark.parametrize(
    "target", ["ftp://host/x", "https://user:SECRET@host", "http://h/?k=SECRET"]
)
def test_an_address_holds_no_secret_and_is_one_of_the_web(tmp_path: Path, target: str):
    with pytest.raises(UsageError) as refused:
        parse_settings({"lineage": {"openlineage": target}}, base=str(tmp_path))
    assert "SECRET" not in refused.value.line()


def test_who_is_told_changes_no_result(tmp_path: Path):
    silent = parse_settings({}, base=str(tmp_path))
    told = parse_settings({"lineage": {"openlineage": "events.jsonl"}}, base=str(tmp_path))
    assert silent.digest == told.digest
