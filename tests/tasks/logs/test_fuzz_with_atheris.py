"""Some seconds of coverage-guided fuzzing of each parser, where atheris is installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tasks.logs.test_fuzz import SEEDS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_a_parser_survives_what_reaches_new_code(name: str, tmp_path: Path):
    _, seeds = SEEDS[name]
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(seed) + "\n" for seed in seeds))
    module = "tests.tasks.logs.fuzz_with_atheris"
    limits = ("-max_total_time=8", "-max_len=4096", "-rss_limit_mb=4096")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, name, str(samples), *limits],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "DONE" in done.stderr
