"""From an empty folder to a forgotten user, and every link from the first log line to the last
verdict and back, held against plain SQL and an MLflow client."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mlflow import MlflowClient

from tests.flows.application import Answer, Application, call_record
from tests.mlflow_home import home_with_mlflow

#: what a person writes into the file of `flywheel init`: short answers are wanted
_SUITE = """
[suites.brief]
samples = "suites/brief.jsonl"
scorer = { name = "length", unit = "characters", at_least = 0, at_most = 12 }
role = "primary"
owner = "support"
"""
#: far more than a short answer has, and as many as one may have
_MAX_TOKENS = {"current": 24, "next": 4, "wordy": 24}
_ENGINE = 'device = "cpu"\ndtype = "float32"\n'
_THINGS = ("fax", "modem", "lamp")
_USERS = ("bob", "ann", "cyd")
_NIGHTS = ("2026-11-01", "2026-11-02", "2026-11-03")
#: the first line of all
FIRST = "call-0"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Story:
    """What was said on the way; `runs` of the three nights, the last verdict last."""

    application: Application
    said: dict[str, Answer]
    store: duckdb.DuckDBPyConnection

    @property
    def runs(self) -> list[str]:
        return [self.said[night].json["run_id"] for night in _NIGHTS]

    @property
    def log(self) -> Path:
        return self.application.folder / "logs" / f"{_NIGHTS[0]}.jsonl"

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.store.execute(query, list(values)).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        ((value,),) = self.sql(query, *values)
        return value

    def tree(self, kind: str, name: str, way: str) -> dict[tuple[str, str, str, str], str]:
        """Edges that `flywheel lineage` tells → their note."""
        answer = self.application.here("lineage", name, "--kind", kind, way, "--json")
        assert answer.code == 0, answer.err
        return {
            (edge["from"]["kind"], edge["from"]["id"], edge["to"]["kind"], edge["to"]["id"]):
            edge["note"]
            for edge in answer.json["edges"]
        }  # fmt: skip


def _write_settings(folder: Path, model: Path) -> None:
    path = folder / "flywheel.toml"
    text = path.read_text()
    for name in ("current", "next"):
        (folder / f"{name}.md").write_text(f"Answer {name} people.")
        head = f"[releases.{name}]\n"
        before, after = text.split(head)
        after = after.replace('"path/to/model"', f'"{model}"\nprompt = "{name}.md"', 1)
        after = after.replace(".sampling]\n", f".sampling]\nmax_tokens = {_MAX_TOKENS[name]}\n", 1)
        text = before + head + after.replace(".engine]\n", f".engine]\n{_ENGINE}", 1)
    (folder / "wordy.md").write_text("Answer at length.")
    wordy = (
        f'\n[releases.wordy]\nmodel = "{model}"\nprompt = "wordy.md"\n'
        f"sampling = {{ max_tokens = {_MAX_TOKENS['wordy']} }}\n"
        f"[releases.wordy.engine]\n{_ENGINE}"
    )
    path.write_text(
        text.replace("[validate]\n", "[validate]\ndata_docs = false\n") + wordy + _SUITE
    )
    (folder / "suites").mkdir()
    items = [{"input": f"ticket {n}: the {_THINGS[n % 3]} of room {n} broke"}
             for n in range(24)]  # fmt: skip
    lines = (json.dumps({**item, "target": "short"}) + "\n" for item in items)
    (folder / "suites" / "brief.jsonl").write_text("".join(lines))


def _write_log(folder: Path, night: int) -> None:
    """Six calls of the day; in the first night a line more that nobody can read."""
    calls = [
        call_record(number) | {
            "started_at": f"{_NIGHTS[night]}T10:{number:02d}:00Z", "user": _USERS[number % 3],
            "session_id": f"session-{number}", "feedback": {"kind": "thumbs", "value": 1},
        }
        for number in range(6 * night, 6 * night + 6)
    ]  # fmt: skip
    text = "".join(json.dumps(call) + "\n" for call in calls)
    path = folder / "logs" / f"{_NIGHTS[night]}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + ('{"broken\n' if night == 0 else ""))


def _told(application: Application) -> Iterator[tuple[str, Answer]]:
    folder, here = application.folder, application.here

    def night(number: int, *arguments: str) -> tuple[str, Answer]:
        """The day is over: its calls are taken in as if no later one were there."""
        _write_log(folder, number)
        until = f"2026-11-{number + 2:02d}"
        return _NIGHTS[number], here("run", "--inline", "--json", "--until", until, *arguments)

    yield night(0)
    yield "promoted", here("promote", "--by", "ada", "--json")
    yield night(1, "--challenger", "wordy")
    yield "held", here("promote", "--by", "ada", "--json")
    yield "rolled back", here("rollback", "--by", "bob", "--why", "customers complain", "--json")
    yield night(2)
    yield "forgotten", here("forget", "--user", "ann", "--why", "she asked for it", "--json")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Story]:
    application = Application(tmp_path_factory.mktemp("story") / "application")
    application.folder.mkdir()
    said = {"init": application.here("init")}
    assert said["init"].code == 0, said["init"].err
    _write_settings(application.folder, tiny_model)
    home_with_mlflow(application.home)
    for name, answer in _told(application):
        assert answer.code in (0, 1), f"{name}: {answer.err}"
        said[name] = answer
    # one process has a file open in one way only
    copy = shutil.copy(application.home / "flywheel.duckdb", application.folder / "copy.duckdb")
    with duckdb.connect(str(copy), read_only=True) as store:
        yield Story(application, said, store)


def test_what_happened_is_what_was_said(story: Story):
    first, second, third = (story.said[night] for night in _NIGHTS)
    assert (first.json["verdict"], first.code) == ("better", 0)
    assert story.said["promoted"].json["champion"]["release"] == "next"
    assert (second.json["champion"], second.json["verdict"], second.code) == ("next", "worse", 1)
    held = story.said["held"]
    assert (held.code, held.json["moved"]) == (1, False)
    assert "the verdict is worse" in held.json["reasons"][0]["what"]
    assert story.said["rolled back"].json["champion"]["release"] == "current"
    assert third.json["champion"] == "current", "the one that was rolled back to is asked again"
    for night, answer in enumerate((first, second, third)):
        intake = answer.json["stages"][0]
        assert (intake["rows_out"], intake["dead_letters"]) == (6, night == 0)
    # each as DuckDB has it
    rows = story.sql("SELECT run_id, verdict FROM verdicts WHERE is_leading ORDER BY run_id")
    assert rows == [(answer.json["run_id"], answer.json["verdict"])
                    for answer in (first, second, third)]  # fmt: skip
    assert story.sql('SELECT action, "by", subject FROM audit ORDER BY seq') == [
        ("promote", "ada", "next"), ("told", "ada", "mlflow"),
        ("rollback", "bob", "current"), ("told", "bob", "mlflow"),
    ]  # fmt: skip
    assert story.application.here("audit", "verify").code == 0
    assert story.one("SELECT count(*) FROM requests") == 18 - 6
    assert story.one("SELECT count(*) FROM dead_letters") == 1


@dataclass(frozen=True)
class Chain:
    """From the first line of the first log to the last verdict, by SQL alone."""

    request: str
    sample: str
    eval_set: str
    releases: dict[str, str]
    seed: int
    scores: dict[str, tuple[str, float]]
    run: str
    verdict: str

    def edges(self, log: Path) -> set[tuple[str, str, str, str]]:
        found = {
            ("log_file", str(log), "request", self.request),
            ("request", self.request, "sample", self.sample),
            ("sample", self.sample, "eval_set", self.eval_set),
            ("eval_set", self.eval_set, "run", self.run),
        }
        for release, (scorer, _) in self.scores.items():
            completion = f"{release}:{self.sample}:{self.seed}"
            found |= {
                ("sample", self.sample, "completion", completion),
                ("completion", completion, "score", f"{completion}:{scorer}"),
                ("score", f"{completion}:{scorer}", "run", self.run),
            }
        return found


@pytest.fixture(scope="module")
def chain(story: Story) -> Chain:
    """Step by step, each by the row before it."""
    assert json.loads(story.log.read_text().splitlines()[0])["request_id"] == FIRST
    request = story.one("SELECT request_id FROM requests WHERE list_contains(sources, ?)",
                        f"{story.log}:1")  # fmt: skip
    sample = story.one("SELECT sample_id FROM samples WHERE request_id = ?", request)
    ((run, eval_set, champion, challenger, seed),) = story.sql(
        "SELECT run_id, eval_set_digest, champion_digest, challenger_digest, "
        "(request->>'seed')::BIGINT FROM runs WHERE run_id = (SELECT max(run_id) FROM verdicts)"
    )
    assert story.one(
        "SELECT count(*) FROM eval_set_samples WHERE (eval_set_digest, sample_id) = (?, ?)",
        eval_set, sample,
    ) == 1  # fmt: skip
    verdict, judged = story.sql("SELECT verdict, suites FROM verdicts WHERE run_id = ?", run)[0]
    suite = story.one("SELECT suite FROM samples WHERE sample_id = ?", sample)
    (scorer,) = {one["scorer"] for one in json.loads(judged) if one["suite"] == suite}
    releases = {"champion": champion, "challenger": challenger}
    scores = {
        digest: (scorer, story.one(
            "SELECT value FROM scores JOIN completions USING (release_digest, sample_id, seed) "
            "WHERE (release_digest, sample_id, seed, scorer) = (?, ?, ?, ?)",
            digest, sample, seed, scorer,
        ))
        for digest in releases.values()
    }  # fmt: skip
    return Chain(request, sample, eval_set, releases, seed, scores, run, verdict)


def test_down_from_the_first_log_line_to_the_last_verdict(story: Story, chain: Chain):
    assert (chain.request, chain.run) == (FIRST, story.runs[-1])
    down = story.tree("log_file", str(story.log), "--down")
    assert chain.edges(story.log) <= set(down)
    assert down["log_file", str(story.log), "request", FIRST] == "line 1"
    assert down["log_file", str(story.log), "dead_letter", story.one(
        "SELECT dead_letter_id FROM dead_letters")].startswith("line 7")  # fmt: skip


def test_and_back_up_from_the_verdict_to_the_line(story: Story, chain: Chain):
    up = story.tree("run", chain.run, "--up")
    assert chain.edges(story.log) <= set(up)
    for digest in chain.releases.values():
        model, prompt = story.sql(
            "SELECT model_digest, prompt_digest FROM releases WHERE release_digest = ?", digest
        )[0]
        assert {("release", digest, "run", chain.run), ("model", model, "release", digest),
                ("prompt", prompt, "release", digest)} <= set(up)  # fmt: skip
    # every line behind it that is still there, of all three nights, and nobody's that was forgotten
    places = story.sql(
        "SELECT unnest(sources) FROM requests JOIN samples USING (request_id) "
        "JOIN eval_set_samples USING (sample_id) WHERE eval_set_digest = ?", chain.eval_set,
    )  # fmt: skip
    assert {Path(place.rpartition(":")[0]).stem for (place,) in places} == set(_NIGHTS)
    lines = {(place.rpartition(":")[0], f"line {place.rpartition(':')[2]}") for (place,) in places}
    assert lines <= {(edge[1], note) for edge, note in up.items() if edge[0] == "log_file"}
    users = {json.loads(Path(file).read_text().splitlines()[int(note.split()[1]) - 1])["user"]
             for file, note in lines}  # fmt: skip
    assert users == {"bob", "cyd"}


def test_the_champion_is_led_back_to_the_verdict_that_moved_it(story: Story):
    """It was promoted, and rolled back: `previous` has the verdict, and `champion` none."""
    assert story.sql("SELECT alias, release, run_id FROM aliases ORDER BY alias") == [
        ("champion", "current", None), ("previous", "next", story.runs[0]),
    ]  # fmt: skip
    up = story.tree("alias", "previous", "--up")
    digest = story.one("SELECT release_digest FROM aliases WHERE alias = 'previous'")
    assert {("release", digest, "alias", "previous"),
            ("run", story.runs[0], "alias", "previous")} <= set(up)  # fmt: skip


def test_an_mlflow_client_finds_the_same_chain(story: Story, chain: Chain):
    mlflow = MlflowClient(tracking_uri=f"sqlite:///{story.application.home}/mlflow.db")
    experiment = mlflow.get_experiment_by_name("flywheel")
    of_turn = mlflow.search_runs(
        [experiment.experiment_id], f"tags.`flywheel.run_id` = '{chain.run}'"
    )
    by_role = {run.data.tags["flywheel.role"]: run for run in of_turn}
    assert set(by_role) == {"parent", "champion", "challenger"}
    parent = by_role["parent"]
    # log file and eval set → run
    inputs = {
        (one.tags[0].value, one.dataset.name): one.dataset for one in parent.inputs.dataset_inputs
    }
    log = inputs["logs", str(story.log)]
    content = hashlib.sha256(story.log.read_bytes()).hexdigest()
    assert json.loads(log.source) == {"path": str(story.log), "sha256": content}
    assert content == story.one("SELECT digest FROM sources WHERE path = ?", str(story.log))
    assert inputs["evaluation", "eval-set"].digest == chain.eval_set[:36]
    assert {run.data.tags["flywheel.verdict"] for run in of_turn} == {chain.verdict}
    # sample → answer and score of each release, release → run
    for role, digest in chain.releases.items():
        child = by_role[role]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.params["release_digest"] == digest
        traces = mlflow.search_traces(
            locations=[experiment.experiment_id], run_id=child.info.run_id, max_results=100
        )
        (trace,) = [one for one in traces
                    if one.data.spans[0].inputs["row_id"] == chain.sample[:16]]  # fmt: skip
        text = story.one(
            "SELECT text FROM completions WHERE (release_digest, sample_id, seed) = (?, ?, ?)",
            digest, chain.sample, chain.seed,
        )  # fmt: skip
        assert trace.data.spans[0].outputs == text
        scorer, value = chain.scores[digest]
        (feedback,) = [one.feedback.value for one in trace.info.assessments
                       if one.feedback and one.source.source_id == scorer]  # fmt: skip
        assert float(feedback) == value
        # a search leaves the models out
        (model,) = mlflow.get_run(child.info.run_id).inputs.model_inputs
        (version,) = mlflow.search_model_versions(
            f"name = 'flywheel-release' AND tag.`flywheel.release_digest` = '{digest}'"
        )
        assert version.source == f"models:/{model.model_id}"
        (prompt,) = json.loads(child.data.tags["mlflow.linkedPrompts"])
        template = mlflow.get_prompt_version(prompt["name"], prompt["version"]).template
        name = child.data.tags["flywheel.release"]
        asked = (story.application.folder / f"{name}.md").read_text()
        assert [message["content"] for message in template] == [asked]
    # verdict → alias
    for alias, name, digest in story.sql("SELECT alias, release, release_digest FROM aliases"):
        version = mlflow.get_model_version_by_alias("flywheel-release", alias)
        assert version.tags["flywheel.release_digest"] == digest, name


def test_mlflow_names_the_receipt_that_is_there(story: Story, chain: Chain):
    mlflow = MlflowClient(tracking_uri=f"sqlite:///{story.application.home}/mlflow.db")
    parent = mlflow.get_run(story.said[_NIGHTS[-1]].json["mlflow_run_id"])
    receipt = story.application.home / "receipts" / f"{chain.run}.receipt.json"
    digest = hashlib.sha256(receipt.read_bytes()).hexdigest()
    assert parent.data.tags["flywheel.receipt"] == f"sha256:{digest}"


def test_who_was_forgotten_is_nowhere_on_the_way(story: Story, chain: Chain):
    told = story.said["forgotten"].json
    assert (told["counts"]["calls"], sorted(told["runs"])) == (6, sorted(story.runs))
    asked = [json.loads(line) for night in _NIGHTS for line in
             (story.log.with_name(f"{night}.jsonl")).read_text().splitlines()[:6]]  # fmt: skip
    hers = {call["request_id"] for call in asked if call["user"] == "ann"}
    assert len(hers) == 6
    known = {name for (name,) in story.sql("SELECT request_id FROM requests")}
    assert known == {call["request_id"] for call in asked} - hers
    answer = story.application.here("lineage", min(hers), "--kind", "request")
    assert answer.code == 2
    verdict = story.application.here("verdict", chain.run, "--json").json
    assert verdict["erased"].startswith("Its inputs were partly erased on 2")
    assert verdict["verdict"] == chain.verdict
