"""`flywheel lineage` over two real runs, each link held against what the plain rows say."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations import contracts
from tasks.store import Store
from tests.flows.application import Application, call_record, make_application
from tests.flows.test_hostile_text import ESC, OBEYED, SHOWN
from tests.tasks.store.test_links import row

_HOSTILE_LOG = f"[red]{ESC}<b>.jsonl"
End = tuple[str, str]
Pairs = set[tuple[End, End]]


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Application:
    """Two log files, one with a line that cannot be read and a call that is held; all stages up to
    the gate, and two decisions on the same scores."""
    made = make_application(tmp_path_factory.mktemp("lineage") / "application", tiny_model)
    log = made.folder / "logs" / "calls.jsonl"
    held = {**call_record(40), "messages": [], "input_tokens": -5}
    log.write_text(log.read_text() + '{"broken\n' + json.dumps(held) + "\n")
    hostile = {**call_record(41), "request_id": f"id {ESC}[/red]<script>"}
    made.log(_HOSTILE_LOG, [hostile])
    for command in ("ingest", "validate", "eval", "gate", "gate"):
        answer = made.here(command)
        assert answer.code in (0, 1), answer.err
    return made


@pytest.fixture(scope="module")
def raw(turned: Application) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy: one process has a file open in one way only."""
    copy = shutil.copy(turned.home / "flywheel.duckdb", turned.folder / "copy.duckdb")
    with duckdb.connect(str(copy), read_only=True) as connection:
        yield connection


def _file(place: str) -> End:
    return ("log_file", place.rpartition(":")[0])


