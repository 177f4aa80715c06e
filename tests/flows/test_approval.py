"""A night that may ship asks, and what becomes of the answer (on a server: test_faults.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import flows.approval
import flows.moved
from flows.approval import Answer, answered, ask_for, close_unanswered
from flows.turn import Outcome, outcome
from tasks.model.audit import AuditRow, chained
from tasks.model.reuse import PairVerdict
from tasks.releases.approval import ASK, REFUSE, UNANSWERED, asking, is_new, is_over, open_asks
from tasks.releases.promotion import PROMOTE, ROLLBACK
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tests.flows.application import Application
from tests.flows.promoting import change, decide, rows, write_application

AT = datetime(2026, 11, 30, 3)  # noqa: DTZ001 - the store keeps UTC without a zone
FLOW_RUN = "11111111-2222-3333-4444-555555555555"
AUDIT = 'SELECT "by", action, subject, details FROM audit ORDER BY seq'


# when it is asked


def _verdict(verdict: str = "better", challenger: str = "c") -> PairVerdict:
    return PairVerdict(f"run of {verdict}", verdict, "a", challenger, AT)


def _row(action: str, details: dict[str, Any], before: AuditRow | None = None) -> AuditRow:
    return chained(before, at=AT, by="x", action=action, subject="next", details=details)


ASKED = _row(ASK, asking(_verdict(), FLOW_RUN, AT, 12))


def test_the_same_verdict_on_the_same_two_releases_is_asked_once():
    assert is_new([], _verdict())
    assert not is_new([ASKED], _verdict())
    refused = _row(REFUSE, {"run_id": "run of better"}, ASKED)
    assert not is_new([ASKED, refused], _verdict())
    assert is_new([ASKED, refused], _verdict("no_worse"))
    assert is_new([ASKED, refused], _verdict(challenger="d"))


@pytest.mark.parametrize("move", [PROMOTE, ROLLBACK])
def test_a_move_of_the_champion_makes_everything_new_and_answers_all(move: str):
    moved = _row(move, {}, ASKED)
    assert is_new([ASKED, moved], _verdict())
    assert open_asks([ASKED]) == [ASKED]
    assert open_asks([ASKED, moved]) == []


@pytest.mark.parametrize("action", [REFUSE, UNANSWERED])
def test_an_answer_is_to_the_question_of_its_run(action: str):
    other = _row(ASK, asking(_verdict("no_worse"), FLOW_RUN, AT, 12), ASKED)
    assert open_asks([ASKED, other, _row(action, {"run_id": "run of better"}, other)]) == [other]


def test_a_question_is_open_for_as_long_as_is_set():
    assert not is_over(ASKED, AT + timedelta(hours=11, minutes=59))
    assert is_over(ASKED, AT + timedelta(hours=12))


# what becomes of it


class _SuspendedError(BaseException):
    """As Prefect leaves a flow run that waits."""


@dataclass
class Server:
    """What the flow run sees of Prefect: an answer, where somebody gave one, and states."""

    answer: Answer | None = None
    asked: str = ""
    timeout: int = 0
    state: Any = None

    def suspend(self, *, wait_for_input: Any, timeout: int, key: str) -> Answer:
        self.asked, self.timeout = wait_for_input._description, timeout
        if self.answer is None:
            raise _SuspendedError
        return self.answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(flows.approval, "suspend_flow_run", made.suspend)
    monkeypatch.setattr(flows.approval.flow_run, "get_id", lambda: FLOW_RUN)
    monkeypatch.setattr(flows.approval, "deployment", type("D", (), {"id": "one"}))
    monkeypatch.setattr(flows.moved, "_bring_in_line", lambda settings: "")
    return made


@pytest.fixture
def made(tmp_path: Path) -> Application:
    return write_application(tmp_path, more='\n[promotion]\napproval = "prefect"\n')


def settings_of(application: Application) -> Settings:
    return read_settings(str(application.folder / "flywheel.toml"), {})


def turned(application: Application, run_id: str) -> Outcome:
    with Store.open(settings_of(application).store_path, read_only=True) as store:
        return outcome(store, run_id)


def ask(application: Application, run_id: str) -> None:
    with pytest.raises(_SuspendedError):
        ask_for(settings_of(application), turned(application, run_id))


def test_yes_promotes_with_who_and_why_in_the_audit(made: Application, server: Server):
    run_id = decide(made)
    assert answered(settings_of(made)) is None, "it has asked nothing yet"
    ask(made, run_id)
    assert "## Promote next over now?" in server.asked
    assert "BETTER: the challenger may ship" in server.asked
    assert 11.9 * 3600 < server.timeout <= 12 * 3600
    with pytest.raises(_SuspendedError):  # started again without an answer: it goes on waiting
        answered(settings_of(made))
    assert [row[1] for row in rows(made, AUDIT)] == ["ask"]
    server.answer = Answer(approve=True, by="Ada", why="looked at ten losses")
    state = answered(settings_of(made))
    assert state is not None
    assert (state.name, state.message) == ("Promoted: better", "next, by Ada: looked at ten losses")
    asked, moved, _ = rows(made, AUDIT)
    assert asked[:3] == ["nightly", "ask", "next"]
    assert moved[:3] == ["Ada", "promote", "next"]
    assert '"why":"looked at ten losses"' in moved[3]
    assert f'"how":"flow run {FLOW_RUN}"' in moved[3]
    assert made.here("audit", "verify").code == 0
    assert "looked at ten losses" in made.here("audit", "list").out
    assert answered(settings_of(made)) is None


def test_no_promotes_nothing_and_is_not_asked_again(made: Application, server: Server):
    ask(made, decide(made))
    server.answer = Answer(approve=False, by="Ada", why="wrong queue")
    state = answered(settings_of(made))
    assert state is not None
    assert (state.name, state.message) == ("Refused: better", "by Ada: wrong queue")
    assert [row[:2] for row in rows(made, AUDIT)] == [["nightly", "ask"], ["Ada", "refuse"]]
    ask_for(settings_of(made), turned(made, decide(made, hours=24)))  # the next night: no question
    server.answer = None
    ask(made, decide(made, "no_worse", hours=48))
    assert rows(made, "SELECT count(*) FROM aliases") == [[0]]


@pytest.mark.parametrize("verdict", ["worse", "cannot_tell", "blocked"])
def test_what_may_not_ship_is_not_asked(made: Application, server: Server, verdict: str):
    ask_for(settings_of(made), turned(made, decide(made, verdict)))
    assert rows(made, AUDIT) == []


def test_the_rules_hold_at_the_time_of_the_answer(made: Application, server: Server):
    ask(made, decide(made))
    decide(made, "worse", hours=24)
    server.answer = Answer(approve=True, by="Ada", why="go")
    state = answered(settings_of(made))
    assert state is not None
    assert state.name == "Held: better"
    assert "judged the same two releases later: worse" in str(state.message)
    assert [row[1] for row in rows(made, AUDIT)] == ["ask", "refuse"]


class _Client:
    """A Prefect server with one flow run."""

    def __init__(self, state: Any) -> None:
        self.state, self.told = state, None

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read_flow_run(self, run_id: UUID) -> Any:
        assert str(run_id) == FLOW_RUN
        return self

    def set_flow_run_state(self, run_id: UUID, state: Any, *, force: bool) -> None:
        self.told = (state.name, force)


def _paused() -> Any:
    from prefect.states import Suspended

    return Suspended(timeout_seconds=60)


def _failed() -> Any:
    from prefect.states import Failed

    return Failed(message="The flow was paused and never resumed.")


def test_silence_promotes_nothing_and_says_so(
    made: Application, server: Server, monkeypatch: pytest.MonkeyPatch
):
    ask(made, decide(made))
    client = _Client(_paused())
    monkeypatch.setattr(flows.approval, "get_client", lambda **_: client)
    close_unanswered(settings_of(made))  # there still is time
    assert [row[1] for row in rows(made, AUDIT)] == ["ask"]
    monkeypatch.setattr(flows.approval, "is_over", lambda ask, now: True)
    client.state = _failed()
    close_unanswered(settings_of(made))
    assert client.told == ("Unanswered: better", True)
    _, closed = rows(made, AUDIT)
    assert closed[:3] == ["nightly", "unanswered", "next"]
    assert "nothing is promoted" in closed[3]
    close_unanswered(settings_of(made))
    assert len(rows(made, AUDIT)) == 2


def test_an_answer_that_waits_for_its_worker_is_no_silence(
    made: Application, server: Server, monkeypatch: pytest.MonkeyPatch
):
    from prefect.states import Scheduled

    ask(made, decide(made))
    client = _Client(Scheduled(name="Resuming"))
    monkeypatch.setattr(flows.approval, "get_client", lambda **_: client)
    monkeypatch.setattr(flows.approval, "is_over", lambda ask, now: True)
    close_unanswered(settings_of(made))
    assert [row[1] for row in rows(made, AUDIT)] == ["ask"]


def test_a_form_without_a_name_or_a_reason_is_none():
    for wrong in ({"by": "", "why": "x"}, {"by": "Ada", "why": ""}, {"by": "../Ada", "why": "x"}):
        with pytest.raises(ValueError, match=r"string|pattern"):
            Answer(approve=True, **wrong)
    assert Answer(by="Zoë Müller", why="x").approve is False


# by MLflow's alias


@pytest.fixture
def in_mlflow(tmp_path: Path) -> Application:
    """next is champion and now previous, in the store and in MLflow."""
    from tests.mlflow_home import home_with_mlflow

    made = write_application(tmp_path, more='\n[promotion]\napproval = "mlflow"\n')
    home_with_mlflow(made.home)
    decide(made)
    assert made.here("promote").code == 0
    return made


def _client(application: Application) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{application.home}/mlflow.db")


def _version_of(application: Application, release: str) -> Any:
    found = _client(application).search_model_versions("name = 'flywheel-release'")
    (version,) = [one for one in found if one.tags["flywheel.release"] == release]
    return version


def _move(application: Application, release: str) -> None:
    version = _version_of(application, release).version
    _client(application).set_registered_model_alias("flywheel-release", "champion", version)


def _pointed(application: Application) -> str:
    client = _client(application)
    version = client.get_registered_model("flywheel-release").aliases["champion"]
    return str(client.get_model_version("flywheel-release", version).tags["flywheel.release"])


def test_the_alias_moved_in_mlflow_is_a_request_by_the_same_rules(in_mlflow: Application):
    made = in_mlflow
    nothing = made.here("promote", "--from-mlflow")
    assert (nothing.code, nothing.out) == (
        0, "the alias champion in MLflow asks for nothing new\n",
    )  # fmt: skip
    _move(made, "now")  # never judged as a challenger
    refused = made.here("promote", "--from-mlflow")
    assert refused.code == 1
    assert "held: now is not promoted, and the alias is moved back: no run has judged it" in (
        refused.out
    )
    assert _pointed(made) == "next"
    assert _version_of(made, "now").tags["flywheel.refused"] == "no run has judged it"
    decide(made, {"now": "worse"}, champion="next", hours=1)
    _move(made, "now")
    assert "the verdict is worse" in made.here("promote", "--from-mlflow", "--json").json["why"]
    assert _pointed(made) == "next"
    run_id = decide(made, {"now": "no_worse"}, champion="next", hours=2)
    _move(made, "now")
    told = made.here("promote", "--from-mlflow", "--by", "ada", "--json").json
    assert (told["moved"], told["run_id"], told["by"]) == (True, run_id, "ada")
    assert told["champion"]["release"] == "now"
    assert _pointed(made) == "now"
    actions = [row[:3] for row in rows(made, AUDIT)]
    assert actions[2:] == [
        ["mlflow", "refuse", "now"], ["mlflow", "refuse", "now"],
        ["ada", "promote", "now"], ["ada", "told", "mlflow"],
    ]  # fmt: skip
    assert made.here("audit", "verify").code == 0


def test_an_alias_that_has_not_followed_yet_asks_for_nothing(in_mlflow: Application):
    made = in_mlflow
    change(made, "DELETE FROM audit WHERE action = 'told'")
    _move(made, "now")
    assert "asks for nothing new" in made.here("promote", "--from-mlflow").out
    assert _pointed(made) == "now"


def test_from_mlflow_names_the_release_by_itself(made: Application):
    wrong = made.here("promote", "--from-mlflow", "--challenger", "next")
    assert (wrong.code, "--from-mlflow alone" in wrong.err) == (2, True)
