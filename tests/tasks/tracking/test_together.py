from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tasks.record.task import record
from tasks.run import Run
from tasks.tracking.session import open_session
from tasks.tracking.together import together
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.turns import fill, make_run


class Session:
    def __init__(self) -> None:
        self.autoflush = True
        self.num_flushed = 0

    def flush(self, objects: Any = None) -> None:
        self.num_flushed += 1


class DatabaseStore:
    """As MLflow's: a session of its own for every call, and one more to ask for the experiment."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.num_asked = 0
        self.ManagedSessionMaker = self._sessions

    @contextmanager
    def _sessions(self, read_only: bool = True) -> Iterator[Session]:
        self.sessions.append(Session())
        yield self.sessions[-1]

    def get_experiment(self, experiment_id: str) -> str:
        self.num_asked += 1
        with self.ManagedSessionMaker():
            return f"experiment {experiment_id}"

    def fail(self) -> None:
        with self.ManagedSessionMaker(read_only=False):
            raise OSError("the disk is full")

    def write(self) -> str:
        with self.ManagedSessionMaker(read_only=False) as session:
            session.flush()
            return self.get_experiment("1")


def test_what_is_written_together_shares_a_session():
    store = DatabaseStore()
    with together(store):
        assert {store.write() for _ in range(5)} == {"experiment 1"}
    (session,) = store.sessions
    assert (session.num_flushed, store.num_asked) == (0, 1)
    session.flush()
    assert session.num_flushed == 1


def test_afterwards_the_store_is_as_it_was_even_where_it_failed():
    store = DatabaseStore()
    with pytest.raises(OSError, match="full"), together(store):
        store.fail()
    store.write()
    store.write()
    assert (len(store.sessions), store.num_asked) == (5, 2)
    assert [session.num_flushed for session in store.sessions] == [0, 1, 0, 1, 0]


def test_a_server_has_no_such_door():
    with together(object()):
        pass


def test_a_hundred_rows_are_a_few_transactions_of_mlflow(tmp_path: Path):
    """MLflow's own store would commit four times as often as there are rows."""
    run: Run = make_run(home_with_mlflow(tmp_path))
    fill(run, num_samples=24)
    commits: list[Any] = []

    def count(connection: Any) -> None:
        commits.append(connection)

    with open_session(run.settings) as session:
        engine = session.tracing.store.engine
    sqlalchemy.event.listen(engine, "commit", count)
    try:
        record(run)
    finally:
        sqlalchemy.event.remove(engine, "commit", count)
    with closing(engine.raw_connection()) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (48,)
    assert len(commits) < 150, "with a session for each row there are twice as many"