def _expected(raw: duckdb.DuckDBPyConnection) -> dict[str, Pairs]:
    """Link → its pairs, by plain loops over whole tables."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return raw.execute(sql).fetchall()

    pairs: dict[str, Pairs] = {}

    def add(source: End, target: End) -> None:
        pairs.setdefault(f"{source[0]} {target[0]}", set()).add((source, target))

    of_request: dict[str, list[str]] = {}
    for request_id, sources in rows("SELECT request_id, sources FROM requests"):
        of_request[request_id] = sources
        for place in sources:
            add(_file(place), ("request", request_id))
    for quarantine_id, held in rows('SELECT quarantine_id, "row" FROM quarantine'):
        for place in json.loads(held)["sources"]:
            add(_file(place), ("held", quarantine_id))
    for letter_id, source in rows("SELECT dead_letter_id, source FROM dead_letters"):
        add(("log_file", source), ("dead_letter", letter_id))
    for feedback_id, request_id, place in rows(
        "SELECT feedback_id, request_id, source FROM feedback"
    ):
        add(_file(place), ("feedback", feedback_id))
        if request_id in of_request:
            add(("feedback", feedback_id), ("request", request_id))
    suites = {}
    for sample_id, suite, origin, request_id in rows(
        "SELECT sample_id, suite, origin, request_id FROM samples"
    ):
        suites[sample_id] = suite
        if origin == "suite":
            add(("suite", suite), ("sample", sample_id))
        else:
            add(("request", request_id), ("sample", sample_id))
        for (digest,) in rows(
            f"SELECT eval_set_digest FROM eval_set_samples WHERE sample_id = '{sample_id}'"
        ):
            add(("sample", sample_id), ("eval_set", digest))
            for place in of_request.get(request_id, ()):
                add(_file(place), ("eval_set", digest))
    for digest, model, prompt in rows(
        "SELECT release_digest, model_digest, prompt_digest FROM releases"
    ):
        add(("model", model), ("release", digest))
        add(("prompt", prompt), ("release", digest))
    for release, sample, seed in rows("SELECT release_digest, sample_id, seed FROM completions"):
        completion = ("completion", f"{release}:{sample}:{seed}")
        add(("release", release), completion)
        add(("sample", sample), completion)
    scores = rows("SELECT release_digest, sample_id, seed, scorer FROM scores")
    for release, sample, seed, scorer in scores:
        score = ("score", f"{release}:{sample}:{seed}:{scorer}")
        add(("completion", f"{release}:{sample}:{seed}"), score)
    for run_id, digest, *releases, request, judged in rows(
        "SELECT run_id, eval_set_digest, champion_digest, challenger_digest, request, "
        "(SELECT suites FROM verdicts v WHERE v.run_id = r.run_id) FROM runs r "
        "WHERE eval_set_digest IS NOT NULL"
    ):
        add(("eval_set", digest), ("run", run_id))
        for release in releases:
            add(("release", release), ("run", run_id))
        if lender := json.loads(request)["scores_of"]:
            add(("run", lender), ("run", run_id))
        decided = {one["suite"]: one["scorer"] for one in json.loads(judged or "[]")}
        for release, sample, seed, scorer in scores:
            if release in releases and decided.get(suites[sample]) == scorer:
                add(("score", f"{release}:{sample}:{seed}:{scorer}"), ("run", run_id))
    # the second decision rests on what the first one fed to the evidence of the pair
    for fed, champion, challenger in rows(
        "SELECT DISTINCT s.run_id, champion_digest, challenger_digest "
        "FROM evidence_samples s JOIN evidence USING (evidence_id)"
    ):
        for run_id, *releases in rows(
            "SELECT run_id, champion_digest, challenger_digest FROM runs JOIN verdicts "
            "USING (run_id)"
        ):
            if run_id > fed and releases == [champion, challenger]:
                add(("run", fed), ("run", run_id))
    return pairs


def _found(value: dict[str, Any]) -> Pairs:
    return {
        tuple((edge[end]["kind"], edge[end]["id"]) for end in ("from", "to"))
        for edge in value["edges"]
    }


def _lineage(application: Application, kind: str, name: str, *options: str) -> dict[str, Any]:
    answer = application.here("lineage", name, "--kind", kind, "--json", *options)
    assert answer.code == 0, answer.err
    return answer.json


def test_every_link_is_what_the_rows_say(turned: Application, raw: duckdb.DuckDBPyConnection):
    expected = _expected(raw)
    first = {pair[0] for pairs in expected.values() for pair in pairs}
    last = {pair[1] for pairs in expected.values() for pair in pairs}
    assert {kind for kind, _ in first - last} == {"log_file", "suite", "model", "prompt"}
    found: Pairs = set()
    for kind, name in first - last:
        found |= _found(_lineage(turned, kind, name, "--down"))
    by_link = {
        link: {pair for pair in found if f"{pair[0][0]} {pair[1][0]}" == link} for link in expected
    }
    assert by_link == expected
    assert found == set().union(*expected.values())
    numbers = {link: len(pairs) for link, pairs in expected.items()}
    assert len(numbers) == 18
    assert numbers["log_file dead_letter"] == numbers["log_file held"] == 1
    assert (numbers["log_file request"], numbers["run run"]) == (25, 3)
    assert numbers["score run"] > 48


def test_a_run_leads_up_to_every_line_that_it_stands_on(
    turned: Application, raw: duckdb.DuckDBPyConnection
):
    (run,) = raw.execute("SELECT max(run_id) FROM verdicts").fetchone()
    up = _lineage(turned, "run", run, "--up")
    files = {node["id"] for node in up["nodes"] if node["kind"] == "log_file"}
    places = raw.execute(
        "SELECT DISTINCT unnest(sources) FROM requests JOIN samples USING (request_id) "
        "JOIN eval_set_samples USING (sample_id) JOIN runs USING (eval_set_digest) "
        "WHERE runs.run_id = ?",
        [run],
    ).fetchall()
    assert files == {place.rpartition(":")[0] for (place,) in places}
    lines = {
        (edge["from"]["id"], f"line {place.rpartition(':')[2]}")
        for (place,) in places
        for edge in up["edges"]
        if place.startswith(edge["from"]["id"] + ":")
    }
    told = {(e["from"]["id"], e["note"]) for e in up["edges"] if e["note"].startswith("line ")}
    assert lines <= told


def test_what_is_found_down_is_found_up_from_its_end(turned: Application):
    down = _lineage(turned, "log_file", str(turned.folder / "logs" / "calls.jsonl"), "--down")
    by_kinds = {(edge["from"]["kind"], edge["to"]["kind"]): edge for edge in down["edges"]}
    assert len(by_kinds) > 10
    for edge in by_kinds.values():
        up = _lineage(turned, edge["to"]["kind"], edge["to"]["id"], "--up", "--depth", "1")
        assert edge in up["edges"]


def test_both_ways_are_told_and_what_is_cut_is_counted(turned: Application):
    answer = turned.here("lineage", "logs/calls.jsonl")
    assert answer.code == 0, answer.err
    up, down = answer.out.split("what stood on it:")
    assert up.startswith("what it came from:\nlog file /")
    assert "nothing in the store" in up
    assert "nothing in the store" not in down
    assert "… and 16 more requests" in answer.out
    assert "request call-0 · route · 2026-11-01 10:00 · line 1" in answer.out
    assert "eval set" in answer.out
    assert "run 2" in answer.out
    lines = answer.out.splitlines()
    assert len(lines) < 250
    assert Counter(line.strip(" │├└─") for line in lines)["… and 16 more requests"] == 1


def test_a_name_may_be_the_beginning_of_an_id_a_file_or_a_release(
    turned: Application, raw: duckdb.DuckDBPyConnection
):
    (digest,) = raw.execute("SELECT eval_set_digest FROM eval_sets").fetchone()
    (sample,) = raw.execute("SELECT min(sample_id) FROM samples").fetchone()
    (prompt,) = raw.execute("SELECT min(prompt_digest) FROM releases").fetchone()
    (release,) = raw.execute(
        "SELECT release_digest FROM releases WHERE name = 'challenger'"
    ).fetchone()
    for said, kind, name in [
        (digest[:10], "eval_set", digest), (sample[:10], "sample", sample),
        (prompt[:10], "prompt", prompt), ("challenger", "release", release),
        ("call-3", "request", "call-3"), ("suites/route.jsonl", "suite", "route"),
    ]:  # fmt: skip
        value = turned.here("lineage", said, "--depth", "1", "--json").json
        assert (value["kind"], value["id"]) == (kind, name), said


def test_what_is_not_known_says_what_could_be(turned: Application):
    answer = turned.here("lineage", "no-such-thing")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    for kind in ("run", "release", "eval set", "sample", "request", "log file", "prompts"):
        assert kind in answer.err
    assert turned.here("lineage", "call-3", "--kind", "sample").code == 2
    assert "log_file" in turned.here("lineage", "call-3", "--kind", "sampel").err
    assert turned.here("lineage", "").code == 2


def test_a_name_of_several_things_lists_them(tmp_path: Path, turned: Application):
    answer = turned.here("lineage", "2", "--depth", "1")
    assert answer.code == 2
    assert "several things are called so" in answer.err
    assert answer.err.count("run 2") >= 2


def test_a_name_of_several_kinds_is_told_by_kind(tmp_path: Path):
    application = Application(tmp_path)
    with Store.open(application.home / "flywheel.duckdb") as store:
        for contract, values in (
            (contracts.SAMPLES, {"sample_id": "s", "suite": "same", "origin": "suite"}),
            (contracts.RELEASES, {"release_digest": "d1", "name": "same"}),
            (contracts.REQUESTS, {"request_id": "same"}),
        ):
            store.insert(contract, [row(contract, **values)])
    answer = application.here("lineage", "same")
    assert answer.code == 2
    for told in ("release same d1", "suite same", "request same", "--kind KIND"):
        assert told in answer.err
    for kind, name in (("suite", "same"), ("release", "d1"), ("request", "same")):
        value = _lineage(application, kind, "same")
        assert (value["kind"], value["id"]) == (kind, name)


def test_text_of_logs_is_shown_and_not_obeyed(turned: Application):
    for options in ([], ["--json"]):
        answer = turned.here("lineage", f"logs/{_HOSTILE_LOG}", *options)
        assert answer.code == 0, answer.err
        assert not any(mark in answer.out for mark in OBEYED)
    shown = turned.here("lineage", f"logs/{_HOSTILE_LOG}").out
    joined = " ".join(line.strip(" │├└─") for line in shown.splitlines())
    assert f"id {SHOWN}[/red]<script>" in joined
    error = turned.here("lineage", f"no {ESC}").err
    assert f"no {SHOWN}" in error
    assert not any(mark in error for mark in OBEYED)
