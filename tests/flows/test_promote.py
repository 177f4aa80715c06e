"""`flywheel promote`, `rollback` and `audit` as they are typed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flows.moved
import flows.turn
from flows.commands import promote as promoting
from flows.options import Options
from flows.turn import request_from
from tasks.errors import StoreUnreachableError, UsageError
from tasks.settings import read_settings
from tests.flows.application import Application
from tests.flows.promoting import change, decide, rows, write_application
from tests.mlflow_home import home_with_mlflow

ALIASES = "SELECT alias, release, release_digest, run_id FROM aliases ORDER BY alias"
AUDIT = (
    'SELECT seq, "at", "by", action, subject, details, previous_hash, hash FROM audit ORDER BY seq'
)


@pytest.fixture
def made(tmp_path: Path) -> Application:
    return write_application(tmp_path)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow, which takes seconds to import, hears nothing and is content."""
    monkeypatch.setattr(flows.moved, "_bring_in_line", lambda settings: "")


def digest_of(application: Application, name: str) -> str:
    ((digest,),) = rows(application, f"SELECT release_digest FROM releases WHERE name = '{name}'")
    return digest


def settings_of(application: Application) -> Any:
    return read_settings(str(application.folder / "flywheel.toml"), {})


def asked(application: Application, *stages: str, **options: Any) -> str:
    request = request_from(settings_of(application), Options(**options), stages or ("evaluate",))
    return request.champion


# what is moved


def test_a_verdict_that_ships_is_promoted_once(made: Application, deaf: None):
    run_id = decide(made)
    assert asked(made) == "now"
    first = made.here("promote", "--by", "ada", "--json")
    assert first.code == 0, first.err
    told = first.json
    digests = {name: digest_of(made, name) for name in ("now", "next")}
    assert (told["moved"], told["action"], told["by"]) == (True, "promote", "ada")
    assert told["champion"] == {"release": "next", "digest": digests["next"]}
    assert told["previous"] == {"release": "now", "digest": digests["now"]}
    assert rows(made, ALIASES) == [
        ["champion", "next", digests["next"], run_id], ["previous", "now", digests["now"], None],
    ]  # fmt: skip
    moved, heard = rows(made, AUDIT)
    assert (moved[2:5], heard[2:5]) == (["ada", "promote", "next"], ["ada", "told", "mlflow"])
    assert moved[7] == told["audit"]
    again = made.here("promote", "--by", "bob")
    assert again.code == 0
    assert "next is champion already, since " in again.out
    assert len(rows(made, AUDIT)) == 2


def test_from_then_on_it_is_the_champion_of_every_command(made: Application, deaf: None):
    decide(made)
    made.here("promote")
    for stage in ("evaluate", "plan", "noise", "gate"):
        assert asked(made, stage) == "next"
    assert asked(made, "ingest") == "now"  # which asks no release, so the store is not opened
    assert asked(made, champion="other") == "other"
    told = made.here("check", "--json").json
    assert told["success"]
    assert len(told["cautions"]) == 2
    assert "names champion 'now', and 'next' was promoted" in told["cautions"][0]
    assert "held against itself" in told["cautions"][1]
    settings = made.folder / "flywheel.toml"
    settings.write_text(settings.read_text().replace('"now"', '"next"', 1)
                        .replace('challenger = "next"', ""))  # fmt: skip
    assert made.here("check", "--json").json["cautions"] == []
    (made.folder / "next.md").write_text("Something else.")
    (changed,) = made.here("check", "--json").json["cautions"]
    assert "release 'next' changed without promotion: prompt" in changed
    settings.write_text(settings.read_text().replace("releases.next", "releases.later")
                        .replace('champion = "next"', ""))  # fmt: skip
    with pytest.raises(UsageError, match="'next' was promoted, and "):
        asked(made)
    answer = made.here("check", "--json")
    assert answer.code == 2
    assert "does not declare it any more" in answer.json["problems"][0]["message"]
    assert asked(made, champion="later") == "later"


