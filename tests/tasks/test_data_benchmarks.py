"""The data benchmarks take all their steps on a toy."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import drift, growth, ingest, near_duplicates, redaction, small_files, validate
from benchmarks.process_cost import measure
from tasks.privacy.masking import KINDS, Redactor


def report(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.slow
def test_ingest_is_measured_beside_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["ingest", "--calls", "1500", "--spans", "1500", "--repeats", "1", "--out"]
    monkeypatch.setattr(sys, "argv", [*command, str(tmp_path)])
    ingest.main()
    lines = {each["what"]: each for each in report(tmp_path)["lines"]}
    assert lines["ingest"]["value"] > lines["second run over the same file"]["value"] > 0
    assert 20 < lines["ingest, peak memory"]["value"] < 2048


def test_small_files_are_measured_on_two_nights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["small_files", "--files", "40", "--out", str(tmp_path)])
    small_files.main()
    lines = {each["what"]: each["value"] for each in report(tmp_path)["lines"]}
    assert lines["files of one call"] == 40
    assert lines["first night"] > lines["second night"] > 0


@pytest.mark.slow
def test_waves_come_to_the_rows_of_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["growth", "--calls", "2000", "--waves", "2", "--file-calls", "1000", "--at-once"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path)])
    growth.main()
    found = report(tmp_path)
    assert found["counts_as_written"]
    assert found["at_once_as_written"]
    assert found["rows_that_differ"] == {"requests": 0, "quarantine": 0, "dead_letters": 0}
    assert [each["in_store"] for each in found["waves"]] == [1990, 3980]


def test_the_logs_have_their_faults(tmp_path: Path) -> None:
    ingest.write(tmp_path / "a.jsonl", 1000, ingest.canonical, faults=True)
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines()
    assert len(lines) == 1000 + 2 + 1
    assert len(set(lines)) == 1001
    assert 1500 < sum(map(len, lines)) / len(lines) < 2500


def test_children_count_in_the_cost_of_a_piece_of_work() -> None:
    import subprocess

    code = "held = bytearray(100 * 2**20); import time; time.sleep(0.3); sum(range(3_000_000))"
    cost = measure(lambda: subprocess.run([sys.executable, "-c", code], check=True) and None)
    alone = measure(lambda: None)
    assert cost.peak_mib > alone.peak_mib + 90
    assert cost.processor_s > 0.02
    assert cost.seconds >= 0.3


def test_a_miss_and_a_false_alarm_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def record(text: str, *spans: tuple[str, str]) -> dict[str, Any]:
        found = []
        for kind, value in spans:
            start = text.index(value)
            end = start + len(value)
            found.append({"entity_type": kind, "start_position": start, "end_position": end})
        return {"full_text": text, "spans": found}

    records = [
        record("mail a@example.com", ("EMAIL_ADDRESS", "a@example.com"), ("PERSON", "mail")),
        record("mail nobody at all", ("EMAIL_ADDRESS", "nobody at all")),
        record("no label: b@example.com"),
    ]
    path = tmp_path / "labelled.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    (found,) = redaction.compare(records, KINDS, Redactor(KINDS).spans)
    assert (found.num_labels, found.num_found, found.num_spans, found.num_right) == (2, 1, 2, 1)
    command = ["redaction", "--labelled", str(path), "--calls", "5", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    redaction.main()
    assert "| email | 2 | 0.500 | 2 | 0.500 |" in capsys.readouterr().out
    assert set(report(tmp_path)["calls_per_s"]) == {"plain prose", "usual", "labelled texts"}


def test_near_duplicates_are_compared_with_plain_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["near_duplicates", "--texts", "3000", "--out", str(tmp_path)])
    near_duplicates.main()
    found = report(tmp_path)
    assert 50 < found["pairs_alike"] < 300
    assert min(found["recall"], found["precision"]) >= 0.95


def test_what_is_missed_and_what_is_wrong_lowers_recall_and_precision() -> None:
    words = "a b c d e f g h i j k l"
    texts = near_duplicates.Texts([words, words + " m", "n o p q r"], [(0, 1)])
    assert near_duplicates.jaccard(texts.texts[0], texts.texts[1]) == 10 / 11
    right = near_duplicates.compare(texts, [0, 0, 1])
    assert (right.recall, right.precision) == (1.0, 1.0)
    assert near_duplicates.compare(texts, [0, 0, 0]).precision == 1 / 3
    assert near_duplicates.compare(texts, [0, 1, 1]).recall == 0.0


def test_drift_is_counted_where_it_is_and_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = [{"text": f"pay the bill {i} of account {i % 97}"} for i in range(1_200)]
    outside = [{"text": f"does it rain in town {i} on sunday"} for i in range(120)]
    for name, rows in (("in.jsonl", inside), ("out.jsonl", outside)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    files = [
        "--in-scope",
        str(tmp_path / "in.jsonl"),
        "--out-of-scope",
        str(tmp_path / "out.jsonl"),
    ]
    out = tmp_path / "results"
    monkeypatch.setattr(sys, "argv", ["drift", *files, "--repeats", "2", "--out", str(out)])
    drift.main()
    counts = {line["new"]: line["alarms"] for line in report(out)["lines"]}
    assert counts["unchanged"] == counts["ten columns unchanged"] == 0
    assert counts["40% out of scope"] == 2


def test_no_new_text_is_mixed_in_twice() -> None:
    draw = drift.np.random.default_rng(0)
    new = drift.mixed([f"in {i}" for i in range(900)], [f"out {i}" for i in range(100)], 0.2, draw)
    assert len(new) == len(set(new)) == 500
    assert sum(text.startswith("out") for text in new) == 100


def test_validation_finds_what_the_pass_by_hand_and_pandas_find(tmp_path: Path) -> None:
    validate.generate(tmp_path / validate.STORE, 2_000)
    with validate.Store.open(tmp_path / validate.STORE) as store:
        expected = validate.by_hand(store)
        assert validate.ours(store) == validate.judged(store) == expected
        assert sum(count > 0 for count in expected.values()) > 5
        for in_memory in (False, True):
            _, counts = validate.work_on_pandas(store, in_memory=in_memory)
            assert counts == {name: expected[name] for name in counts}
            assert len(counts) > 20
