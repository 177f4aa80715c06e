"""`flywheel explain` as people call it, on releases of which it is known what each part does.

The models say the first of their letters. A prompt that does not fit into a model's context is the
release's own failure and counts 0: so a part, or two of them only together, can break known
samples and no others.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch

from tasks.backends.base import OnReply, Reply
from tasks.backends.local import LocalBackend
from tasks.model.failure import Failure
from tests.flows.application import Application
from tests.tiny_model import write_tiny_model

_WORDS = ("quartz", "velvet", "saddle", "turnip", "magnet", "pollen", "walrus", "tunnel")
_NUM_SAMPLES = 60
#: samples whose text is this much longer than that of the others, in bytes, which are tokens here
_NUM_LONG, _LONGER = 24, 300

Decide = Callable[..., Application]


@pytest.fixture
def decide(application: Application, tmp_path: Path) -> Decide:
    """Releases as they are declared, up to a verdict; `contexts`: model → tokens it takes."""

    def decided(champion: str, challenger: str, prompts: dict[str, int], **contexts: int):
        for name, tokens in contexts.items():
            config = write_tiny_model(tmp_path / name, even="abcd") / "config.json"
            values = json.loads(config.read_text())
            config.write_text(json.dumps({**values, "max_position_embeddings": tokens}))
        for name, size in prompts.items():
            (application.folder / "prompts" / f"{name}.md").write_text("x" * size)
        suite = [
            {"input": " ".join(_WORDS[n // 8**k % 8] for k in range(3)) + f" {n}"
             + "y" * (_LONGER if n < _NUM_LONG else 0), "target": "a", "task": "route"}
            for n in range(_NUM_SAMPLES)
        ]  # fmt: skip
        lines = "".join(json.dumps(sample) + "\n" for sample in suite)
        (application.folder / "suites" / "route.jsonl").write_text(lines)
        path = application.folder / "flywheel.toml"
        text = path.read_text()
        releases = f"[releases.champion]\n{champion}\n[releases.challenger]\n{challenger}\n"
        releases = releases.format(folder=tmp_path)
        path.write_text(text[: text.index("[releases.")] + releases + text[text.index("[suites") :])
        return application

    return decided


_RELEASE = """
model = "{{folder}}/{model}"
prompt = "prompts/{prompt}.md"
sampling = {{{{ max_tokens = 1, temperature = {temperature} }}}}
engine = {{{{ device = "cpu", dtype = "{dtype}" }}}}
"""


def release(model: str, prompt: str, dtype: str = "float32", temperature: float = 0.0) -> str:
    return _RELEASE.format(model=model, prompt=prompt, dtype=dtype, temperature=temperature)


def told_here(application: Application, *arguments: str) -> dict[str, Any]:
    answer = application.here("explain", "--json", *arguments)
    assert answer.code == 0, answer.err
    return answer.json


def evaluated(application: Application, *arguments: str) -> None:
    answered = application.here("eval", *arguments)
    assert answered.code == 0, answered.err
    assert application.here("gate").code in (0, 1)


def by_name(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["part"]: part for part in told["parts"]}


def count(application: Application, table: str) -> int:
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        return int(store.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


@pytest.mark.slow
def test_a_bad_prompt_has_the_drop_and_a_harmless_dtype_nothing(decide: Decide) -> None:
    application = decide(
        release("a", "short"), release("a", "wordy", dtype="bfloat16"),
        {"short": 10, "wordy": 800}, a=1024,
    )  # fmt: skip
    evaluated(application)
    answered = application.here("explain", "--json")
    assert answered.code == 0, answered.err
    assert "ask what is between the two releases" in answered.err
    told = answered.json
    # every long sample fails under the wordy prompt, in any number format; nothing else does
    drop = -_NUM_LONG / _NUM_SAMPLES
    assert told["difference"] == pytest.approx(drop)
    assert told["estimate"]["difference"] == pytest.approx(drop)
    parts = by_name(told)
    assert parts.keys() == {"prompt", "engine"}
    assert parts["prompt"]["share"] >= 0.9
    assert parts["prompt"]["difference"] == pytest.approx(drop)
    assert parts["prompt"]["ci_high"] < 0
    assert parts["engine"]["ci_low"] < 0 < parts["engine"]["ci_high"]
    assert (parts["engine"]["from"], parts["engine"]["to"]) == ("dtype float32", "dtype bfloat16")
    assert sum(part["difference"] for part in told["parts"]) == pytest.approx(drop)
    assert [both["is_certain"] for both in told["interactions"]] == [False]
    assert {tuple(cell["parts"]): cell["score"] for cell in told["cells"]} == pytest.approx(
        {(): 1, ("prompt",): 1 + drop, ("engine",): 1, ("prompt", "engine"): 1 + drop}
    )
    assert (told["computed"], told["cached"]) == (2 * _NUM_SAMPLES, 0)
    assert (told["num_flips"], told["num_others"]) == (_NUM_LONG, _NUM_SAMPLES - _NUM_LONG)

    # the same again computes nothing, and the table says what the object says
    again = application.here("explain", told["run_id"][:-1], "--json").json
    assert (again.pop("computed"), again.pop("cached")) == (0, 2 * _NUM_SAMPLES)
    ignored = ("computed", "cached", "seconds")
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in told.items() if k not in ignored
    }
    shown = application.here("explain", "--samples", "10")
    assert re.search(r"prompt\s+prompts/short\.md\s+prompts/wordy\.md\s+−40\.0 \[", shown.out)
    assert "20: 10 of 24 whose score changed, 10 of 36 others" in shown.out
    assert "prompt makes −40.0 of the −40.0 points (100%)" in shown.out
    assert "of engine it is not certain that it makes any" in shown.out
    page = Path(told["page"]).read_text()
    assert "prompt makes −40.0 of the −40.0 points (100%)" in page
    assert "<script" not in page
    # releases made of both are kept as any other, and the declared ones keep their names
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        names = store.execute("SELECT name FROM releases ORDER BY 1").fetchall()
    assert [name for (name,) in names] == [
        "challenger", "champion",
        "champion with engine of challenger", "champion with prompt of challenger",
    ]  # fmt: skip


@pytest.mark.slow
def test_what_two_parts_do_only_together_is_said(decide: Decide) -> None:
    """The wordy prompt fits into the large model, and the short one into the small model too."""
    application = decide(
        release("large", "short"), release("small", "wordy", dtype="bfloat16"),
        {"short": 10, "wordy": 420}, large=1024, small=600,
    )  # fmt: skip
    evaluated(application)
    told = told_here(application)
    drop = -_NUM_LONG / _NUM_SAMPLES
    parts = by_name(told)
    assert {name: part["difference"] for name, part in parts.items()} == pytest.approx(
        {"model": drop / 2, "prompt": drop / 2, "engine": 0}, abs=1e-12
    )
    certain = [both for both in told["interactions"] if both["is_certain"]]
    assert [both["parts"] for both in certain] == [["model", "prompt"]]
    assert certain[0]["difference"] == pytest.approx(drop)
    assert any(
        re.fullmatch(r"model and prompt only together: −40\.0 points \(.*\) of the −40\.0", text)
        for text in told["sentences"]
    ), told["sentences"]
    assert len(told["cells"]) == 8
    assert told["computed"] == 6 * _NUM_SAMPLES


@pytest.mark.slow
def test_one_part_has_all_and_the_same_release_nothing_without_computing(
    decide: Decide, tmp_path: Path
) -> None:
    application = decide(
        release("a", "short"), release("a", "wordy"), {"short": 10, "wordy": 800}, a=1024
    )
    evaluated(application)
    before = count(application, "completions")
    told = told_here(application)
    (part,) = told["parts"]
    suite = application.here("report", "--json").json["suites"][0]
    ends = ("difference", "ci_low", "ci_high")
    assert [part[name] for name in ends] == pytest.approx([suite[name] for name in ends])
    assert (part["part"], part["share"]) == ("prompt", 1.0)
    assert told["sentences"] == [
        "the releases differ in one part, so the whole difference is of prompt: −40.0 points"
    ]
    assert count(application, "completions") == before
    evaluated(application, "--challenger", "champion")
    assert "both releases are the same" in application.here("explain").out
    # of several challengers each by its name, the leading one without
    third = "\n[releases.third]\n" + release("a", "long").format(folder=tmp_path)
    (application.folder / "prompts" / "long.md").write_text("x" * 1100)
    path = application.folder / "flywheel.toml"
    path.write_text(path.read_text() + third)
    evaluated(application, "--challenger", "third", "--challenger", "challenger")
    drops = {name: told_here(application, *asked)["difference"] for name, asked in (
        ("leading", ()), ("challenger", ("--challenger", "challenger")),
        ("third", ("--challenger", "third")))}  # fmt: skip
    assert drops == pytest.approx({"leading": -0.4, "challenger": -0.4, "third": -1})
    pages = sorted(file.name for file in (application.home / "reports").glob("*/explain*.html"))
    assert pages == ["explain-challenger.html", "explain.html", "explain.html", "explain.html"]
    for asked, wrong in (
        (("--challenger", "champion"), "judged no such challenger"),
        (("--suite", "other"), "did not judge this suite"),
    ):
        answer = application.here("explain", *asked)
        assert answer.code == 2
        assert wrong in answer.err
    # who is not the same any more is not explained by what it has become
    (application.folder / "prompts" / "short.md").write_text("another")
    changed = application.here("explain")
    assert changed.code == 2
    assert "'champion' is not what it was in the run" in changed.err
    assert "changed since: prompt" in changed.err


@pytest.mark.slow
def test_what_the_harness_loses_leaves_the_estimate_and_is_asked_again(
    decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = decide(
        release("a", "short"), release("a", "wordy", dtype="bfloat16"),
        {"short": 10, "wordy": 800}, a=1024,
    )  # fmt: skip
    evaluated(application)
    answer, lost = LocalBackend.answer, Failure("timeout", "too slow today", "harness", True)

    def loses_one(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            is_lost = asks[place].messages[-1]["content"].endswith(" 1" + "y" * _LONGER)
            on_reply(place, replace(reply, text=None, failure=lost) if is_lost else reply)

        answer(self, asks, take, meter)

    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "answer", loses_one)
        told = told_here(application)
    # one of the 24 that changed stands aside, the other 23 stand for it
    assert (told["num_flips_drawn"], told["num_others_drawn"], told["num_lost"]) == (24, 36, 1)
    assert told["estimate"]["difference"] == pytest.approx(-_NUM_LONG / _NUM_SAMPLES)
    again = told_here(application)
    assert 1 <= again["computed"] <= 2  # in the cells where it was lost
    assert again["num_lost"] == 0


@pytest.mark.slow
def test_killed_it_loses_no_finished_chunk(decide: Decide) -> None:
    application = decide(
        release("a", "short"), release("a", "wordy", dtype="bfloat16"),
        {"short": 10, "wordy": 800}, a=1024,
    )  # fmt: skip
    evaluated(application)
    before = count(application, "completions")
    # where oneDNN multiplies bfloat16, threads are part of the release
    small = {
        "FLYWHEEL_EVALUATE__CHUNK_SIZE": "16",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    killed = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.flows.killed",
            "explain",
            "chunk2",
            "explain",
        ],
        cwd=application.folder,
        env=application.environment(**small),
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = count(application, "completions") - before
    assert kept == 16
    told = application.here("explain", "--json").json
    assert (told["computed"], told["cached"]) == (2 * _NUM_SAMPLES - kept, kept)


def test_without_a_verdict_there_is_nothing_to_explain(application: Application) -> None:
    application.here("ingest")
    nothing = application.here("explain")
    assert nothing.code == 2
    assert "no run has reached a verdict yet" in nothing.err
    (run_id,) = application.here("sql", "select run_id from runs", "--json").json["rows"][0]
    undecided = application.here("explain", run_id)
    assert undecided.code == 2
    assert "the run has no verdict" in undecided.err
