"""What `flywheel deploy` makes of prefect.yaml for a pool; against a real server:
test_deployment.py and tests/deploy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.commands.deploy import (
    Changes,
    _changed,
    _Pool,
    _read_template,
    _read_variables,
    register,
)
from tasks.errors import UsageError


def _recipe(folder: Path, *deployments: dict[str, Any]) -> Path:
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "deployments": list(deployments)}))
    return path


def test_the_recipe_of_up_names_the_command_and_that_of_deploy_does_not(tmp_path: Path):
    own = {"name": "own", "work_pool": {"name": "p", "job_variables": {"command": "mine"}}}
    recipe = _recipe(tmp_path, {"name": "ours"}, own)
    with _changed(recipe, Changes()) as file:
        assert file == recipe
    with _changed(recipe, Changes(command="python -m prefect.engine")) as file:
        ours, mine = yaml.safe_load(file.read_text())["deployments"]
    assert ours["work_pool"]["job_variables"] == {"command": "python -m prefect.engine"}
    assert mine == own


def test_deployments_of_another_pool_have_job_variables_and_no_folder(tmp_path: Path):
    pool = {"job_variables": {"working_dir": "/here"}}
    schedules = [{"cron": "0 2 * * *", "timezone": zone} for zone in ("UTC", "Asia/Tokyo")]
    recipe = _recipe(
        tmp_path,
        {"name": "nightly", "work_pool": pool, "schedules": schedules},
        {"name": "hourly", "work_pool": pool, "schedules": [{"interval": 60}]},
    )
    variables = {"": {"image": "flywheel:1"}, "nightly": {"gpus": 1}}
    changes = Changes(timezone="Europe/Berlin", has_folder=False, variables=variables)
    with _changed(recipe, changes) as file:
        nightly, hourly = yaml.safe_load(file.read_text())["deployments"]
    assert nightly["work_pool"]["job_variables"] == {"image": "flywheel:1", "gpus": 1}
    assert hourly["work_pool"]["job_variables"] == {"image": "flywheel:1"}
    zones = [schedule["timezone"] for schedule in nightly["schedules"]]
    assert zones == ["Europe/Berlin", "Asia/Tokyo"]
    assert hourly["schedules"] == [{"interval": 60, "timezone": "Europe/Berlin"}]
    with (
        pytest.raises(UsageError, match="no such deployment"),
        _changed(recipe, Changes(variables={"weekly": {}})),
    ):
        pass


_KUBERNETES = _Pool(
    "kubernetes", {"properties": {"image": {"type": "string"}, "gpus": {"type": "integer"}}}
)


def test_job_variables_are_those_of_the_template_and_of_its_types():
    given = ("image=registry:5000/a=b", "nightly.gpus=2", "noise.weekly.gpus=0")
    assert _read_variables(given, _KUBERNETES) == {
        "": {"image": "registry:5000/a=b"},
        "nightly": {"gpus": 2},
        "noise.weekly": {"gpus": 0},
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpu=1", "no job variable 'gpu': did you mean 'gpus'?"),
        ("gpus=many", "not a whole number"),
        ("gpus", r"allowed: \[DEPLOYMENT.\]NAME=VALUE"),
    ],
)
def test_a_job_variable_that_is_none_is_one_clear_line(given: str, said: str):
    with pytest.raises(UsageError) as refused:
        _read_variables((given,), _KUBERNETES)
    assert re.search(said, refused.value.line())


@pytest.mark.parametrize("text", ["- a", "{job_configuration: {}}", "a: b: c", None])
def test_a_file_that_is_no_job_template_is_refused(tmp_path: Path, text: str | None):
    file = tmp_path / "template.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match="job template"):
        _read_template(file)


def test_a_time_zone_that_is_none_is_refused_before_anything_is_asked():
    with pytest.raises(UsageError, match="no such time zone"):
        register("flywheel", config=None, timezone="Europe/Nowhere")
