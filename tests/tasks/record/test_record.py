from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.model.alias import Alias
from tasks.record.task import record
from tasks.run import Run
from tasks.store.control import ledger
from tasks.store.control.aliases import point
from tasks.tracking.publish import Links, Pages, Published, publish
from tasks.tracking.session import open_session
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.stores import client, count, read, runs
from tests.tasks.record.turns import HOSTILE, NOW, RUN_ID, digest, fill, make_run

_PARENTS = "tags.`flywheel.role` = 'parent'"


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def _no_pages(links: Links) -> Pages:
    return Pages("note", ())


def _num_traces(run: Run) -> int:
    return count(run.settings, "SELECT count(*) FROM trace_info")


def test_a_decided_run_is_recorded_and_the_ledger_says_where(small: Run) -> None:
    receipt = record(small)
    assert (receipt.stage, receipt.rows_in, receipt.rows_out) == ("record", 12, 12)
    with small.open_store(read_only=True) as store:
        assert ledger.finished_stage(store, RUN_ID, "record") == receipt
        assert ledger.run_value(store, RUN_ID, "mlflow_run_id") == receipt.notes["mlflow_run_id"]
        report = Path(ledger.run_value(store, RUN_ID, "report") or "")
    assert report.parent == small.settings.home_path / "reports" / RUN_ID
    assert sorted(p.name for p in report.parent.iterdir()) == [
        "differences.png", "differences.svg", "report.html",
    ]  # fmt: skip
    assert receipt.notes["compare_url_path"].startswith("/#/experiments/1/runs/")
    assert (receipt.notes["rows_sent"], receipt.notes["rows_capped"]) == (12, 0)


def test_the_aliases_of_mlflow_follow_those_of_the_store(small: Run) -> None:
    """What a promotion could not tell MLflow, the next recorded run does, be it whole already."""
    digests = {name: digest("release", name) for name in ("prod", "candidate")}

    def move(champion: str, previous: str) -> dict[str, str]:
        pair = zip(("champion", "previous"), (champion, previous), strict=True)
        with small.open_store() as store, store.transaction():
            point(store, [Alias(alias, name, digests[name], None, NOW) for alias, name in pair])
        record(small)
        mlflow = client(small.settings)
        found = mlflow.get_registered_model("flywheel-release").aliases
        return {
            alias: mlflow.get_model_version("flywheel-release", version).tags["flywheel.release"]
            for alias, version in found.items()
        }

    assert move("candidate", "prod") == {"champion": "candidate", "previous": "prod"}
    assert move("prod", "candidate") == {"champion": "prod", "previous": "candidate"}


def test_parent_and_children_carry_metrics_params_dataset_and_files(small: Run) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    parent = mlflow.get_run(notes["mlflow_run_id"])
    assert (parent.info.run_name, parent.info.status) == ("candidate vs prod · WORSE", "FINISHED")
    assert parent.data.tags["flywheel.run_id"] == RUN_ID
    assert parent.data.tags["flywheel.verdict"] == "worse"
    assert parent.data.metrics["tickets.difference"] == pytest.approx(-0.255)
    assert parent.data.metrics["stage.validate.quarantined"] == 3
    names = {file.path for file in mlflow.list_artifacts(parent.info.run_id)}
    assert {"report.html", "verdict.json", "differences.png"} <= names
    child = mlflow.get_run(notes["child_run_ids"]["challenger"])
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.info.status == "FINISHED"
    assert child.data.metrics["orders.score"] == pytest.approx(0.96)
    assert child.data.metrics["orders.num_failed"] == 1
    assert child.data.params["sampling.temperature"] == "0.0"
    (dataset,) = child.inputs.dataset_inputs
    assert dataset.dataset.name == "eval-set"
    assert len(dataset.dataset.digest) == 36
    (model,) = child.inputs.model_inputs
    of_model = {metric.key for metric in mlflow.get_logged_model(model.model_id).metrics}
    assert "tickets.score" in of_model


