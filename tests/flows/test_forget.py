"""`flywheel forget`: no byte of the state folder speaks of who was forgotten, and all of the rest
still does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from flows.commands.forget import _left_at_servers
from tasks.logs.shapes.coerce import user_hash
from tasks.settings import parse_settings
from tests.flows.application import Answer, Application, call_record, make_application
from tests.mlflow_home import home_with_mlflow

USERS = ("ann", "bob", "cyd")
#: where a text of each stands: in what was asked, answered, said of it, held back, unreadable
PLACES = ("asked", "answered", "said", "held", "dead")
_CALLS_EACH = 4


def mark(user: str, place: str) -> str:
    """A word that no other text has, and that nothing takes for a secret."""
    return f"{user}{place}xylograph"


MARKS = {user: {mark(user, place) for place in PLACES} for user in USERS}


def records(user: str) -> Iterator[dict[str, Any] | str]:
    first = 10 * USERS.index(user)
    for number in range(first, first + _CALLS_EACH):
        call = call_record(number) | {"user": user, "session_id": f"of-{user}-{number}"}
        asked = f"{call['messages'][0]['content']} {mark(user, 'asked')}"
        call["messages"] = [{"role": "user", "content": asked}]
        call["response"] = f"{call['response']} {mark(user, 'answered')}"
        call["feedback"] = {"kind": "thumbs", "value": 1, "comment": mark(user, "said")}
        yield call
    held = call_record(first + 8) | {"user": user, "latency_s": -5.0}
    yield held | {"response": f"no {mark(user, 'held')}"}
    yield f'{{"user": "{user}", "broken": "{mark(user, "dead")}"'


def write_logs(path: Path) -> None:
    lines = [record for user in USERS for record in records(user)]
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts))


def seen(home: Path) -> dict[str, set[str]]:
    """Mark → tables and files that have it: every byte of every file, what is packed by zstd
    unpacked, and every row of every table."""
    found: dict[str, set[str]] = {word: set() for words in MARKS.values() for word in words}
    for path in sorted(home.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            texts = [data, *_unpacked(data)]
            for word in found:
                if any(word.encode() in text for text in texts):
                    found[word].add(path.relative_to(home).as_posix())
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as store:
        for (table,) in store.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = store.execute(f"SELECT t::VARCHAR FROM {table} AS t").fetchall()
            for word in found:
                if any(word in row for (row,) in rows):
                    found[word].add(f"table {table}")
    return found


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What every frame of zstd in it holds, wherever it begins: DuckDB packs texts so."""
    start = data.find(b"\x28\xb5\x2f\xfd")
    while start >= 0:
        with suppress(OSError, pa.ArrowException):
            yield pa.CompressedInputStream(pa.BufferReader(data[start:]), "zstd").read(1 << 20)
        start = data.find(b"\x28\xb5\x2f\xfd", start + 1)


