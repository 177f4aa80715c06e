"""`.ci/run` on machines that have, can install, or lack what `make test-scale` needs of Debian."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

_TOOLS = ("bash", "cp", "dirname", "env", "sleep", "timeout", "true")
_OURS = ("bwrap", "ip", "kubectl", "unshare")


@dataclass(frozen=True, slots=True)
class Machine:
    """Programs that write down how they were called."""

    folder: Path

    def has(self, name: str, script: str = "true") -> None:
        program = self.folder / "bin" / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.folder}/called\n{script}\n')
        program.chmod(0o755)

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.folder / "bin" / name).unlink()

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / ".ci" / "run"], capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": str(self.folder / "bin"), **environment},
        )  # fmt: skip

    def called(self, name: str) -> list[str]:
        lines = (self.folder / "called").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """It has all of it but, where this one has none, PostgreSQL, which counts as there."""
    made = Machine(tmp_path)
    for name in (".ci", "bin", "postgresql/15/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "postgresql/15/bin/postgres").touch()
    text = (REPOSITORY / ".ci" / "run").read_text()
    assert text.count("/usr/lib/postgresql") == 1
    (tmp_path / ".ci/run").write_text(text.replace("/usr/lib", str(tmp_path)))
    (tmp_path / ".ci/run").chmod(0o755)
    for name in _TOOLS:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for name in ("make", *_OURS):
        made.has(name)
    made.has("id", "echo 1000")
    return made


def test_where_all_is_there_both_are_run(machine: Machine) -> None:
    done = machine.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.called("make") == ["make test", "make test-scale"]


def test_it_can_be_left_out(machine: Machine) -> None:
    assert machine.run(CI_SCALE="0").returncode == 0
    assert machine.called("make") == ["make test"]


def test_what_fails_first_is_all_that_is_run(machine: Machine) -> None:
    machine.has("make", "exit 2")
    assert machine.run().returncode == 2
    assert machine.called("make") == ["make test"]


def test_what_is_missing_is_told_and_is_no_failure(machine: Machine) -> None:
    machine.lacks("kubectl", "bwrap")
    machine.has("apt-get")
    done = machine.run()
    assert done.returncode == 0
    assert done.stdout == (
        "ci: make test-scale was NOT run: "
        "not installed: kubectl bubblewrap (apt-get install, as root)\n"
    )
    assert machine.called("make") == ["make test"]
    assert machine.called("apt-get") == []  # it is not root


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.lacks("kubectl", "ip")
    machine.has("id", "echo 0")
    program = """cd "$(dirname "$0")"
    case "$*" in
      *kubernetes-client) cp bwrap kubectl ;;
      *iproute2) cp bwrap ip ;;
      *kubectl) exit 100 ;;
    esac"""
    machine.has("apt-get", program)
    done = machine.run()
    assert done.returncode == 0
    assert done.stdout == "ci: installing kubectl\nci: installing iproute2\n"
    assert machine.called("make") == ["make test", "make test-scale"]


def test_where_nothing_can_be_installed_it_is_told(machine: Machine) -> None:
    machine.lacks("kubectl", "ip")
    machine.has("id", "echo 0")
    machine.has("apt-get", "sleep 30")  # no network
    done = machine.run(INSTALL_LIMIT="0.2s")
    assert done.returncode == 0
    assert "was NOT run: not installed: kubectl iproute2" in done.stdout


@pytest.mark.parametrize(
    ("program", "told"),
    [("bwrap", "bubblewrap may not make a sandbox"), ("unshare", "no network namespace")],
)
def test_where_namespaces_are_forbidden_it_is_told(
    machine: Machine, program: str, told: str
) -> None:
    machine.has(program, "exit 1")
    done = machine.run()
    assert (done.returncode, told in done.stdout) == (0, True)
    assert machine.called("make") == ["make test"]


def test_a_failure_and_a_hang_of_the_second_fail(machine: Machine) -> None:
    machine.has("make", '[ "$1" = test ] || exit 2')
    assert machine.run().returncode == 2
    machine.has("make", '[ "$1" = test ] || exec sleep 60')
    done = machine.run(SCALE_LIMIT="0.5s")
    assert done.returncode == 1
    assert "ci: make test-scale did not end within 0.5s: failed" in done.stdout
