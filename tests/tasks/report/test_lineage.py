"""Where a turn comes from, in steps, as the page shows it."""

from __future__ import annotations

import re
from dataclasses import replace

from tasks.model.lineage import Key
from tasks.model.receipt import Receipt
from tasks.model.turn import LogFile
from tasks.report import page
from tasks.report.lineage import label, steps
from tasks.run import Run
from tests.tasks.record.stores import read
from tests.tasks.record.turns import HOSTILE


def test_the_steps_tell_logs_held_rows_set_releases_and_verdict(decided: Run):
    turn = read(decided)
    left_out = Receipt("curate", "set", 42, 40, quarantined=2)  # samples, and no calls
    turn = replace(
        turn,
        eval_set=replace(turn.eval_set, parent_digest="f" * 64),
        receipts=(*turn.receipts, left_out),
    )
    logs, held, eval_set, releases, verdict = steps(turn)
    assert [step.title for step in (logs, held, eval_set, releases, verdict)] == [
        "log files", "held back", "eval set", "releases", "verdict",
    ]  # fmt: skip
    assert logs.lines == ((f"{turn.log_files[0].path}: 40 rows", turn.log_files[0].digest),)
    assert held.lines == (("dead letters: 5", ""), ("quarantined calls: 3", ""))
    assert eval_set.lines == (
        ("40 samples", turn.eval_set.digest), ("it replaced", "f" * 64),
    )  # fmt: skip
    digests = [digest for _, digest in releases.lines]
    for release in turn.releases.values():
        assert {release.digest, release.model_digest, release.prompt_digest} <= set(digests)
    assert verdict.lines[0][0] == "worse, 2026-11-24 16:07 UTC"


def test_many_files_are_counted_and_runs_of_others_have_results(decided: Run):
    turn = read(decided)
    files = tuple(LogFile(f"/l{n}", f"{n}", "canonical", n, True) for n in range(9))
    logs, *_ = steps(replace(turn, log_files=files))
    assert (len(logs.lines), logs.num_more) == (4, 5)
    assert "none" in steps(replace(turn, log_files=()))[0].lines[0][0]
    of_others = replace(turn, request={**turn.request, "command": "judge-runs"})
    assert [step.title for step in steps(of_others)] == [
        "results", "eval set", "releases", "verdict",
    ]  # fmt: skip
    assert "flywheel lineage" in page.render(turn, None)
    assert "flywheel lineage" not in page.render(of_others, None)


def test_the_page_shows_every_step_and_obeys_no_text(decided: Run):
    turn = read(decided)
    file = LogFile(f"/logs/{HOSTILE}\x1b", "d" * 64, "canonical", 3, True)
    html = page.render(replace(turn, log_files=(file,)), None)
    (drawn,) = re.findall(r'<ol class="card chain".*?</ol>', html, re.DOTALL)
    assert drawn.count("<li>") == 5
    assert "d" * 64 in drawn
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "\\x1b" in drawn


def test_what_the_store_has_no_row_of_is_said():
    assert label(Key("log_file", "/gone.jsonl"), {}) == "log file /gone.jsonl · not in the store"
    assert label(Key("run", "r"), {}).endswith("not in the store")
