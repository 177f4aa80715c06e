"""`flywheel receipt` as people call it, on a run of the sample application's kind."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
import rfc8785

from tests.conftest import REPOSITORY
from tests.flows.application import Application
from tests.flows.turned import Turned

SCHEMA = REPOSITORY / "tasks" / "model" / "schemas" / "receipt-1.json"


@pytest.fixture
def decided(turned: Turned) -> Application:
    return turned.application


def rows(application: Application, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        return store.execute(sql).fetchall()


def receipt_of(application: Application) -> Path:
    (path,) = (application.home / "receipts").glob("*.receipt.json")
    return path


def test_the_receipt_of_a_turn_is_bound_before_its_answers(decided: Application) -> None:
    shown = decided.here("receipt", "--json")
    assert shown.code == 0, shown.err
    statement = json.loads(shown.out)
    assert rfc8785.dumps(statement) + b"\n" == shown.out.encode()
    jsonschema.validate(statement, json.loads(SCHEMA.read_text()))
    predicate = statement["predicate"]
    ((first_answer,),) = rows(decided, "SELECT min(created_at) FROM completions")
    fixed_at = datetime.fromisoformat(predicate["policy"]["fixed_at"]).replace(tzinfo=None)
    assert fixed_at < first_answer
    declared = predicate["policy"]["declared"]
    assert (declared["gate.alpha"], declared["suites.route.role"]) == (0.05, "primary")
    assert predicate["policy"]["answers_before"] == 0
    digests = dict(rows(decided, "SELECT name, release_digest FROM releases"))
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == digests
    (log,) = predicate["inputs"]["logs"]
    ((digest, rows_out),) = rows(decided, "SELECT digest, rows_out FROM sources")
    assert log == {"name": "logs/calls.jsonl", "digest": {"sha256": digest},
                   "format": "canonical", "rows": rows_out}  # fmt: skip
    ((verdict, suites),) = rows(decided, "SELECT verdict, suites FROM verdicts")
    (challenger,) = predicate["result"]["challengers"]
    assert (challenger["verdict"], challenger["suites"]) == (verdict, json.loads(suites))
    assert predicate["materials"]["packages"]["duckdb"] == duckdb.__version__
    assert predicate["materials"]["seeds"] == [0]
    assert set(predicate["inputs"]["contract"]) == {"calls", "batch", "feedback", "samples"}
    assert list(predicate["inputs"]["files"]) == ["suites/route.jsonl"]
    assert str(decided.folder) not in shown.out


def test_what_a_run_is_bound_to_holds_no_folder_of_this_machine(decided: Application) -> None:
    ((policy, settings, number),) = rows(
        decided, "SELECT policy, settings, len(from_json(materials, '[\"JSON\"]')) FROM commitments"
    )
    assert json.loads(policy)["suites.route.margin"] == 0.05
    assert "releases" in json.loads(settings)
    assert "home" not in json.loads(settings)
    assert number == 1


def test_it_is_shown_for_people_and_linked_from_report_and_mlflow(decided: Application) -> None:
    shown = decided.here("receipt")
    assert shown.code == 0, shown.err
    for text in ("policy", "fixed 20", "nobody has promoted it yet", "logs/calls.jsonl"):
        assert text in shown.out
    ((run_id, report, mlflow_run_id),) = rows(
        decided, "SELECT run_id, report, mlflow_run_id FROM runs WHERE report IS NOT NULL"
    )
    href = f"../../receipts/{run_id}.receipt.json"
    assert f'href="{href}"' in Path(report).read_text()
    assert (Path(report).parent / href).resolve() == receipt_of(decided).resolve()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{decided.home}/mlflow.db")
    artifacts = {file.path for file in client.list_artifacts(mlflow_run_id)}
    assert receipt_of(decided).name in artifacts
    assert client.get_run(mlflow_run_id).data.tags["flywheel.receipt"].startswith("sha256:")


def test_verify_needs_neither_store_nor_settings(decided: Application, tmp_path: Path) -> None:
    key = decided.here("receipt", "key")
    assert key.out.startswith("-----BEGIN PUBLIC KEY-----")
    elsewhere = Application(tmp_path)
    (tmp_path / "trusted.pub").write_text(key.out)
    copied = Path(shutil.copy(receipt_of(decided), tmp_path))
    verified = elsewhere.here("receipt", "verify", copied.name, "--key", "trusted.pub")
    assert verified.code == 0, verified.err
    assert "not a byte is another" in verified.out
    assert "lies beside" not in verified.out
    told = elsewhere.here("receipt", "verify", copied.name, "--json")
    assert told.code == 0, told.err
    assert told.json["verified"] is True
    beside = elsewhere.here("receipt", "verify", copied.name)
    assert "whoever wrote one may have written both" in beside.out
    (tmp_path / "trusted.pub").unlink()
    nothing = elsewhere.here("receipt", "verify", copied.name)
    assert (nothing.code, "no public key" in nothing.err) == (2, True)
    absent = elsewhere.here("receipt", "verify", "absent.json", "--key", "absent.pub")
    assert (absent.code, "cannot be read" in absent.err) == (2, True)


def with_verdict(path: Path, verdict: str) -> bytes:
    """The receipt with another verdict under the old signature."""
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["result"]["verdict"] = verdict
    payload = base64.b64encode(rfc8785.dumps(statement)).decode()
    return rfc8785.dumps({**envelope, "payload": payload})


@pytest.fixture
def kept(decided: Application) -> Iterator[Path]:
    path = receipt_of(decided)
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def test_beside_the_store_the_field_that_was_changed_is_named(
    decided: Application, kept: Path, tmp_path: Path
) -> None:
    forged = with_verdict(kept, "better")
    kept.write_bytes(forged)
    refused = decided.here("receipt", "verify", str(kept), "--json")
    assert (refused.code, refused.json["place"]) == (1, "signature")
    assert '$.predicate.result.verdict: "cannot_tell", and not "better"' in refused.json["error"]
    # elsewhere there is nothing to hold it against: the signature it is
    (public,) = kept.parent.glob("*.pub")
    (tmp_path / "forged.json").write_bytes(forged)
    alone = decided.here(
        "receipt", "verify", str(tmp_path / "forged.json"), "--key", str(public), "--json"
    )
    assert (alone.code, alone.json["place"]) == (1, "signature")
    assert "$.predicate" not in alone.json["error"]
    shown = decided.here("receipt")
    assert (shown.code, "not as it was signed" in shown.err) == (1, True)


def test_a_store_that_was_changed_after_the_receipt_is_told(decided: Application) -> None:
    database = str(decided.home / "flywheel.duckdb")
    with duckdb.connect(database) as store:
        store.execute("UPDATE verdicts SET verdict = 'better'")
    try:
        told = decided.here("receipt", "verify", str(receipt_of(decided)), "--json")
    finally:
        with duckdb.connect(database) as store:
            store.execute("UPDATE verdicts SET verdict = 'cannot_tell'")
    assert (told.code, told.json["place"]) == (1, "store")
    assert "$.predicate.result.challengers[0].verdict" in told.json["error"]


def test_a_decision_of_the_gate_alone_has_a_receipt_that_says_what_was_there_before(
    decided: Application,
) -> None:
    gated = decided.here("gate", "--json")
    assert gated.code in (0, 1), gated.err
    run_id = gated.json["run_id"]
    shown = decided.here("receipt", run_id, "--json")
    assert shown.code == 0, shown.err
    predicate = json.loads(shown.out)["predicate"]
    ((answers,),) = rows(decided, "SELECT count(*) FROM completions")
    assert (predicate["run_id"], predicate["policy"]["answers_before"]) == (run_id, answers)
    assert any(text.startswith(f"{answers} of the answers") for text in predicate["limits"])
    with duckdb.connect(str(decided.home / "flywheel.duckdb")) as store:
        for table in ("runs", "verdicts", "run_stages", "commitments"):
            store.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
    for file in (decided.home / "receipts").glob(f"{run_id}*"):
        file.unlink()


def test_without_a_verdict_there_is_none(application: Application) -> None:
    application.here("ingest")
    nothing = application.here("receipt")
    assert (nothing.code, "no run has reached a verdict yet" in nothing.err) == (2, True)
    (run_id,) = application.here("sql", "select run_id from runs", "--json").json["rows"][0]
    undecided = application.here("receipt", "show", run_id)
    assert (undecided.code, "the run has no verdict" in undecided.err) == (2, True)


def test_who_promotes_on_a_verdict_stands_in_its_receipt(turned: Turned, tmp_path: Path) -> None:
    """On a copy: other tests ask the same run."""
    decided = Application(Path(shutil.copytree(turned.application.folder, tmp_path / "copy")))
    before = receipt_of(decided).read_bytes()
    num_kept = len(list((decided.home / "receipts" / "history").glob("*.json")))
    override = ("--override", "a pilot", "--expires", "2999-01-01")
    moved = decided.here("promote", "--by", "ada", *override, "--json")
    assert moved.code == 0, moved.err
    approval = json.loads(decided.here("receipt", "--json").out)["predicate"]["approval"]
    ((digest, hashed),) = rows(
        decided,
        "SELECT release_digest, (SELECT hash FROM audit WHERE seq = 1) FROM aliases "
        "WHERE alias = 'champion'",
    )
    assert (approval["by"], approval["digest"]["sha256"]) == ("ada", digest)
    assert approval["audit"]["sha256"] == hashed == moved.json["audit"]
    ((verdict,),) = rows(decided, "SELECT verdict FROM verdicts WHERE is_leading")
    assert ("override" in approval) == (verdict not in ("better", "no_worse"))
    assert decided.here("receipt", "verify", str(receipt_of(decided))).code == 0
    kept = sorted((decided.home / "receipts" / "history").glob("*.json"))
    assert (len(kept), kept[-1].read_bytes()) == (num_kept + 1, before)
