"""A run, traced for connections: none but loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.application import Application

_CONNECT = re.compile(r"connect\(\d+, \{sa_family=AF_INET6?,.*?(?:inet_addr|inet_pton)\((.*?)\)")
_ADDRESS = re.compile(r'"([0-9a-fA-F.:]+)"')


def addresses(trace: str) -> set[str]:
    reached = set()
    for line in trace.splitlines():
        if match := _CONNECT.search(line):
            reached.update(_ADDRESS.findall(match.group(1)))
    return reached


def test_trace_reader_sees_both_families():
    trace = (
        'connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16)\n'
        "connect(6, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1\n'
        'connect(7, {sa_family=AF_UNIX, sun_path="/run/x"}, 16)\n'
    )
    assert addresses(trace) == {"10.0.0.2", "2001:db8::1"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inline", "prefect"])
def test_a_run_opens_no_connection_but_loopback(
    mode: str, application: Application, tmp_path: Path
):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    arguments = ["run", "--json", *(["--inline"] if mode == "inline" else [])]
    strace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "-o", str(trace)]
    done = subprocess.run(
        [*strace, sys.executable, "-W", "ignore", "-m", "flows", *arguments],
        cwd=application.folder,
        env=application.environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if "ptrace" in done.stderr and not done.stdout:
        pytest.skip("tracing is not allowed here")
    assert done.returncode in (0, 1), done.stderr[-2000:]
    reached = addresses(trace.read_text())
    assert reached <= {"127.0.0.1", "::1"}
    if mode == "prefect":
        assert reached, "the trace saw nothing of Prefect's own server"
