"""`flywheel show` on a store with one decided run."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from flows.samples import print_sample
from tasks.model.answer import Answer, JudgedSample
from tasks.model.sample import Sample
from tests.flows.application import Answer as Said
from tests.flows.application import Application
from tests.tasks.record.turns import RUN_ID, fill, make_run


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("show")
    fill(make_run(folder / ".flywheel"))
    return Application(folder)


def test_answers_are_shown_for_people_scripts_spreadsheets_and_browsers(app: Application):
    shown = app.here("show", "--suite", "orders", "--lost", "--limit", "2")
    assert shown.code == 0, shown.err
    for said in (f"{RUN_ID}: candidate against prod", "1 of 5 · orders · lost", "[-A-1001-]",
                 "{+I cannot say 1.", "exact_match@1: compared", "3 more: --limit 5"):  # fmt: skip
        assert said in shown.out, said
    assert "\x1b" not in shown.out
    told = app.here("show", RUN_ID[:12], "--changed", "--json").json
    assert (told["num_selected"], told["outcomes"]["lost"], len(told["samples"])) == (11, 10, 11)
    lines = [json.loads(line) for line in app.here("show", "--jsonl").out.splitlines()]
    assert len(lines) == 40
    rows = list(csv.DictReader(io.StringIO(app.call("show", "--csv").out)))
    assert [row["sample_id"] for row in rows] == [line["sample_id"] for line in lines]
    page = app.folder / "lost.html"
    written = app.here("show", "--lost", "--html", "lost.html")
    assert page.as_uri() in written.out
    assert page.read_text().count('<details class="sample"') == 10


def test_a_history_read_in_part_is_told_with_its_answers(tmp_path: Path):
    run = make_run(tmp_path / ".flywheel")
    fill(run)
    groups = [{"kind": "unjudged", "task": "route", "num_calls": 90, "num_read": 9, "chance": 0.1}]
    reading = {"num_calls": 90, "num_read": 9, "groups": groups}
    with run.open_store() as store:
        store.execute(
            "UPDATE run_stages SET receipt = json_merge_patch(receipt, ?) WHERE stage = 'curate'",
            [json.dumps({"notes": {"reading": reading}})],
        )
    app = Application(tmp_path)
    told = "9 of 90 calls of the history were read"
    assert told in app.here("show", "--limit", "1").out
    assert app.here("show", "--limit", "1", "--json").json["reading"] == reading


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--suite", "oders"), "did you mean 'orders'?"),
        (("--slice", "task=order"), "did you mean 'orders'?"),
        (("nothing",), "no such run"),
        (("--csv", "--json"), "only one way"),
        (("--html", "not/there.html"), "in a folder that is there"),
        (("--challenger", "prod2"), "no such challenger"),
    ],
)
def test_what_cannot_be_shown_is_a_line(app: Application, asked: tuple[str, ...], told: str):
    answer = app.here("show", *asked)
    assert answer.code == 2
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1


def test_nothing_that_matches_is_no_error(app: Application):
    answer = app.here("show", "--won")
    assert answer.code == 0
    assert "no such sample" in answer.out


def test_it_reads_while_another_process_writes(app: Application):
    holds = (
        "import sys, pathlib; from tasks.store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1])) as store:\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(app.home / "flywheel.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=app.environment(),
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        answer: Said = app.call("show", "--lost", "--limit", "1")
        writer.communicate("")
    assert answer.code == 0, answer.err
    assert "1 of 10" in answer.out


def _item() -> JudgedSample:
    sample = Sample(
        "5" * 64, "route\x1b", None, ({"role": "user", "content": "[red]why\x1b[31m " * 300},),
        None, "\u202ebilling", "gold", "suite", {"k": "v\x9b"}, must_pass=True,
    )  # fmt: skip
    right = Answer(1.0, text="billing\x1b]0;owned\x07", scorer="exact@1", explanation="[bold]\x7f")
    lost = Answer(0.0, text="x" * 5_000, finish_reason="length", explanation="", scorer="exact@1")
    return JudgedSample(sample, {"champion": (right,), "challenger": (lost,)})


@pytest.mark.parametrize("width", [24, 80, 200])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_of_data_is_obeyed_and_the_width_is_kept(width: int, is_terminal: bool):
    out = io.StringIO()
    screen = Console(
        file=out, width=width, highlight=False, force_terminal=is_terminal, no_color=True
    )
    print_sample(screen, _item(), "1 of 1")
    shown = out.getvalue()
    assert not any(mark in shown for mark in ("\x9b", "\x7f", "\u202e", "\x07", "\x1b]"))
    assert ("\x1b" in shown) == is_terminal
    assert all(len(line.rstrip()) <= width or is_terminal for line in shown.splitlines())
    if width == 200:
        for said in (
            "[red]why\\x1b[31m",
            "3,800 characters more",
            "cut by max_tokens",
            "must pass",
        ):
            assert said in shown, said


def test_pages_are_for_their_owner_alone(app: Application, tmp_path: Path):
    target = tmp_path / "page.html"
    app.here("show", "--html", str(target))
    assert target.stat().st_mode & 0o077 == 0