def test_verdict_json_is_what_the_gate_wrote(small: Run, tmp_path: Path) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    file = mlflow.download_artifacts(notes["mlflow_run_id"], "verdict.json", str(tmp_path))
    verdict = json.loads(Path(file).read_text())
    assert verdict["verdict"] == "worse"
    assert verdict["suites"][0]["ci_low"] == -0.42
    assert verdict["run_id"] == RUN_ID


def test_note_fits_and_holds_no_live_html(small: Run) -> None:
    mlflow = client(small.settings)
    note = mlflow.get_run(record(small).notes["mlflow_run_id"]).data.tags["mlflow.note.content"]
    assert len(note) <= 8_000
    assert "<script" not in note
    assert "/evaluations?compareToRunUuid=" in note
    assert "/artifacts/report.html)" in note


def test_the_table_of_runs_has_verdict_difference_and_margin_as_columns(small: Run) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    data = mlflow.get_run(notes["mlflow_run_id"]).data
    assert {key: data.tags[key] for key in ("verdict", "decided by", "interval in points")} == {
        "verdict": "WORSE", "decided by": "tickets", "interval in points": "−42.0 to −9.0",
    }  # fmt: skip
    assert data.metrics["difference in points"] == -25.5
    assert data.metrics["margin in points"] == 5.0
    tags = mlflow.get_experiment(notes["experiment_id"]).tags
    view = json.loads(tags["mlflow.sharedViewState.flywheel"])
    for column in view["selectedColumns"]:
        kind, _, name = column.partition(".")
        assert name.strip("`") in getattr(data, kind), column
    found = mlflow.search_runs([notes["experiment_id"]], view["searchFilter"])
    assert [run.info.run_id for run in found] == [notes["mlflow_run_id"]]
    assert "viewStateShareKey=flywheel" in tags["mlflow.note.content"]


def test_a_view_and_a_description_that_people_changed_stay(small: Run) -> None:
    experiment = record(small).notes["experiment_id"]
    mlflow = client(small.settings)
    theirs = {"mlflow.sharedViewState.flywheel": "{}", "mlflow.note.content": "ours, by hand"}
    for key, value in theirs.items():
        mlflow.set_experiment_tag(experiment, key, value)
    record(small)
    assert theirs.items() <= mlflow.get_experiment(experiment).tags.items()


def test_runs_of_releases_are_called_by_release_and_verdict(small: Run) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    runs_of = {role: mlflow.get_run(run) for role, run in notes["child_run_ids"].items()}
    assert {role: run.info.run_name for role, run in runs_of.items()} == {
        "champion": "prod · champion", "challenger": "candidate · WORSE",
    }  # fmt: skip
    for run in runs_of.values():
        assert notes["run_url_path"].removeprefix("/") in run.data.tags["mlflow.note.content"]
        assert notes["compare_url_path"].removeprefix("/") in run.data.tags["mlflow.note.content"]


def test_versions_tell_the_verdict_and_prompts_the_releases_that_use_them(small: Run) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    versions = {
        version.tags["flywheel.release"]: version
        for version in mlflow.search_model_versions("name = 'flywheel-release'")
    }
    told = versions["candidate"]
    assert (told.tags["verdict"], told.tags["against"]) == ("WORSE", "prod")
    assert told.description.startswith("candidate: WORSE against prod in [run ")
    assert notes["run_url_path"].removeprefix("/#") in told.description
    assert versions["prod"].description.startswith("prod: champion in [run ")
    assert versions["prod"].tags["verdict"] == "not judged"
    used: dict[str, set[str]] = {}
    for uri in notes["prompts"]:
        name, _, number = uri.removeprefix("prompts:/").rpartition("/")
        tags = mlflow.get_prompt_version(name, number).tags
        for release in tags["releases"].split(", "):
            used.setdefault(release, set()).add(uri)
    for name, version in versions.items():
        assert used[name] == set(json.loads(version.tags["flywheel.prompts"]))