def test_what_may_not_be_promoted_is_held_with_its_reason(made: Application, deaf: None):
    assert made.here("promote").code == 2  # no run
    run_id = decide(made, "worse")
    held = made.here("promote")
    assert held.code == 1
    assert "held: next is not promoted" in held.out
    assert "the verdict is worse, and only better or no worse is promoted" in held.out
    told = made.here("promote", run_id, "--json")
    assert (told.code, told.json["moved"]) == (1, False)
    assert [one["yields_to_override"] for one in told.json["reasons"]] == [True]
    decide(made, hours=1)
    (made.folder / "next.md").write_text("Changed since.")
    assert "is not what it was in the run: prompt changed since" in made.here("promote").out
    assert rows(made, ALIASES) == rows(made, AUDIT) == []
    (made.folder / "now.md").write_text("Changed since.")
    assert "about another champion" in made.here("promote").out
    unknown = made.here("promote", "--challenger", "nobody")
    assert (unknown.code, "judged no such challenger" in unknown.err) == (2, True)


def test_one_of_several_challengers_is_named(made: Application, deaf: None):
    decide(made, {"next": "worse", "other": "no_worse"})
    assert made.here("promote").code == 1
    assert made.here("promote", "--challenger", "other", "--json").json["champion"][
        "release"
    ] == "other"  # fmt: skip


def test_nobody_has_said_which_release_is_in_production(tmp_path: Path, deaf: None):
    made = write_application(tmp_path, begins="")
    decide(made)
    answer = made.here("promote")
    assert answer.code == 2
    assert "nobody has said which release is in production" in answer.err


def test_an_override_has_a_reason_and_a_last_day_and_is_asked_for_later(
    made: Application, deaf: None, monkeypatch: pytest.MonkeyPatch
):
    decide(made, "cannot_tell")
    for said in (
        ("--override", "it leaks"), ("--expires", "2999-01-01"),
        ("--override", " ", "--expires", "2999-01-01"),
        ("--override", "it leaks", "--expires", "2001-01-01"),
        ("--override", "it leaks", "--expires", "soon"),
    ):  # fmt: skip
        assert made.here("promote", *said).code == 2, said
    assert made.here("promote", "--by", "../x").code == 2
    told = made.here("promote", "--override", "it leaks", "--expires", "2999-01-01",
                     FLYWHEEL_USER="eve")  # fmt: skip
    assert told.code == 0, told.err
    assert "moved by eve on override until 2999-01-01 against verdict cannot tell" in told.out
    (moved, _) = rows(made, AUDIT)
    override = json.loads(moved[5])["override"]
    assert (override["reason"], override["expires"]) == ("it leaks", "2999-01-01")
    assert "the verdict is cannot tell" in override["against"][0]
    # a day after its last
    expired = moved[5].replace("2999-01-01", "2026-11-01")
    change(made, f"UPDATE audit SET details = '{expired}' WHERE seq = 1")
    for command in (("check",), ("release", "list")):
        cautions = made.here(*command, "--json").json["cautions"]
        assert any("override of eve that ended on 2026-11-01 (it leaks)" in one for one in cautions)


def test_a_rollback_brings_the_one_before_back(made: Application, deaf: None):
    nothing = made.here("rollback")
    assert (nothing.code, "no release to go back to" in nothing.err) == (2, True)
    run_id = decide(made)
    made.here("promote")
    back = made.here("rollback", "--why", "it leaks", "--by", "bob")
    assert back.code == 0, back.err
    assert "champion: now (" in back.out
    assert asked(made) == "now"
    digests = {name: digest_of(made, name) for name in ("now", "next")}
    assert rows(made, ALIASES) == [
        ["champion", "now", digests["now"], None], ["previous", "next", digests["next"], run_id],
    ]  # fmt: skip
    held = made.here("promote")
    assert held.code == 1
    assert "was rolled back after that verdict, by bob on" in held.out
    assert made.here("rollback", "--json").json["champion"]["release"] == "next"
    listed = made.here("audit", "list", "--json").json["rows"]
    told = [row["action"] for row in listed]
    assert told == ["promote", "told", "rollback", "told", "rollback", "told"]
    assert listed[2]["details"]["why"] == "it leaks"
    assert made.here("audit", "verify").code == 0


# two at once


