"""A store goes from one machine to shared services and back, and every table is equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tasks.errors import UsageError
from tasks.settings import Settings
from tasks.store.opening import open_store
from tasks.store.shared.moving import from_shared, to_shared
from tests.services import put_key
from tests.tasks.store.shared.rows import change, content

Machine = Callable[[str], Settings]


def test_there_and_back_every_table_is_equal(machine: Machine, tmp_path: Path):
    # the folder of a machine that worked alone becomes that of one among several
    home, alone = tmp_path / "a", Settings(home=str(tmp_path / "a"))
    put_key(home)
    for number in range(3):
        with open_store(alone) as store:
            change(store, f"run-{number}")
    before = content(alone)
    a, b = machine("a"), machine("b")
    done = to_shared(home, a)
    assert done.is_new
    assert done.num_rows["runs"] == 3
    assert done.kept is not None
    assert done.kept.is_file()
    assert content(a) == content(b) == before
    back = tmp_path / "back"
    assert from_shared(b, back).is_new
    again = Settings(home=str(back))
    assert content(again) == before
    assert (back / "pseudonym.key").read_bytes() == (home / "pseudonym.key").read_bytes()
    with duckdb.connect(str(back / "flywheel.duckdb"), read_only=True) as connection:
        tables = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
    assert not [name for name in tables if name.startswith("working")]
    # once more is no error where it is equal, and one where it is not
    assert not to_shared(back, a).is_new
    assert not from_shared(a, back).is_new
    with open_store(again) as store:
        change(store, "another")
    with pytest.raises(UsageError, match="holds other rows"):
        to_shared(back, a)
    with pytest.raises(UsageError, match="holds other rows"):
        from_shared(a, back)
    with pytest.raises(UsageError, match="a working copy"):
        to_shared(home, a)