def of_others(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Of those that nobody forgets; the raw bytes of the store are an accident of its packing."""
    return {
        word: places - {"flywheel.duckdb", "mlflow.db-wal", "mlflow.db"}
        for word, places in found.items()
        if word not in MARKS["ann"]
    }


@dataclass(frozen=True)
class Done:
    """A turn, then ann forgotten, and what was seen on the way."""

    application: Application
    run_id: str
    old_set: str
    before: dict[str, set[str]]
    after: dict[str, set[str]]
    tried: dict[str, Any]
    told: dict[str, Any]
    again: dict[str, Any]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        path = str(self.application.home / "flywheel.duckdb")
        with duckdb.connect(path, read_only=True) as store:
            return store.execute(query).fetchall()

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(tracking_uri=f"sqlite:///{self.application.home}/mlflow.db")


def called(application: Application, *arguments: str) -> Answer:
    answer = application.here(*arguments)
    assert answer.code in (0, 1), answer.err
    return answer


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Done:
    application = make_application(tmp_path_factory.mktemp("forget"), tiny_model, samples=4)
    home_with_mlflow(application.home)
    settings = application.folder / "flywheel.toml"
    lenient = "data_docs = true\nmax_quarantined_ratio = 1.0"
    settings.write_text(settings.read_text().replace("data_docs = false", lenient))
    write_logs(application.folder / "logs" / "calls.jsonl")
    backup = application.folder / "flywheel-backups" / "old.tar"
    backup.parent.mkdir()
    backup.write_bytes(b"")
    (application.folder / "pins.jsonl").write_text(_pin(application))
    run = called(application, "run", "--inline", "--json").json
    kept = application.home / "kept"
    kept.mkdir(exist_ok=True)
    (kept / "flywheel-schema-1.duckdb").write_text(mark("ann", "asked"))
    (application.home / "spool").mkdir(exist_ok=True)
    piped = "".join(
        json.dumps({"user": user, "response": mark(user, "asked")}) + "\n" for user in USERS
    )
    (application.home / "spool" / "stdin-abc").write_text(piped)
    before = seen(application.home)
    tried = called(application, "forget", "--user", "ann", "--dry-run", "--json").json
    assert seen(application.home) == before
    hashed = user_hash("ann") or ""
    told = called(application, "forget", "--user", hashed, "--why", "of a@example.com", "--json")
    after = seen(application.home)
    again = called(application, "forget", "--user", "ann", "--json")
    path = str(application.home / "flywheel.duckdb")
    with duckdb.connect(path, read_only=True) as store:
        ((old,),) = store.execute("SELECT DISTINCT eval_set_digest FROM runs").fetchall()
    return Done(application, run["run_id"], old, before, after, tried, told.json, again.json)


def _pin(application: Application) -> str:
    """Of a call of ann's, before it is known which are samples."""
    call = next(iter(records("ann")))
    assert isinstance(call, dict)
    asked = {name: call[name] for name in ("request_id", "messages")}
    pin = {**asked, "suite": "route", "target": "billing", "why": "a", "pinned_at": "2026-11-30"}
    return json.dumps(pin) + "\n"


def test_no_byte_of_the_state_folder_tells_of_who_was_forgotten(done: Done):
    for word in MARKS["ann"]:
        assert done.before[word], f"{word} was nowhere"
        assert not done.after[word], word
    # so that the look itself is known to find what there is
    places = set().union(*(done.before[word] for word in MARKS["ann"]))
    assert {"table requests", "table samples", "table feedback", "flywheel.duckdb"} <= places
    assert any(place.startswith("mlflow.db") for place in places)
    assert any(place.startswith("mlflow-artifacts/") for place in done.before[mark("ann", "asked")])
    assert any(place.startswith("reports/") for place in done.before[mark("ann", "answered")])
    assert done.before[mark("ann", "dead")] & {"table dead_letters"}
    assert done.before[mark("ann", "held")] & {"table quarantine"}


def test_what_others_said_stands_where_it_stood(done: Done):
    assert of_others(done.after) == of_others(done.before)
    for user in ("bob", "cyd"):
        assert all(done.after[word] for word in MARKS[user])
        assert "mlflow.db" in done.after[mark(user, "asked")]


def test_a_dry_run_tells_what_goes_then(done: Done):
    gone = {kind: number for kind, number in done.told["counts"].items() if number}
    assert done.tried["dry_run"] is True
    assert {kind: number for kind, number in done.tried["counts"].items() if number} == {
        kind: number for kind, number in gone.items() if kind in done.tried["counts"]
    }
    assert (gone["calls"], gone["held_rows"], gone["dead_letters"]) == (_CALLS_EACH, 1, 1)
    assert (gone["feedback"], gone["piped_lines"]) == (_CALLS_EACH + 1, 1)
    assert done.told["copies"] == ["flywheel-schema-1.duckdb"] == done.tried["copies"]


def test_what_is_not_ours_is_listed_and_not_touched(done: Done):
    folder = done.application.folder
    log = folder / "logs" / "calls.jsonl"
    lines = log.read_text().splitlines()
    assert done.told["log_lines"] == sorted(
        f"{log}:{number}" for number, line in enumerate(lines, 1) if "annasked" in line
        or "annheld" in line or "anndead" in line
    )  # fmt: skip
    assert done.told["own_lines"] == [f"{folder / 'pins.jsonl'}:1"]
    assert done.told["servers"] == [], "its MLflow and Prefect are in the folder"
    assert done.told["backups"] == [str(folder / "flywheel-backups" / "old.tar")]
    assert "annasked" in (folder / "pins.jsonl").read_text()


def test_what_stays_at_a_server_is_said_with_what_removes_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@prefect.example/api")
    at_server = {"mlflow": {"tracking_uri": "https://me:secret@runs.example"}}
    mlflow, prefect = _left_at_servers(parse_settings(at_server, base=".")).servers
    assert mlflow.startswith("MLflow at https://runs.example: ")
    assert "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)" in mlflow
    assert "prefect.example" in prefect
    assert "PREFECT_SERVER_EVENTS_RETENTION_PERIOD" in prefect
    assert "secret" not in mlflow + prefect


def test_an_eval_set_has_a_successor_and_stays_as_a_tombstone(done: Done):
    (successor,) = done.sql(
        "SELECT eval_set_digest, num_samples, rule FROM eval_sets WHERE parent_digest = "
        f"'{done.old_set}'"
    )
    ((num_before,),) = done.sql(
        f"SELECT num_samples FROM eval_sets WHERE eval_set_digest = '{done.old_set}'"
    )
    number = done.told["counts"]["samples"]
    assert number > 1
    assert successor[1] == num_before - number
    assert json.loads(successor[2])["forgotten"] == number
    sizes = dict(done.sql("SELECT eval_set_digest, count(*) FROM eval_set_samples GROUP BY 1"))
    assert sizes == {done.old_set: num_before - number, successor[0]: num_before - number}
    # weights of what production asks are one on average, as in every set
    ((mean,),) = done.sql(
        "SELECT avg(e.weight) FROM eval_set_samples e JOIN samples USING (sample_id) "
        f"WHERE eval_set_digest = '{successor[0]}' AND stratum <> '' AND is_counted"
    )
    assert mean == pytest.approx(1.0)
    assert done.sql("SELECT eval_set_digest, successor_digest, num_samples FROM erasures") == [
        (done.old_set, successor[0], number)
    ]


def test_the_verdict_says_everywhere_that_its_inputs_were_partly_erased(done: Done):
    told = done.application.here("verdict", "--json").json
    assert told["erased"].startswith("Its inputs were partly erased on 2")
    assert "cannot be re-executed whole" in told["erased"]
    assert told["erased"] in " ".join(done.application.here("verdict").out.split())
    page = (done.application.home / "reports" / done.run_id / "report.html").read_text()
    assert told["erased"] in page
    refused = done.application.here("gate", done.run_id)
    assert refused.code == 2
    assert "partly erased" in refused.err


def test_mlflow_has_the_rows_of_the_others_and_says_so_too(done: Done):
    mlflow = done.mlflow
    experiment = mlflow.get_experiment_by_name("flywheel")
    runs = {
        run.data.tags["flywheel.role"]: run
        for run in mlflow.search_runs([experiment.experiment_id])
    }
    ((num_left,),) = done.sql(
        f"SELECT count(*) FROM eval_set_samples WHERE eval_set_digest = '{done.old_set}'"
    )
    for role in ("champion", "challenger"):
        traces = mlflow.search_traces(
            locations=[experiment.experiment_id], run_id=runs[role].info.run_id, max_results=100
        )
        assert len(traces) == num_left
    assert done.told["counts"]["traces"] == 2 * done.told["counts"]["samples"]
    sentence = runs["parent"].data.tags["flywheel.erased"]
    assert "partly erased" in sentence
    assert sentence in runs["parent"].data.tags["mlflow.note.content"]
    names = {file.path for file in mlflow.list_artifacts(runs["parent"].info.run_id)}
    assert {"report.html", "verdict.json"} <= names


def test_the_receipt_holds_counts_and_digests_and_nobody(done: Done):
    (path,) = (done.application.home / "erasures").iterdir()
    assert str(path) == done.told["file"]
    text = path.read_text()
    told = json.loads(text)
    assert told["counts"] == done.told["counts"]
    assert told["runs"] == [done.run_id]
    assert "<email:" in told["why"]
    for secret in ("ann", "call-0", user_hash("ann") or "", "example.com", "calls.jsonl"):
        assert secret not in text
    assert not (done.application.home / "forgetting.json").exists()


def test_what_was_forgotten_does_not_come_back_and_is_counted(done: Done):
    """The same lines in another file: those of the others are known, hers are passed over."""
    application = done.application
    again = application.folder / "logs" / "again.jsonl"
    write_logs(again)
    later = next(iter(records("ann")))
    assert isinstance(later, dict)
    new = later | {"request_id": "new", "started_at": "2999-01-01T00:00:00Z",
                   "messages": [{"role": "user", "content": "of a later day"}],
                   "response": "billing"}  # fmt: skip
    del new["feedback"]
    earlier = new | {"request_id": "old", "started_at": "2026-01-01T00:00:00Z"}
    with again.open("a") as file:
        file.write(json.dumps(new) + "\n" + json.dumps(earlier) + "\n")
    told = called(application, "ingest", "--json", str(again)).json
    num_lines = len(again.read_text().splitlines())
    assert told["rows_in"] == num_lines
    assert told["rows_in"] == told["rows_out"] + told["duplicates"] + told["dead_letters"]
    assert told["forgotten"] == _CALLS_EACH + 2 + 1
    assert told["dead_letters"] == 2, "the same bytes at another place, of the two others"
    assert done.sql("SELECT request_id FROM landing") == [("new",)]
    assert done.sql("SELECT sum(forgotten)::INT FROM sources") == [(_CALLS_EACH + 2 + 1,)]
    found = seen(application.home)
    assert not any(found[word] for word in MARKS["ann"])


def test_one_who_is_forgotten_already_is_told_and_a_stranger_is_refused(done: Done):
    assert done.again["forgotten_before"] == done.told["erasure_id"]
    assert done.again["own_lines"] == [], "nobody knows any more what was said"
    for arguments, why in (
        (("--request", "no-such-call"), "knows nothing of this call"),
        (("--user", "no-such-user"), "knows nothing of this user"),
        ((), "nobody is named"),
        (("--user", "a", "--request", "b"), "not both"),
    ):
        answer = done.application.here("forget", *arguments)
        assert (answer.code, why in answer.err) == (2, True), answer.err