_QUIETLY = (
    "import flows.moved\n"
    "flows.moved._bring_in_line = lambda settings: ''\n"
    "from flows.__main__ import main\n"
    "main()"
)


def start(application: Application, code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], cwd=application.folder,
        env=application.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(made: Application):
    runs = [decide(made, {name: "better"}, hours=n) for n, name in enumerate(("next", "other"))]
    processes = [start(made, _QUIETLY, "promote", run_id) for run_id in runs]
    said = [process.communicate(timeout=60) for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1], said
    winner, loser = ("next", "other") if codes[0] == 0 else ("other", "next")
    assert f"about another champion: run {runs[codes.index(1)]} held '{loser}'" in said[
        codes.index(1)
    ][0]  # fmt: skip
    (champion, previous) = rows(made, ALIASES)
    assert (champion[1], previous[1]) == (winner, "now")
    assert [row[3] for row in rows(made, AUDIT)] == ["promote", "told"]
    assert made.here("audit", "verify").code == 0


def test_of_two_rollbacks_at_once_the_second_does_not_undo_the_first(
    made: Application, deaf: None, monkeypatch: pytest.MonkeyPatch
):
    decide(made)
    made.here("promote")
    settings = settings_of(made)
    looked_at = promoting.aliases_at(settings)
    assert made.here("rollback").code == 0
    with monkeypatch.context() as patch:  # as it was when the second looked
        patch.setattr(promoting, "aliases_at", lambda settings: looked_at)
        second = made.here("rollback")
    assert second.code == 1
    assert "the champion was moved meanwhile" in second.err
    assert asked(made) == "now"


# who hears of it


def test_a_run_at_work_does_not_keep_the_champion_from_being_moved(made: Application, deaf: None):
    decide(made)
    with flows.turn.hold_home(made.home):
        assert made.here("promote").code == 0


@pytest.fixture
def with_mlflow(made: Application) -> Application:
    home_with_mlflow(made.home)
    return made


