"""What becomes of a flow run that was cut off, by the state that it was left in."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from filelock import FileLock
from prefect.exceptions import Pause
from prefect.states import Cancelling, Completed, Crashed, Pending, Running, State, Suspended

import flows.cut_off
from flows.cut_off import MAX_STARTS, marked_alive, take_up
from tasks.settings import Settings


class Server:
    """A Prefect server with one flow run."""

    def __init__(self, state: State[Any], run_count: int = 1) -> None:
        self.id, self.state, self.run_count = uuid4(), state, run_count
        self.told: list[str] = []

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read_flow_run(self, run_id: UUID) -> Server:
        return self

    def set_flow_run_state(self, run_id: UUID, state: State[Any]) -> None:
        self.told.append(str(state.name))


def _left(home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(flows.cut_off, "get_client", lambda **_: server)
    file = home / "flow-runs" / f"{server.id}.lock"
    file.parent.mkdir()
    file.touch()
    return file


@pytest.mark.parametrize(
    ("state", "count", "told"),
    [
        (Running(), 1, ["Crashed", "AwaitingRetry"]),
        (Pending(), 1, ["Crashed", "AwaitingRetry"]),
        (Crashed(), 1, ["AwaitingRetry"]),
        (Suspended(timeout_seconds=60), 1, ["Crashed", "AwaitingRetry"]),
        (Running(), MAX_STARTS, ["Crashed"]),
        (Cancelling(), 1, ["Cancelled"]),
        (Completed(), 1, []),
    ],
)
def test_it_is_started_again_where_it_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State[Any], count: int, told: list[str]
):
    server = Server(state, count)
    file = _left(tmp_path, server, monkeypatch)
    assert take_up(Settings(home=str(tmp_path))) == ([server.id] if "AwaitingRetry" in told else [])
    assert server.told == told
    assert not file.exists()


def test_one_that_lives_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server = Server(Running())
    with FileLock(_left(tmp_path, server, monkeypatch)):
        assert take_up(Settings(home=str(tmp_path))) == []
    assert server.told == []


@pytest.mark.parametrize(
    ("stopped_by", "is_left"),
    [(None, False), (ValueError, False), (Pause, False), (SystemExit, True)],
)
def test_only_what_is_stopped_from_outside_leaves_its_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_by: type[BaseException] | None,
    is_left: bool,
):
    monkeypatch.setattr(flows.cut_off.flow_run, "get_id", lambda: "one")
    with suppress(BaseException), marked_alive(Settings(home=str(tmp_path))):
        if stopped_by:
            raise stopped_by
    assert (tmp_path / "flow-runs" / "one.lock").exists() is is_left
