"""From a log file to the prompt of a release and back, with nothing but an MLflow client."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from expectations.contracts import SOURCES
from tasks.model.turn import LogFile
from tasks.record.task import record
from tasks.run import Run
from tasks.store import Store
from tasks.tracking import datasets
from tests.tasks.record.stores import client, read, runs


@pytest.fixture
def with_log(small: Run) -> Path:
    """A log file that is there, in the place of the one that the store was filled with."""
    path = small.settings.home_path / "logs" / "day <1>.jsonl"
    path.parent.mkdir()
    path.write_text('{"request_id": "req-1"}\n')
    with Store.open(small.settings.store_path) as store:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        store.execute(f"UPDATE {SOURCES.name} SET digest = ?", [content])
    return path


def test_the_whole_chain_is_followed_with_a_client_alone(small: Run, with_log: Path):
    record(small)
    mlflow = client(small.settings)
    parent = next(run for run in runs(small.settings) if "mlflow.parentRunId" not in run.data.tags)
    by_context = {
        one.tags[0].value: one.dataset
        for one in mlflow.get_run(parent.info.run_id).inputs.dataset_inputs
    }
    # the log file, by its bytes
    log = by_context["logs"]
    content = hashlib.sha256(with_log.read_bytes()).hexdigest()
    assert log.digest == content[:36]
    assert json.loads(log.source) == {"path": str(with_log), "sha256": content}
    assert json.loads(log.profile)["rows_out"] == 12
    # the eval set, whole in the store that its source names
    evaluated = by_context["evaluation"]
    source = json.loads(evaluated.source)
    assert source["eval_set_digest"][:36] == evaluated.digest
    assert Path(source["store"]).is_file()
    # the run's children, their models, the versions of those and their prompts
    children = mlflow.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert len(children) == 2
    for found in children:
        child = mlflow.get_run(found.info.run_id)  # a search tells no model inputs
        assert child.inputs.dataset_inputs[0].dataset.digest == evaluated.digest
        (model,) = child.inputs.model_inputs
        role = child.data.tags["flywheel.role"]
        name, _, version = parent.data.tags[f"flywheel.{role}"].rpartition(" v")
        registered = mlflow.get_model_version(name, version)
        assert registered.source == f"models:/{model.model_id}"
        assert registered.tags["flywheel.release_digest"] == child.data.params["release_digest"]
        prompts = json.loads(registered.tags["flywheel.prompts"])
        linked = json.loads(child.data.tags["mlflow.linkedPrompts"])
        assert prompts == [f"prompts:/{one['name']}/{one['version']}" for one in linked]
        texts = [mlflow.get_prompt_version(one["name"], one["version"]).template for one in linked]
        assert any(child.data.tags["flywheel.release"] in str(text) for text in texts)
    assert parent.data.tags["flywheel.verdict"] == "worse"
    # and back: the runs that have the file as an input
    found = [
        run.info.run_id for run in runs(small.settings)
        if log.digest in {one.dataset.digest for one in run.inputs.dataset_inputs}
    ]  # fmt: skip
    assert found == [parent.info.run_id]
    assert parent.data.tags["flywheel.run_id"] == small.run_id


def test_each_content_of_a_file_is_an_input_and_none_is_left_out_in_silence(
    small: Run, monkeypatch: pytest.MonkeyPatch
):
    files = [LogFile("/logs/a.jsonl", f"{n:064x}", "canonical", n, True) for n in range(5)]
    files.append(replace(files[0], rows_out=9))
    turn = replace(read(small), log_files=tuple(files))
    inputs, num_more = datasets.log_inputs(turn)
    assert [one.dataset.digest for one in inputs] == [f"{n:036x}"[:36] for n in [0] * 5]
    assert num_more == 0
    monkeypatch.setattr(datasets, "MAX_LOG_FILES", 2)
    inputs, num_more = datasets.log_inputs(turn)
    assert (len(inputs), num_more) == (2, 3)
