"""`[retention] calls_days`: calls leave the store when their time is over, and verdicts stand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.flows.application import Application, call_record, make_application
from tests.mlflow_home import home_with_mlflow

_THIRTY = {"FLYWHEEL_RETENTION__CALLS_DAYS": "30"}
_KEPT = "SELECT request_id FROM samples WHERE request_id IS NOT NULL"


def _word(number: int) -> str:
    return f"xylograph-{number}-q"


def sql(application: Application, query: str, *bound: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(application.home / "flywheel.duckdb")) as store:
        return store.execute(query, bound).fetchall()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Application:
    """A turn whose calls came in forty days ago, all but one, with something said of each."""
    application = make_application(tmp_path_factory.mktemp("expiry"), tiny_model, samples=4)
    home_with_mlflow(application.home)
    calls = [
        call_record(number) | {"response": _word(number), "feedback": {
            "kind": "thumbs", "value": 1, "comment": f"of {_word(number)}"}}
        for number in range(40)
    ]  # fmt: skip
    application.log("calls.jsonl", calls)
    settings = application.folder / "flywheel.toml"
    settings.write_text(f"{settings.read_text()}[curate]\nmax_samples = 10\n")
    answer = application.here("run", "--inline")
    assert answer.code in (0, 1), answer.err
    sql(application, "UPDATE requests SET ingested_at = ingested_at - ?", timedelta(days=40))
    sql(application, "UPDATE requests SET ingested_at = ingested_at + ? WHERE rowid = "
        f"(SELECT min(rowid) FROM requests WHERE request_id NOT IN ({_KEPT}))",
        timedelta(days=20))  # fmt: skip
    return application


def test_calls_leave_when_their_time_is_over_but_those_that_samples_were_made_of(
    judged: Application,
):
    before = sql(judged, "SELECT count(*) FROM requests")[0][0]
    ((sampled,),) = sql(judged, f"SELECT count(*) FROM requests WHERE request_id IN ({_KEPT})")
    verdict = judged.here("verdict", "--json").json
    assert 0 < sampled < before - 1
    gone = before - sampled - 1

    assert judged.here("ingest").code == 0  # they are kept for ever, if nobody says otherwise
    tried = judged.here("purge", "--dry-run", "--json", **_THIRTY)
    assert tried.json["calls"] == gone
    assert f"{gone:,} would go" in judged.here("purge", "--dry-run", **_THIRTY).out
    assert sql(judged, "SELECT count(*) FROM requests") == [(before,)]

    told = judged.here("ingest", "--json", **_THIRTY)
    assert told.json["rows_in"] == 0  # their file is not read again
    assert f"{gone:,} calls that came in more than 30 days ago left the store" in told.err
    assert sql(judged, "SELECT count(*) FROM requests") == [(sampled + 1,)]
    assert sql(judged, "SELECT count(*) FROM feedback WHERE request_id NOT IN "
                       "(SELECT request_id FROM requests)") == [(0,)]  # fmt: skip
    assert sql(judged, "SELECT count(*) FROM feedback") == [(sampled + 1,)]
    assert "left the store" not in judged.here("ingest", **_THIRTY).err

    assert judged.here("verdict", "--json").json == verdict
    for (sample,) in sql(judged, "SELECT sample_id FROM samples WHERE request_id IS NOT NULL"):
        assert judged.here("lineage", sample).code == 0
    again = judged.here("reproduce", "--json", verdict["run_id"])
    assert again.code == 0, again.err
    # and the next night has what is left, and what is new
    judged.log("new.jsonl", [call_record(number) for number in range(100, 110)])
    assert judged.here("run", "--inline", **_THIRTY).code in (0, 1)


def test_after_a_purge_no_block_holds_them(judged: Application):
    kept = {int(id_.removeprefix("call-")) for (id_,) in sql(judged, _KEPT)} & set(range(40))
    gone = set(range(40)) - kept
    done = judged.here("purge", "--json", FLYWHEEL_RETENTION__CALLS_DAYS="0.000001",
                       FLYWHEEL_RETENTION__RAW_DAYS="0")  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["older_than_days"] is None
    data = (judged.home / "flywheel.duckdb").read_bytes()
    tables = [name for (name,) in sql(judged, "SELECT table_name FROM duckdb_tables()")]
    rows = [row for name in tables for (row,) in sql(judged, f"SELECT t::VARCHAR FROM {name} t")]
    found = {n for n in range(40) if any(_word(n) in row for row in rows)}
    assert found == kept
    assert gone
    assert not [number for number in gone if _word(number).encode() in data]
