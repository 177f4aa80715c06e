"""The Dockerfile, read: what it copies is there and let through, what it installs is declared, and
its user, folders and variables are those that the manifests count on."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.deploy.node import image_variables
from tests.deploy.rendered import render

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def steps() -> list[tuple[str, str]]:
    """(instruction, its arguments in one line), without comments."""
    lines = (REPOSITORY / "deploy" / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in found]


def copied() -> list[str]:
    """Sources of COPY that come from the repository."""
    copies = [rest.split() for name, rest in steps() if name == "COPY"]
    return [word for words in copies if "--from=build" not in words for word in words[:-1]]


def test_what_is_copied_is_there_and_passes_dockerignore():
    let_through = [
        line[1:]
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert sorted(copied()) == sorted(let_through)
    assert all((REPOSITORY / name).exists() for name in let_through)
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(copied())
    assert not any(fnmatch("tests", name) or fnmatch("data", name) for name in let_through)


def test_extras_and_the_version_of_torch_are_those_of_the_project():
    arguments = dict(rest.partition("=")[::2] for name, rest in steps() if name == "ARG")
    assert set(arguments["EXTRAS"].split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert "kubernetes" in arguments["EXTRAS"]
    assert arguments["TORCH"] == "cpu"
    constraints = (REPOSITORY / "constraints.txt").read_text()
    assert len(re.findall(r"^torch==[\d.]+$", constraints, re.MULTILINE)) == 1


def test_nothing_but_the_environment_reaches_the_image_and_no_cache_is_left():
    last = max(at for at, (name, _) in enumerate(steps()) if name == "FROM")
    final = steps()[last:]
    assert [rest for name, rest in final if name == "COPY"] == [
        "--from=build /opt/flywheel /opt/flywheel"
    ]
    for name, rest in steps():
        if name == "RUN" and "pip install" in rest:
            assert "--no-cache-dir" in rest
            assert "-c constraints.txt" in rest
            assert rest.startswith("--mount=type=secret,id=pip,target=/etc/pip.conf")
        if name == "RUN" and "apt-get" in rest:
            assert rest.endswith("rm -rf /var/lib/apt/lists/*")


def test_user_and_folders_are_those_of_the_manifests(tmp_path: Path):
    ran = " ".join(rest for name, rest in steps() if name == "RUN")
    (user,) = [rest for name, rest in steps() if name == "USER"]
    uid, gid = user.split(":")
    assert f"useradd --uid {uid} --gid {gid}" in ran
    variables = image_variables()
    site = render(tmp_path)
    for name, pod in site.pods():
        who = pod["spec"]["securityContext"]
        assert (who["runAsUser"], who["runAsGroup"]) == (int(uid), int(gid)), name
    turn = dict(site.pods())["turn"]["spec"]["containers"][0]
    mounted = {mount["mountPath"] for mount in turn["volumeMounts"]}
    assert variables["FLYWHEEL_CONFIG"] in mounted
    for name in ("FLYWHEEL_HOME", "HF_HOME"):
        assert variables[name] in mounted
        assert variables[name] in ran
    for name in ("HOME", "PREFECT_HOME", "MPLCONFIGDIR"):
        assert f"{variables[name]}/".startswith("/tmp/"), name


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD"])
def test_what_it_starts_with_is_a_list_so_that_no_shell_stands_before_a_signal(name: str):
    (rest,) = [rest for instruction, rest in steps() if instruction == name]
    assert rest.startswith("[")
