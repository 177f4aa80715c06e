"""Some seconds of coverage-guided fuzzing of each parser, where atheris is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.logs import formats
from tests.conftest import REPOSITORY, SHARED
from tests.tasks.ingest.test_realdata import FILES
from tests.tasks.logs.test_fuzz import SEEDS
from tests.tasks.logs.test_fuzz_realdata import records_of

pytestmark = pytest.mark.needs("atheris")

#: what the fuzzer found, each mended since; what such bytes mean depends on the samples they change
BROKE = (
    # of the real OTLP spans it makes an array whose values are a number
    bytes.fromhex("300a9f0a2a00199f9f9f9f2e3f0192ffffffffffffff31"),
)


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("broke", BROKE)
def test_what_once_broke_a_parser_does_not_break_any(name: str, broke: bytes):
    from tests.tasks.logs.fuzz_with_atheris import one_input

    format, seeds = SEEDS[name]
    assert isinstance(format, formats.Format)
    one_input(broke, format, seeds)


@pytest.mark.realdata
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("broke", BROKE)
def test_what_once_broke_a_parser_does_not_break_it_on_real_logs(
    name: str, broke: bytes, shared: Path
):
    from tests.tasks.logs.fuzz_with_atheris import one_input

    format = formats.by_name(FILES[name][0])
    assert isinstance(format, formats.Format)
    one_input(broke, format, records_of(shared / "log_formats" / name))


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_a_parser_survives_what_reaches_new_code(name: str, tmp_path: Path):
    """Starts from our own records and, where they are at hand, real ones."""
    samples = list(SEEDS[name][1])
    for file, (format_name, *_) in FILES.items():
        if format_name == name and SHARED.is_dir():
            samples += records_of(SHARED / "log_formats" / file)
    samples_file = tmp_path / "samples.jsonl"
    samples_file.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    module = "tests.tasks.logs.fuzz_with_atheris"
    limits = ("-max_total_time=8", "-max_len=4096", "-rss_limit_mb=4096")
    # a shell between: a process begins with the peak of memory of who started it, and libFuzzer
    # would take that of this one, which has run other tests, for its own
    done = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-W", "ignore", "-m", module, name,
         str(samples_file), *limits, f"-artifact_prefix={tmp_path}/"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "DONE" in done.stderr
