"""Links that only some stores have, each from rows made for it: what must be found is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations import contracts
from expectations.contracts import TableContract
from tasks.lineage.walk import walk
from tasks.model.lineage import Direction, Key, Kind, Link
from tasks.store import Store
from tasks.store.evals.links import lineage_reader
from tasks.store.evals.nodes import Named, describe, named

NOW = datetime(2026, 11, 24, 16, 7)  # noqa: DTZ001 - the store keeps UTC without a zone
_OF_TYPE: dict[str, Any] = {
    "VARCHAR": "x", "BIGINT": 1, "DOUBLE": 1.0, "BOOLEAN": False, "TIMESTAMP": NOW, "JSON": "{}",
    "BLOB": b"x", "VARCHAR[]": [], "INTEGER": 1,
}  # fmt: skip


def row(contract: TableContract, **values: Any) -> dict[str, Any]:
    """With something in every column that must not be NULL."""
    needed = {c.name: _OF_TYPE[c.sql_type] for c in contract.columns if not c.nullable}
    return {**needed, **values}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "flywheel.duckdb") as opened:
        yield opened


def add(store: Store, contract: TableContract, *rows: dict[str, Any]) -> None:
    store.insert(contract, [row(contract, **values) for values in rows])


def far(
    store: Store, direction: Direction, kind: Kind, name: str, relation: str, **pinned: str
) -> set[tuple[str, str, str]]:
    with lineage_reader(store, pinned) as reader:
        found = walk(reader, Key(kind, name), direction, depth=1)
    ends = [(edge.ends(direction)[1], edge) for edge in found.edges]
    return {(key.kind, key.id, edge.note) for key, edge in ends if edge.relation == relation}


def test_a_log_file_holds_calls_of_all_fates_by_line(store: Store):
    add(store, contracts.REQUESTS, {"request_id": "r", "sources": ["/l:9", "/l:2", "/other:1"]})
    add(store, contracts.LANDING, {"request_id": "new", "sources": ["/l:3"]})
    call, signal = {"sources": ["/l:4"]}, {"feedback_id": "f", "source": "/l:5"}
    add(store, contracts.QUARANTINE, {"quarantine_id": "q", "row": json.dumps(call)},
        {"quarantine_id": "f", "row": json.dumps(signal)})  # fmt: skip
    add(store, contracts.DEAD_LETTERS, {"dead_letter_id": "d", "source": "/l", "line_number": 6},
        {"dead_letter_id": "rest", "source": "/l", "line_number": 7, "last_line": 19})  # fmt: skip
    add(store, contracts.FEEDBACK, {"feedback_id": "fb", "source": "/l:2", "request_id": "r"})
    assert far(store, "down", "log_file", "/l", "holds") == {
        ("request", "r", "line 2, 9"), ("arrival", "new", "line 3"), ("held", "q", "line 4"),
        ("held", "f", "line 5"), ("dead_letter", "d", "line 6"),
        ("dead_letter", "rest", "lines 7 to 19"), ("feedback", "fb", "line 2"),
    }  # fmt: skip
    assert far(store, "up", "request", "r", "holds") == {
        ("log_file", "/l", "line 2, 9"), ("log_file", "/other", "line 1"),
    }  # fmt: skip


def test_what_was_held_and_let_in_again_leads_to_what_it_became(store: Store):
    add(store, contracts.REQUESTS, {"request_id": "r", "sources": ["/l:4"]},
        {"request_id": "held too", "sources": ["/l:5"]},
        {"request_id": "mended", "sources": ["/l:6"]})  # fmt: skip
    add(store, contracts.FEEDBACK, {"feedback_id": "f", "source": "/l:7", "request_id": "r"})
    add(store, contracts.QUARANTINE,
        {"quarantine_id": "q", "request_id": "r", "state": "replayed"},
        {"quarantine_id": "q2", "request_id": "held too", "state": "held"},
        {"quarantine_id": "f", "request_id": "r", "state": "replayed"})  # fmt: skip
    add(store, contracts.DEAD_LETTERS,
        {"dead_letter_id": "d", "source": "/l", "line_number": 6, "state": "replayed"},
        {"dead_letter_id": "e", "source": "/l", "line_number": 5, "state": "dead"})  # fmt: skip
    assert far(store, "down", "held", "q", "was let in as") == {("request", "r", "")}
    assert far(store, "down", "held", "q2", "was let in as") == set()
    assert far(store, "down", "held", "f", "was let in as") == {("feedback", "f", "")}
    assert far(store, "down", "dead_letter", "d", "was read as") == {("request", "mended", "")}
    assert far(store, "down", "dead_letter", "e", "was read as") == set()
    assert far(store, "up", "request", "r", "was let in as") == {("held", "q", "")}


def test_a_pinned_call_is_linked_by_the_file_of_pins(store: Store):
    add(store, contracts.REQUESTS, {"request_id": "r", "sources": ["/l:4"]})
    add(store, contracts.SAMPLES, {"sample_id": "s", "origin": "pin", "suite": "route"})
    pinned = {"s": "r", "gone": "r"}
    assert far(store, "down", "request", "r", "was pinned as", **pinned) == {
        ("sample", "s", "pinned")
    }
    assert far(store, "up", "sample", "s", "was pinned as") == set()
    assert far(store, "up", "sample", "s", "declares") == {("suite", "route", "")}


def _run(name: str, **values: Any) -> dict[str, Any]:
    request = {"champion": "now", "challengers": ["next"], "seed": 0, "repeats": 1}
    request |= values.pop("request", {})
    keys = {"eval_set_digest": "set", "champion_digest": "now", "challenger_digest": "next"}
    return {"run_id": name, "request": json.dumps(request), **keys, **values}


def _verdict(name: str, suite: str = "route", **values: Any) -> dict[str, Any]:
    judged = {"suite": suite, "metric": "exact", "scorer": "exact@1", "margin": 0.05, **values}
    return {"run_id": name, "role": "challenger", "suites": json.dumps([judged])}


@pytest.fixture
def scored(store: Store) -> Store:
    """Two samples of suite route and one of another, answered by three releases under two seeds."""
    samples = [("s1", "route"), ("s2", "route"), ("other", "mood")]
    releases = ("now", "next", "third")
    add(store, contracts.SAMPLES, *({"sample_id": s, "suite": suite} for s, suite in samples))
    add(store, contracts.EVAL_SETS, {"eval_set_digest": "set"})
    add(store, contracts.EVAL_SET_SAMPLES,
        *({"eval_set_digest": "set", "sample_id": s} for s, _ in samples))  # fmt: skip
    add(store, contracts.SCORES,
        *({"release_digest": r, "sample_id": s, "seed": seed, "scorer": scorer}
          for r in releases for s, _ in samples for seed in (0, 1)
          for scorer in ("exact@1", "exact@2", "f1@1")))  # fmt: skip
    return store


def _decided(store: Store, run: str) -> set[str]:
    return {name for _, name, _ in far(store, "up", "run", run, "decided")}


def test_scores_decide_runs_of_their_release_set_seed_suite_and_scorer(scored: Store):
    add(scored, contracts.RUNS, _run("one"))
    add(scored, contracts.VERDICTS, _verdict("one"))
    assert _decided(scored, "one") == {
        f"{release}:{sample}:0:exact@1" for release in ("now", "next") for sample in ("s1", "s2")
    }
    assert far(scored, "down", "score", "now:s1:0:exact@1", "decided") == {("run", "one", "")}
    for other in ("now:s1:1:exact@1", "now:s1:0:f1@1", "now:other:0:exact@1", "third:s1:0:exact@1"):
        assert far(scored, "down", "score", other, "decided") == set()


def test_repeats_further_challengers_and_builds_without_versions_count(scored: Store):
    add(scored, contracts.RUNS,
        _run("two", request={"repeats": 2}), _run("more", more_challengers=["third"]))  # fmt: skip
    add(scored, contracts.VERDICTS, _verdict("two"), _verdict("more", scorer=""))
    assert {name.split(":")[2] for name in _decided(scored, "two")} == {"0", "1"}
    of_more = [name.split(":") for name in _decided(scored, "more")]
    assert {release for release, *_ in of_more} == {"now", "next", "third"}
    assert {scorer for *_, scorer in of_more} == {"exact@1", "exact@2"}
    assert far(scored, "down", "release", "third", "took part in") == {
        ("run", "more", "challenger")
    }


def test_a_run_that_stopped_early_is_decided_on_what_it_asked(scored: Store):
    add(scored, contracts.RUNS, _run("one"), _run("gate", request={"scores_of": "one"}))
    add(scored, contracts.VERDICTS, _verdict("one"), _verdict("gate"))
    add(scored, contracts.RUN_SAMPLES, {"run_id": "one", "sample_id": "s2"})
    for run in ("one", "gate"):
        assert {name.split(":")[1] for name in _decided(scored, run)} == {"s2"}
    assert far(scored, "down", "run", "one", "lent its scores to") == {("run", "gate", "")}
    assert far(scored, "up", "run", "gate", "lent its scores to") == {("run", "one", "")}


def test_nights_before_fed_the_evidence_of_the_same_pair_suite_scorer_and_margin(scored: Store):
    evidence = {"champion_digest": "now", "challenger_digest": "next", "suite": "route",
                "scorer": "exact@1", "margin": 0.05}  # fmt: skip
    add(scored, contracts.RUNS, *(_run(name) for name in ("n1", "n2", "n3", "wider")))
    add(scored, contracts.VERDICTS, *map(_verdict, ("n1", "n2", "n3")),
        _verdict("wider", margin=0.2))  # fmt: skip
    add(scored, contracts.EVIDENCE, {"evidence_id": "e", **evidence})
    add(scored, contracts.EVIDENCE_SAMPLES,
        *({"evidence_id": "e", "sample_id": f"{night}{n}", "run_id": night}
          for night in ("n1", "n2") for n in range(3)))  # fmt: skip
    assert far(scored, "up", "run", "n3", "fed the evidence of") == {
        ("run", "n1", "3 samples"), ("run", "n2", "3 samples"),
    }  # fmt: skip
    assert far(scored, "down", "run", "n1", "fed the evidence of") == {
        ("run", "n2", "3 samples"), ("run", "n3", "3 samples"),
    }  # fmt: skip
    assert far(scored, "up", "run", "wider", "fed the evidence of") == set()


def test_a_release_is_found_by_the_name_that_runs_asked_for(scored: Store):
    """The name in its own row is that of its latest use."""
    add(scored, contracts.RELEASES, {"release_digest": "next", "name": "renamed"},
        {"release_digest": "third", "name": "other"})  # fmt: skip
    asked = {"challengers": ["candidate", "other"]}
    add(scored, contracts.RUNS, _run("one", request=asked, more_challengers=["third"]))

    def meant(name: str) -> list[Named]:
        return [one for one in named(scored, name) if one.key.kind == "release"]

    assert meant("candidate") == [Named(Key("release", "next"), is_exact=False)]
    assert meant("renamed") == [Named(Key("release", "next"), is_exact=True)]
    assert meant("other") == [Named(Key("release", "third"), is_exact=True)]
    assert meant("now") == [Named(Key("release", "now"), is_exact=False)]


def test_sets_follow_each_other_and_the_newest_come_first(store: Store):
    add(store, contracts.EVAL_SETS, {"eval_set_digest": "a"},
        *({"eval_set_digest": name, "parent_digest": "a", "created_at": NOW + timedelta(days=n)}
          for n, name in enumerate("bcd")))  # fmt: skip
    with lineage_reader(store, {}) as reader:
        found = walk(reader, Key("eval_set", "a"), "down", limits=(2,))
    assert [edge.target.id for edge in found.edges] == ["d", "c"]
    assert found.left_out[0].number == 1


@pytest.mark.parametrize("number", [2, 3_000])
def test_every_pair_is_found_from_either_end(store: Store, number: int):
    """Few ids are compared where rows are read, many are joined: both find the same."""
    store.execute(
        "INSERT INTO requests (request_id, sources, format, content_digest, run_id, ingested_at) "
        "SELECT 'r' || n, ['/log' || n % 7 || ':' || n], 'x', 'x', 'x', now()::TIMESTAMP "
        "FROM range(?) AS of_numbers(n)",
        [number],
    )
    link = Link("log_file", "request", "holds")
    calls = [f"r{n}" for n in range(number)]
    with lineage_reader(store, {}) as reader:
        down = reader.neighbours(link, "down", [f"/log{n}" for n in range(7)], None)
        up = reader.neighbours(link, "up", calls, None)
        pairs = {(one.near, one.far) for one in down}
        assert pairs == {(one.far, one.near) for one in up}
    assert pairs == {(f"/log{n % 7}", f"r{n}") for n in range(number)}


def test_a_walk_over_many_calls_asks_no_more_often_than_over_few(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    statements: list[str] = []
    asked = Store.rows

    def counted(self: Store, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        statements.append(sql)
        return asked(self, sql, parameters)

    monkeypatch.setattr(Store, "rows", counted)

    def count(number: int) -> int:
        store.execute(
            "INSERT INTO requests (request_id, sources, format, content_digest, run_id, "
            "ingested_at) SELECT $1 || n, ['/log' || $1 || ':' || n], 'x', 'x', 'x', "
            "now()::TIMESTAMP FROM range($1) AS of_numbers(n)",
            [number],
        )
        store.execute(
            "INSERT INTO samples BY NAME SELECT 's' || request_id AS sample_id, request_id, "
            "'s' AS suite, '[]' AS messages, '' AS target, 'gold' AS target_kind, "
            "'traffic' AS origin, '{}' AS slices, false AS must_pass, 1.0 AS weight FROM requests "
            "WHERE starts_with(sources[1], '/log' || $1)",
            [number],
        )
        statements.clear()
        with lineage_reader(store, {}) as reader:
            found = walk(reader, Key("log_file", f"/log{number}"), "down")
        assert len(found.edges) == 2 * number
        return len(statements)

    assert count(3) == count(5_000)


def test_of_a_dead_letter_nothing_is_told_that_was_read(store: Store):
    error = "no JSON: 'SECRET' at 3"
    add(store, contracts.DEAD_LETTERS, {"dead_letter_id": "d", "source": "/l", "error": error})
    known = describe(store, "dead_letter", ["d"])["d"]
    assert known["error"] == "no JSON"
    assert "SECRET" not in str(known)


def test_a_closed_store_keeps_no_table_of_pins(tmp_path: Path):
    path = tmp_path / "flywheel.duckdb"
    with Store.open(path):
        pass
    with Store.open(path, read_only=True) as store, lineage_reader(store, {"s": "r"}):
        pass
    with duckdb.connect(str(path), read_only=True) as raw:
        names = raw.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert ("pinned_calls",) not in names


def test_a_verdict_leads_to_the_name_that_was_moved_on_it(store: Store):
    add(store, contracts.RUNS, _run("one"))
    add(store, contracts.ALIASES,
        {"alias": "champion", "release": "new", "release_digest": "next", "run_id": "one"},
        {"alias": "previous", "release": "old", "release_digest": "now", "run_id": None},
    )  # fmt: skip
    assert far(store, "down", "run", "one", "allowed") == {("alias", "champion", "")}
    assert far(store, "up", "alias", "champion", "allowed") == {("run", "one", "")}
    assert far(store, "up", "alias", "previous", "allowed") == set()
    assert far(store, "up", "alias", "previous", "is") == {("release", "now", "")}
    assert [one.key for one in named(store, "champion")] == [Key("alias", "champion")]
