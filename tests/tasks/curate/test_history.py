"""A history that is longer than what is read of it: which calls are read, and what is told of it.

The reference is a plain loop over all calls with hashlib's md5.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import FEEDBACK, REQUESTS
from tasks.curate.history import MAX_TASKS, History, chances, rarest_first, read_history
from tasks.curate.sessions import numbered
from tasks.curate.task import curate
from tasks.model.logged_call import NO_OPINION, Signal, opinion_of
from tasks.model.reading import JUDGED, UNJUDGED, WRITTEN, Part, Reading
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.report.intake import read_in_part
from tasks.run import Run
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals.history import divided
from tasks.store.evals.logged_calls import read_questions
from tasks.store.evals.samples import find_eval_set

_NOW = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def _rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Sessions of one to six calls, calls without one, an application with 150 under one id, a task
    with 12 calls."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    session = 0
    while len(rows) < count:
        session += 1
        size = draw.randint(1, 6)
        for _ in range(size):
            number = len(rows)
            name = None if size == 1 else "bot" if 200 <= number < 350 else f"s{session}"
            task = "rare" if number % 100 == 7 else draw.choice(["route", "route", "mood", None])
            rows.append(_row(number, task, name, "" if number % 40 else "[]"))
    return rows[:count]


def _row(number: int, task: str | None, session: str | None, messages: str = "") -> dict[str, Any]:
    asked = [{"role": "user", "content": f"question {number % 311} of many"}]
    return {
        "request_id": f"q{number}", "started_at": _NOW + timedelta(minutes=number),
        "prompt_name": task, "session_id": session, "status": "ok",
        "messages": messages or json.dumps(asked),
        "response": json.dumps({"role": "assistant", "content": f"answer {number}"}),
        "sources": ["a.jsonl:1"], "format": "canonical", "content_digest": "d", "run_id": "r",
        "ingested_at": _NOW,
    }  # fmt: skip


def _said(numbers: Iterable[int], **what: Any) -> list[dict[str, Any]]:
    return [
        {"feedback_id": f"{what['kind']}{n}", "request_id": f"q{n}", "source": "a", "run_id": "r",
         **what}
        for n in numbers
    ]  # fmt: skip


#: what people said of _rows(1200)
_FEEDBACK = [
    *_said(range(0, 1200, 90), kind="correction", corrected="right"),
    *_said(range(5, 1200, 200), kind="audit", corrected="right"),
    *_said(range(3, 1200, 50), kind="thumbs", value=1.0),
    *_said(range(4, 1200, 60), kind="rating", value=3.0),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _settings(tmp_path, 300)


def _settings(folder: Path, max_calls: int, **more: Any) -> Settings:
    values = {"home": "state", "suites": {"route": {}}, "curate": {"max_calls": max_calls}, **more}
    return parse_settings(values, base=str(folder))


def _store(settings: Settings, rows: list[dict[str, Any]]) -> None:
    with Store.open(settings.store_path) as store:
        store.insert(REQUESTS, rows)
        store.insert(FEEDBACK, _FEEDBACK)


def _read(settings: Settings, seed: int = 0, part: Part = Part()) -> History:  # noqa: B008
    with Store.open(settings.store_path, read_only=True) as store:
        return read_history(store, settings, seed, part)


def _groups(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """(kind, task) → session or call → its request ids."""
    kind_of = {f["request_id"]: JUDGED for f in _FEEDBACK if f["kind"] == "thumbs"}
    kind_of |= {f["request_id"]: WRITTEN for f in _FEEDBACK if f.get("corrected")}
    order = (WRITTEN, JUDGED, UNJUDGED)
    sizes = Counter(row["session_id"] for row in rows)
    tasks = Counter(row["prompt_name"] or "(none)" for row in rows)
    units: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        whole = row["session_id"] is not None and sizes[row["session_id"]] <= 100
        name = f"session\n{row['session_id']}" if whole else f"call\n{row['request_id']}"
        units[name].append(row)
    groups: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
    for unit, members in units.items():
        ids = [row["request_id"] for row in members]
        kind = min((kind_of.get(one, UNJUDGED) for one in ids), key=order.index)
        task = min((row["prompt_name"] or "(none)" for row in members), key=tasks.__getitem__)
        groups[kind, task][unit] = ids
    return groups


def _equal(places: float, sizes: dict[Any, int]) -> dict[Any, float]:
    """Water filled into vessels of these sizes."""
    left, given = places, dict.fromkeys(sizes, 0.0)
    for place, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        given[name] = min(sizes[name], left / (len(sizes) - place))
        left -= given[name]
    return given


@pytest.mark.parametrize("seed", range(3))
def test_a_plain_loop_with_md5_reads_the_same_calls(settings: Settings, seed: int) -> None:
    rows = _rows(1200)
    _store(settings, rows)
    history = _read(settings, seed)
    reading = history.reading
    groups = _groups(rows)
    assert {(g.kind, g.task) for g in reading.groups} == groups.keys()
    expected = {}
    for group in reading.groups:
        units = groups[group.kind, group.task]
        drawn = [
            unit
            for unit in units
            if int.from_bytes(hashlib.md5(f"{seed}\n{unit}".encode()).digest()[8:], "little")
            < group.chance * 2**64
        ]
        assert group.num_calls == sum(map(len, units.values()))
        assert group.num_read == sum(len(units[unit]) for unit in drawn)
        expected |= {one: 1 / group.chance for unit in drawn for one in units[unit]}
    unreadable = {row["request_id"] for row in rows if row["messages"] == "[]"}
    assert {call.request_id: call.stands_for for call in history.calls} == {
        one: weight for one, weight in expected.items() if one not in unreadable
    }
    assert reading.num_read == len(expected)
    assert reading.num_calls == 1200
    assert 150 < len(expected) < 450


def test_places_are_filled_like_vessels() -> None:
    counts = {(0, 0): 3, (0, 1): 40, (1, 1): 500, (2, 0): 10, (2, 1): 9_000, (2, 2): 90_000}
    kinds = _equal(1_000, {0: 43, 1: 500, 2: 99_010})
    found = chances(counts, 1_000)
    for (kind, task), number in counts.items():
        own = {t: n for (k, t), n in counts.items() if k == kind}
        assert found[kind, task] * number == pytest.approx(_equal(kinds[kind], own)[task], abs=1)
    assert min(chances(dict.fromkeys([(0, t) for t in range(50)], 10), 7).values()) == 0.1


def test_tasks_of_suites_have_places_of_their_own_and_the_rarest_comes_first() -> None:
    counts = {f"t{n}": 10 + n for n in range(2 * MAX_TASKS)} | {"declared": 1, "": 5}
    named = rarest_first(counts, {"declared", "absent"})
    assert named == ["declared", *(f"t{n}" for n in range(MAX_TASKS + 1, 2 * MAX_TASKS))]


def test_what_people_said_and_what_is_asked_seldom_is_read_whole(settings: Settings) -> None:
    rows = _rows(1200)
    _store(settings, rows)
    groups = {(g.kind, g.task): g for g in _read(settings).reading.groups}
    assert groups[WRITTEN, "rare"].chance == groups[JUDGED, "rare"].chance == 1
    assert groups[UNJUDGED, "rare"].chance == 1
    assert {g.chance for (kind, _), g in groups.items() if kind == WRITTEN} == {1.0}
    rare = {row["request_id"] for row in rows if row["prompt_name"] == "rare"}
    assert all(g.num_read == g.num_calls for g in groups.values() if g.chance == 1)
    assert groups[UNJUDGED, "route"].chance < 0.5
    read = {call.request_id for call in _read(settings).calls}
    apart = {row["request_id"] for row in rows if row["session_id"] == "bot"}
    assert rare - apart <= read


def test_sessions_are_whole_and_an_application_is_read_call_by_call(settings: Settings) -> None:
    rows = _rows(1200)
    _store(settings, rows)
    history = _read(settings)
    read = {call.request_id for call in history.calls}
    of_session = defaultdict(set)
    for row in rows:
        if row["session_id"] is not None and row["messages"] != "[]":
            of_session[row["session_id"]].add(row["request_id"])
    parts = {name: len(ids & read) / len(ids) for name, ids in of_session.items()}
    bot = parts.pop("bot")
    assert 0 < bot < 1
    assert set(parts.values()) == {0.0, 1.0}
    assert history.apart == {"bot"}
    # of which nobody knows which step a call is
    steps = {c.session_id: c.step for c in numbered(history.calls, {"route"}, history.apart)
             if c.task == "route"}  # fmt: skip
    assert steps["bot"] is None
    assert any(step is not None for step in steps.values())


def test_the_choice_is_nested_and_hangs_on_no_order(tmp_path: Path) -> None:
    rows = _rows(1200)
    read = {}
    for name, order in (("one", rows), ("other", random.Random(1).sample(rows, len(rows)))):
        (tmp_path / name).mkdir()
        _store(_settings(tmp_path / name, 300), order)
        for most in (200, 300, 600):
            history = _read(_settings(tmp_path / name, most))
            read[name, most] = [(call.request_id, call.stands_for) for call in history.calls]
    ids = {key: {request_id for request_id, _ in calls} for key, calls in read.items()}
    assert read["one", 300] == read["other", 300]
    assert ids["one", 200] < ids["one", 300] < ids["one", 600]
    assert ids["one", 300] != {
        c.request_id for c in _read(_settings(tmp_path / "one", 300), 1).calls
    }


def test_feedback_that_lets_a_call_be_read_first_is_what_an_opinion_is_made_of(
    settings: Settings,
) -> None:
    signals = [
        Signal("f", kind, value, corrected)
        for kind in ("thumbs", "rating", "incident", "correction", "audit", "comment")
        for value in (None, 1.0, -1.0)
        for corrected in (None, "", "  ", "right")
    ]
    with Store.open(settings.store_path) as store:
        store.insert(REQUESTS, [_row(n, "route", None) for n in range(len(signals))])
        store.insert(FEEDBACK, [
            {"feedback_id": str(n), "request_id": f"q{n}", "kind": signal.kind,
             "value": signal.value, "corrected": signal.corrected, "source": "a", "run_id": "r"}
            for n, signal in enumerate(signals)
        ])  # fmt: skip
        with divided(store, ["route"], "", Part()):
            kinds = dict(store.rows(
                "SELECT request_id, kind FROM divided_calls "
                "JOIN requests ON row_id = requests.rowid"
            ))  # fmt: skip
        read = {call.request_id: call.opinion for call in read_questions(store)}
    for number, signal in enumerate(signals):
        opinion = opinion_of([signal])
        assert read[f"q{number}"] == opinion
        assert (kinds[f"q{number}"] == 0) == opinion.is_written
        assert kinds[f"q{number}"] < 2 or opinion == NO_OPINION


def test_a_history_of_no_more_calls_is_read_whole_as_ever(tmp_path: Path) -> None:
    rows = _rows(1200)
    receipts = {}
    for most in (0, 1200, 100_000):
        folder = tmp_path / str(most)
        folder.mkdir()
        settings = _settings(folder, most)
        _store(settings, rows)
        history = _read(settings)
        assert history.reading == Reading(1200, 1200)
        assert {call.stands_for for call in history.calls} == {1.0}
        receipts[most] = _curated(settings)
    keys = {receipt.key for receipt in receipts.values()}
    # the digest that the code had which read everything
    assert keys == {"d42bb3e7adaaf470f9260729deb91438070fd24af3a2f2d8c69ba9832aa6ad5d"}
    assert receipts[0].notes == receipts[1200].notes == receipts[100_000].notes
    assert receipts[0].notes["not_sampled"] == 0
    assert "reading" not in receipts[0].notes


def _curated(settings: Settings) -> Receipt:
    run = Run("run-1", RunRequest(seed=3), settings, clock=lambda: _NOW)
    with run.open_store() as store:
        ledger.begin_run(store, run.run_id, "{}", "digest", _NOW)
    return curate(run)


def test_a_set_from_a_history_read_in_part_says_so_and_its_counts_add_up(
    settings: Settings,
) -> None:
    rows = _rows(1200)
    _store(settings, rows)
    receipt = _curated(settings)
    notes = receipt.notes
    reading = notes["reading"]
    num_read = reading["num_read"]
    assert reading["num_calls"] == 1200
    assert notes["not_sampled"] == 1200 - num_read > 600
    candidates = num_read - notes["not_replayable"] - notes["errors_without_target"]
    assert receipt.rows_in == candidates
    with Store.open(settings.store_path) as store:
        stored = find_eval_set(store, receipt.key)
    assert stored is not None
    assert stored.rule["reading"] == reading
    frame = [stratum for stratum in stored.rule["frame"] if stratum["suite"] == "route"]
    assert {stratum["stratum"] for stratum in frame} == {"failed", "liked", "unjudged"}
    of_route = sum(row["prompt_name"] == "route" and row["messages"] != "[]" for row in rows)
    assert sum(stratum["num_calls"] for stratum in frame) == pytest.approx(of_route, rel=0.2)
    told = read_in_part(reading)
    assert told.startswith(f"{num_read:,} of 1,200 calls of the history were read")
    assert "(chance 1)" in told


def test_only_a_task_or_the_last_days_are_read(settings: Settings) -> None:
    rows = _rows(1200)
    _store(settings, rows)
    since = _NOW + timedelta(minutes=1100)
    assert {c.task for c in _read(settings, part=Part(task="mood")).calls} == {"mood"}
    late = _read(settings, part=Part(since=since))
    assert late.reading == Reading(99, 99)
    assert all(call.started_at is not None and call.started_at > since for call in late.calls)
    before = _read(settings, part=Part(until=since))
    assert before.reading.num_calls == 1100
