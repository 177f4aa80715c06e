"""Kill -9 of a real ingest at random moments. All fifty of them: `benchmarks.killed_ingest`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.killed_ingest import state, try_moments


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_the_store_is_the_same(tmp_path: Path) -> None:
    # the large files are parsed by several processes, the small ones taken in twenty at a time
    _, kills = try_moments(tmp_path, 2_000, 3, min_bytes=0)
    assert len(kills) == 3
    assert [kill for kill in kills if not kill.same] == []
    tables = state(tmp_path / "undisturbed")
    assert tables["landing"][0] > 2_000
    assert all(tables[name][0] > 0 for name in ("feedback", "dead_letters", "sources"))
    assert tables["met_again"][0] == 0