def test_an_older_verdict_that_is_recorded_late_does_not_take_the_newer_ones_place(
    small: Run,
) -> None:
    record(small)
    mlflow = client(small.settings)
    version = next(
        one
        for one in mlflow.search_model_versions("name = 'flywheel-release'")
        if one.tags["flywheel.release"] == "candidate"
    )
    told = {"flywheel.run_id": "20991231-000000-000000-00", "verdict": "BETTER"}
    for key, value in told.items():
        mlflow.set_model_version_tag(version.name, version.version, key, value)
    turn = read(small)
    from tasks.tracking import registry

    with open_session(small.settings) as session:
        made = registry.register(session, turn.releases["challenger"])
        registry.tell_verdict(session, made, turn, "challenger", "/#/x")
    after = mlflow.get_model_version(version.name, version.version)
    assert (after.tags["verdict"], after.description) == ("BETTER", version.description)


def test_recording_twice_changes_nothing(small: Run) -> None:
    first = record(small)
    again = record(small)
    assert again == first
    assert len(runs(small.settings)) == 3
    assert _num_traces(small) == 24


def test_killed_while_rows_go_out_and_run_again_leaves_one_whole_record(small: Run) -> None:
    def killed(stage: str, done: int, total: int | None, note: str = "") -> None:
        if done > 12:
            raise Killed

    with pytest.raises(Killed):
        record(replace(small, progress=killed))
    assert [run.info.status for run in runs(small.settings, _PARENTS)] == ["RUNNING"]
    assert _num_traces(small) == 24
    receipt = record(small)
    (parent,) = runs(small.settings, _PARENTS)
    assert parent.info.run_id == receipt.notes["mlflow_run_id"]
    assert parent.info.status == "FINISHED"
    assert len(runs(small.settings)) == 3
    assert _num_traces(small) == 24
    # releases registered by the first attempt are used, not registered again
    assert receipt.notes["versions"] == {
        "champion": "flywheel-release v1", "challenger": "flywheel-release v2",
    }  # fmt: skip


def test_killed_while_the_pages_are_drawn_and_run_again_leaves_one_record(small: Run) -> None:
    def killed(links: Links) -> Pages:
        raise Killed

    with pytest.raises(Killed):
        publish(small.settings, read(small), killed)
    record(small)
    assert [run.info.status for run in runs(small.settings, _PARENTS)] == ["FINISHED"]
    assert len(runs(small.settings)) == 3


def test_killed_before_the_ledger_entry_finds_what_stands_in_mlflow(small: Run) -> None:
    published = publish(small.settings, read(small), _no_pages)
    receipt = record(small)
    assert receipt.notes["mlflow_run_id"] == published.links.mlflow_run_id
    assert len(runs(small.settings)) == 3
    assert Path(receipt.notes["report"]).exists()