def pointed(application: Application) -> dict[str, str]:
    """Alias → release, as MLflow's client has it."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{application.home}/mlflow.db")
    aliases = client.get_registered_model("flywheel-release").aliases
    return {
        alias: client.get_model_version("flywheel-release", version).tags["flywheel.release"]
        for alias, version in aliases.items()
    }


def test_mlflow_follows_and_hears_later_what_a_kill_or_its_absence_kept_from_it(
    with_mlflow: Application, monkeypatch: pytest.MonkeyPatch
):
    made = with_mlflow
    decide(made)
    dies = _QUIETLY.replace("lambda settings: ''", "lambda settings: os.kill(os.getpid(), 9)")
    with start(made, f"import os\n{dies}", "promote") as killed:
        killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [row[3] for row in rows(made, AUDIT)] == ["promote"]
    assert asked(made) == "next"  # it was committed
    told = made.here("promote", "--json").json
    assert (told["moved"], told["told"]) == (False, [{"subject": "mlflow", "why_not": ""}])
    assert pointed(made) == {"champion": "next", "previous": "now"}
    # away, and the move stands
    away = StoreUnreachableError("MLflow's store does not answer")

    def fail(*_: Any) -> None:
        raise away

    import tasks.tracking.aliases

    with monkeypatch.context() as patch:
        patch.setattr(tasks.tracking.aliases, "bring_in_line", fail)
        back = made.here("rollback")
    assert back.code == 0
    assert "caution: mlflow was not told: MLflow's store does not answer" in back.out
    assert (asked(made), pointed(made)["champion"]) == ("now", "next")
    *_, moved, untold = rows(made, AUDIT)
    assert (untold[3], untold[4], json.loads(untold[5])["of"]) == ("untold", "mlflow", moved[7])
    decide(made, {"now": "no_worse"}, hours=2)
    assert "now is champion already" in made.here("promote").out
    assert pointed(made) == {"champion": "now", "previous": "next"}
    with flows.turn.hold_home(made.home):  # a run, which is the one to write to MLflow
        assert "another flywheel run is at work" in made.here("rollback").out
    assert (asked(made), pointed(made)["champion"]) == ("next", "now")
    assert made.here("audit", "verify").code == 0


def test_a_command_hears_of_it_and_its_failure_undoes_nothing(tmp_path: Path, deaf: None):
    code = "import pathlib, sys; pathlib.Path('heard').write_text(sys.stdin.read()); sys.exit(4)"
    more = f"\n[promotion]\ncommand = {json.dumps([sys.executable, '-c', code])}\n"
    made = write_application(tmp_path, more=more)
    run_id = decide(made)
    told = made.here("promote")
    assert told.code == 0
    assert "caution: command was not told" in told.out
    heard = json.loads((tmp_path / "heard").read_text())
    ((*_, key),) = rows(made, f"{AUDIT} LIMIT 1")
    assert heard["schema"] == "flywheel/promotion/1"
    assert (heard["event"], heard["run_id"], heard["audit"]) == ("promote", run_id, key)
    assert heard["champion"] == {"release": "next", "digest": digest_of(made, "next")}
    assert [row[3:5] for row in rows(made, AUDIT)] == [
        ["promote", "next"], ["untold", "command"], ["told", "mlflow"],
    ]  # fmt: skip
    (tmp_path / "heard").unlink()
    assert "caution: command was not told" in made.here("promote").out
    assert json.loads((tmp_path / "heard").read_text()) == heard, "under the same key"


# the audit


def independent(row: list[Any]) -> str:
    """A row's hash by hashlib and json, of what DuckDB has."""
    names = ("seq", "at", "by", "action", "subject", "details", "previous_hash")
    value = dict(zip(names, row[:7], strict=True))
    value |= {"at": row[1].isoformat(), "details": json.loads(row[5])}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_audit_is_a_chain_and_names_the_row_that_breaks_it(made: Application, deaf: None):
    empty = made.here("audit", "verify", "--json")
    assert (empty.code, empty.json["num_rows"]) == (0, 0)
    decide(made)
    made.here("promote", "--by", "Zoë")
    made.here("rollback", "--why", "„leaks“ \U0001f525")
    made.here("rollback")
    kept = rows(made, AUDIT)
    assert [row[7] for row in kept] == [independent(row) for row in kept]
    assert [row[6] for row in kept] == ["", *(row[7] for row in kept[:-1])]
    holds = made.here("audit", "verify", "--json")
    assert (holds.code, holds.json["holds"], holds.json["head"]) == (0, True, kept[-1][7])
    head = holds.json["head"]
    assert made.here("audit", "verify", "--head", head).out == f"holds: 6 rows, head {head}\n"
    assert made.here("audit", "verify", "--head", "0" * 64).code == 1
    mutations = {
        3: "UPDATE audit SET \"by\" = 'nobody' WHERE seq = 3",
        2: 'UPDATE audit SET "at" = "at" + INTERVAL 1 SECOND WHERE seq = 2',
        5: "DELETE FROM audit WHERE seq = 5",
        4: "UPDATE audit SET details = '{}' WHERE seq = 4",
        1: "UPDATE audit SET previous_hash = 'x' WHERE seq = 1",
        6: "UPDATE audit SET action = 'promote' WHERE seq = 6",
    }
    file = made.home / "flywheel.duckdb"
    whole = file.read_bytes()
    for seq, sql in mutations.items():
        change(made, sql)
        answer = made.here("audit", "verify", "--json")
        assert (answer.code, answer.json["first_fault"]["row"]) == (1, seq), sql
        file.write_bytes(whole)
    change(made, mutations[4])
    assert "does not hold: row 4: it is not what was written" in made.here("audit", "verify").out
    assert made.here("audit", "list").code == 0
    file.write_bytes(whole)
    # rows taken off the end are seen by the head that was noted
    change(made, "DELETE FROM audit WHERE seq = 6")
    assert made.here("audit", "verify").code == 0
    cut = made.here("audit", "verify", "--head", head)
    assert (cut.code, "rows were taken off or written anew" in cut.out) == (1, True)
    change(made, "DELETE FROM audit WHERE seq >= 5")
    assert "the alias champion is not what row 3 says" in made.here("audit", "verify").out
    file.write_bytes(whole)
    change(made, "UPDATE aliases SET release_digest = 'x' WHERE alias = 'champion'")
    assert "the alias champion is not what row 5 says" in made.here("audit", "verify").out
