"""The examples of docs/ci by the schemas of those who run them, and by what our commands know."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from flows.cli import app
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "ci"


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / name).read_text())


@pytest.mark.needs("check_jsonschema")
@pytest.mark.parametrize(
    ("example", "schema"),
    [("github-actions.yml", "github-workflows.json"), ("gitlab-ci.yml", "gitlab-ci.json")],
)
def test_an_example_follows_the_schema_of_its_server(example: str, schema: str):
    place = files("check_jsonschema").joinpath("builtin_schemas", "vendor", schema)
    value = read(example)
    if True in value:  # YAML 1.1 takes the key `on` for a truth value
        value["on"] = value.pop(True)
    checked = json.loads(place.read_text())
    jsonschema.validate(value, checked)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, "jobs": 1, "verdict": 1}, checked)


@pytest.mark.parametrize("example", ["github-actions.yml", "gitlab-ci.yml"])
def test_every_command_of_an_example_is_one_of_ours(example: str):
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"flywheel ([a-z-]+)(.*)$", (EXAMPLES / example).read_text(), re.MULTILINE)
    called = [(name, options) for name, options in lines if name in commands]
    assert {name for name, _ in called} == {"check", "run"}
    for name, options in called:
        known = {flag for parameter in commands[name].params for flag in parameter.opts}
        assert set(re.findall(r"--[a-z]+", options)) <= known


def test_the_store_is_kept_whatever_the_verdict():
    steps = read("github-actions.yml")["jobs"]["verdict"]["steps"]
    (save,) = [step for step in steps if "cache/save" in step.get("uses", "")]
    (restore,) = [
        step for step in steps if step.get("uses", "").startswith("actions/cache/restore")
    ]
    assert save["if"] == "always()"
    assert save["with"]["path"] == restore["with"]["path"] == ".flywheel"
    stores = [cache for cache in read("gitlab-ci.yml")["verdict"]["cache"] if "when" in cache]
    assert stores == [{"key": "flywheel", "paths": [".flywheel/"], "when": "always"}]