def test_a_record_that_another_build_left_unfinished_is_made_anew(
    small: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the ledger entry, upgraded, run again."""
    with monkeypatch.context() as before:
        before.setattr(Published, "to_json", lambda self: '{"links": {}, "rows_sent": 12}')
        old = publish(small.settings, read(small), _no_pages)
    notes = record(small).notes
    assert notes["mlflow_run_id"] != old.links.mlflow_run_id
    assert [run.info.run_id for run in runs(small.settings, _PARENTS)] == [notes["mlflow_run_id"]]
    assert _num_traces(small) == 24


def test_second_run_of_the_same_releases_reuses_versions_and_prompts(tmp_path: Path) -> None:
    home_with_mlflow(tmp_path)
    notes = []
    for run_id in ("20261124-000000-aaaaaa", "20261125-000000-bbbbbb"):
        run = make_run(tmp_path, run_id=run_id)
        fill(run, num_samples=6)
        notes.append(record(run).notes)
    assert notes[0]["mlflow_run_id"] != notes[1]["mlflow_run_id"]
    assert notes[0]["versions"] == notes[1]["versions"]
    assert notes[0]["prompts"] == notes[1]["prompts"]
    mlflow = client(run.settings)
    assert len(mlflow.search_model_versions("name = 'flywheel-release'")) == 2
    parent = mlflow.get_run(notes[1]["mlflow_run_id"])
    assert parent.data.tags["flywheel.challenger"] == "flywheel-release v2"
    assert parent.data.tags["flywheel.champion"] == "flywheel-release v1"
    # one text of `orders` in both releases, two of `tickets`
    assert len(mlflow.search_prompt_versions("flywheel-prompt-orders")) == 1
    assert len(mlflow.search_prompt_versions("flywheel-prompt-tickets")) == 2


def test_a_run_moves_no_alias_whatever_its_verdict(tmp_path: Path) -> None:
    run = make_run(home_with_mlflow(tmp_path))
    fill(run, num_samples=6, verdict="better")
    record(run)
    mlflow = client(run.settings)
    mlflow.set_registered_model_alias("flywheel-release", "champion", "2")
    again = make_run(tmp_path, run_id="20261125-000000-bbbbbb")
    fill(again, num_samples=6)
    record(again)
    aliases = mlflow.get_registered_model("flywheel-release").aliases
    assert {name: str(version) for name, version in aliases.items()} == {"champion": "2"}


def test_a_release_against_itself_is_one_version_in_both_roles(tmp_path: Path) -> None:
    run = make_run(home_with_mlflow(tmp_path))
    fill(run, num_samples=6, same_release=True, verdict="no_worse")
    notes = record(run).notes
    assert notes["versions"]["champion"] == notes["versions"]["challenger"]
    mlflow = client(run.settings)
    tags = mlflow.get_run(notes["mlflow_run_id"]).data.tags
    assert tags["flywheel.champion"] == tags["flywheel.challenger"] == "flywheel-release v1"
    assert mlflow.get_registered_model("flywheel-release").aliases == {}
    assert len(runs(run.settings)) == 3


def test_rows_of_both_releases_have_the_same_inputs_and_our_scores(small: Run) -> None:
    notes = record(small).notes
    mlflow = client(small.settings)
    inputs = []
    for role in ("champion", "challenger"):
        traces = mlflow.search_traces(
            locations=[notes["experiment_id"]], run_id=notes["child_run_ids"][role]
        )
        inputs.append({trace.data.spans[0].attributes["mlflow.spanInputs"]["row_id"]: (
            json.dumps(trace.data.spans[0].inputs)) for trace in traces})  # fmt: skip
        names = {a.name for trace in traces for a in trace.info.assessments}
        assert names == {
            "target", "tickets/exact_match", "logged/token_f1",
            "orders/exact_match (not counted)",
        }  # fmt: skip
    assert len(inputs[0]) == 12
    assert inputs[0] == inputs[1]
    lacking = {a.rationale: a.value for trace in traces for a in trace.info.assessments
               if (a.rationale or "").startswith(("counts 0", "not known"))}  # fmt: skip
    assert lacking == {
        "not known: the target is empty": None,
        "counts 0: the prompt is longer than the context": False,
    }


def test_rows_beyond_the_limit_are_counted_and_the_note_says_so(tmp_path: Path) -> None:
    run = make_run(home_with_mlflow(tmp_path), max_rows=5)
    fill(run, num_samples=12)
    notes = record(run).notes
    assert (notes["rows_sent"], notes["rows_capped"]) == (5, 7)
    parent = client(run.settings).get_run(notes["mlflow_run_id"])
    assert "holds 5 of 12 samples, drawn by" in parent.data.tags["mlflow.note.content"]


def test_the_report_escapes_what_logs_and_models_say(small: Run) -> None:
    html = Path(record(small).notes["report"]).read_text()
    assert HOSTILE not in html
    assert html.lower().count("<script") == 1  # the page's own
    assert "&lt;script&gt;" in html


def test_a_run_without_a_verdict_has_nothing_to_record(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with run.open_store():
        pass
    with pytest.raises(StoreError, match="no verdict yet"):
        record(run)


def test_an_absent_server_is_a_transient_error_and_the_stage_stays_open(tmp_path: Path) -> None:
    run = make_run(tmp_path, tracking_uri="http://127.0.0.1:9")
    fill(run, num_samples=6)
    with pytest.raises(StoreError, match="does not answer") as caught:
        record(run)
    assert caught.value.transient
    with run.open_store(read_only=True) as store:
        assert ledger.finished_stage(store, RUN_ID, "record") is None


def test_recording_leaves_mlflows_process_wide_address_as_it_was(small: Run) -> None:
    import os

    record(small)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert "MLFLOW_REGISTRY_URI" not in os.environ
