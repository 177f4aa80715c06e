"""A process with little address space (ulimit -v) leaves it to those who use it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

_OPEN_A_STORE = """
import sys
from pathlib import Path
from tasks.store import Store
import pyarrow as pa, pyarrow.compute
with Store.open(Path(sys.argv[1])) as store:
    pyarrow.compute.invert(pa.array([True] * 100_000))
    taken = Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0]
print(int(taken) // 1024)
"""


def taken_mib(folder: Path, most_bytes: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_A_STORE, str(folder / "s.duckdb")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return int(done.stdout)


def test_an_open_store_takes_little_of_a_limited_address_space(tmp_path: Path) -> None:
    assert taken_mib(tmp_path, 3 * 2**30) < 800
