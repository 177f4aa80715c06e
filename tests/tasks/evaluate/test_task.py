from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.answering import compute, judging, needs
from tasks.backends.base import OnReply, Reply
from tasks.backends.local import LocalBackend
from tasks.errors import UsageError
from tasks.evaluate import task
from tasks.evaluate.task import evaluate
from tasks.model.alias import Alias
from tasks.model.failure import Failure
from tasks.run import Run
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.aliases import point
from tasks.store.db.sql import among
from tasks.store.evals.answers import settled_samples
from tests.tasks.evaluate.stage import (
    EVAL_SET,
    NOW,
    begin,
    rows,
    sample,
    settings_for,
    store_eval_set,
)

NUM = 10
ANSWERS = (
    "SELECT release_digest, sample_id, seed, text, finish_reason FROM completions ORDER BY ALL"
)


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path) -> Settings:
    made = settings_for(tmp_path, tiny_model, evaluate={"chunk_size": 6})
    store_eval_set(made, [sample(n) for n in range(NUM)])
    return made


def test_both_releases_answer_and_every_answer_is_scored(settings: Settings) -> None:
    told: list[tuple[int, int | None]] = []
    run = begin(
        settings, "r1", progress=lambda stage, done, total, note="": told.append((done, total))
    )
    receipt = evaluate(run)
    assert (receipt.rows_in, receipt.rows_out) == (2 * NUM, 2 * NUM)
    assert receipt.notes["computed"] == 2 * NUM
    assert receipt.notes["cached"] == receipt.notes["errors"] == 0
    assert receipt.notes["output_tokens"] > 0
    assert receipt.notes["engines"][0]["device"] == "cpu"
    assert receipt.notes["engines"][0]["dtype"] == "float32"
    assert receipt.notes["tokens_per_s"] > 0
    assert told[-1] == (2 * NUM, 2 * NUM)
    assert told == sorted(told)
    scores = rows(
        settings, "SELECT scorer, count(*), count(value) FROM scores GROUP BY 1 ORDER BY 1"
    )
    assert scores == [("choice@1", NUM, NUM), ("token_f1@1", NUM, NUM)]
    with run.open_store() as store:
        champion = ledger.run_value(store, "r1", "champion_digest")
        challenger = ledger.run_value(store, "r1", "challenger_digest")
        assert ledger.finished_stage(store, "r1", "evaluate") is not None
    names = rows(settings, "SELECT release_digest, name FROM releases ORDER BY name")
    assert names == [(champion, "one"), (challenger, "two")]


def test_second_run_re_reads_every_completion(settings: Settings) -> None:
    evaluate(begin(settings, "r1"))
    before = rows(settings, ANSWERS)
    receipt = evaluate(begin(settings, "r2"))
    assert receipt.notes["cached"] == receipt.rows_out == 2 * NUM
    assert receipt.notes["computed"] == 0
    assert receipt.notes["engines"] == []
    assert rows(settings, ANSWERS) == before


def test_what_is_settled_is_told_of_as_if_it_had_been_asked(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings_for(tmp_path, tiny_model)
    store_eval_set(made, [sample(n, system=f"System {n % 3}") for n in range(NUM)])
    first = evaluate(begin(made, "r1"))
    scores = rows(made, "SELECT * FROM scores ORDER BY ALL")
    with Store.open(made.store_path) as store:
        store.execute("DELETE FROM completions WHERE sample_id = 'sample-003'")
        store.execute("DELETE FROM scores WHERE sample_id = 'sample-004'")
    asked: list[str] = []

    def noting(run: Run, stage: str, eval_set: str, wanted: list[needs.Need], *more: Any) -> Any:
        asked.extend(need.sample.sample_id for need in wanted)
        return judging.score_all(run, stage, eval_set, wanted, *more)

    monkeypatch.setattr(task, "score_all", noting)
    second = evaluate(begin(made, "r2"))
    assert set(asked) == {"sample-003", "sample-004"}
    assert second.rows_out == first.rows_out == 2 * NUM
    assert (second.notes["computed"], second.notes["cached"]) == (2, 2 * NUM - 2)
    assert second.notes["cautions"] == first.notes["cautions"] != []
    assert rows(made, "SELECT * FROM scores ORDER BY ALL") == scores


def test_only_a_sample_of_which_all_is_kept_is_settled(settings: Settings) -> None:
    evaluate(begin(settings, "r1"))
    ids = [f"sample-{number:03d}" for number in range(NUM)]
    labels, words = ids[::2], ids[1::2]
    digests = [digest for (digest,) in rows(settings, "SELECT release_digest FROM releases")]
    versions = {"words": {"token_f1@1"}, "labels": {"choice@1"}}

    def settled(
        run_id: str = "r2",
        releases: list[str] = digests,
        seeds: range = range(1),
        scorers: dict[str, set[str]] = versions,
    ) -> list[str]:
        with Store.open(settings.store_path) as store:
            found = settled_samples(store, run_id, EVAL_SET, releases, seeds, scorers)
        return sorted(found["sample_id"].to_pylist())

    assert settled() == settled(releases=digests[:1]) == ids
    assert settled(run_id="r1") == [], "a run counts what it computed itself"
    assert settled(releases=[*digests, "another"]) == settled(seeds=range(2)) == []
    assert settled(scorers={"words": {"token_f1@1"}}) == words
    assert settled(scorers={**versions, "words": {"token_f1@1", "exact@1"}}) == labels
    lost = "UPDATE completions SET text = NULL, error = 'too long' WHERE sample_id = 'sample-001'"
    unscored = "UPDATE scores SET value = NULL WHERE sample_id = 'sample-002'"
    missing = (
        f"DELETE FROM completions WHERE sample_id = 'sample-003' AND {among('release_digest')}"
    )
    with Store.open(settings.store_path) as store:
        store.execute(lost)
        store.execute(unscored)
        store.execute(missing, [digests[:1]])
    assert settled() == [ids[0], *ids[4:]]


def test_a_champion_that_changed_without_promotion_is_told(settings: Settings) -> None:
    first = evaluate(begin(settings, "r1"))
    assert "of_champion" not in first.notes
    digests = dict(rows(settings, "SELECT name, release_digest FROM releases"))

    def told(promoted: str, champion: str = "one") -> list[str]:
        alias = Alias("champion", "one", digests[promoted], "r1", NOW)
        run = begin(settings, f"of {promoted} and {champion}", champion)
        with run.open_store() as store:
            point(store, [alias])
        return list(evaluate(run).notes.get("of_champion", ()))

    assert told("one") == []
    (changed,) = told("two")
    assert "release 'one' changed without promotion: prompt" in changed
    assert told("one", champion="two") == [], "another one for this once"


def test_same_run_called_twice_gives_the_same_receipt_counts(settings: Settings) -> None:
    first = evaluate(begin(settings, "r1"))
    second = evaluate(begin(settings, "r1"))
    for name in ("computed", "cached", "errors", "output_tokens", "input_tokens"):
        assert second.notes[name] == first.notes[name]


def test_another_seed_is_another_completion(settings: Settings) -> None:
    evaluate(begin(settings, "r1"))
    receipt = evaluate(begin(settings, "r2", seed=1))
    assert receipt.notes["computed"] == 2 * NUM


def test_repeats_count_seeds_up_and_share_them_between_runs(
    tmp_path: Path, tiny_model: Path
) -> None:
    made = settings_for(tmp_path, tiny_model, evaluate={"repeats": 2})
    store_eval_set(made, [sample(1)])
    assert evaluate(begin(made, "r1", seed=3)).rows_out == 4
    assert rows(made, "SELECT DISTINCT seed FROM completions ORDER BY 1") == [(3,), (4,)]
    assert evaluate(begin(made, "r2", seed=4)).notes["computed"] == 2


@pytest.mark.parametrize("challenger", ["one", "same"])
def test_release_against_itself_is_computed_once(settings: Settings, challenger: str) -> None:
    receipt = evaluate(begin(settings, "r1", challenger=challenger))
    assert receipt.rows_out == receipt.notes["computed"] == NUM
    roles = receipt.notes["releases"]
    assert roles[0]["digest"] == roles[1]["digest"]


def test_chunks_do_not_change_answers(settings: Settings, tmp_path: Path, tiny_model: Path) -> None:
    evaluate(begin(settings, "r1"))
    (tmp_path / "other").mkdir()
    other = settings_for(tmp_path / "other", tiny_model, evaluate={"chunk_size": 1})
    store_eval_set(other, [sample(n) for n in range(NUM)])
    evaluate(begin(other, "r1"))
    assert rows(settings, ANSWERS) == rows(other, ANSWERS)


def test_stopped_in_the_middle_loses_no_finished_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = LocalBackend.answer, []

    def stops(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            calls.append(place)
            if len(calls) == 11:
                raise KeyboardInterrupt
            on_reply(place, reply)

        real(self, asks, take, meter)

    monkeypatch.setattr(LocalBackend, "answer", stops)
    with pytest.raises(KeyboardInterrupt):
        evaluate(begin(settings, "r1"))
    assert rows(settings, "SELECT count(*) FROM completions") == [(10,)]
    assert rows(settings, "SELECT count(*) FROM scores") == [(0,)]
    monkeypatch.setattr(LocalBackend, "answer", real)
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.rows_out == receipt.notes["computed"] == 2 * NUM
    assert rows(settings, "SELECT count(*) FROM completions") == [(2 * NUM,)]


_PROGRAM = """
import os, signal, sys
from pathlib import Path
from tasks.evaluate.task import evaluate
from tests.tasks.evaluate.stage import begin, settings_for
folder, model, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = settings_for(folder, model, evaluate={"chunk_size": 6})

def killing(stage, done, total, note=""):
    if done >= 8:
        os.kill(os.getpid(), signal.SIGKILL)

run = begin(settings, "r1", **({"progress": killing} if mode == "kill" else {}))
receipt = evaluate(run)
heavy = {"torch", "transformers", "tokenizers", "great_expectations", "mlflow", "prefect"}
print(receipt.notes["computed"], receipt.notes["cached"], sorted(heavy & set(sys.modules)))
"""


def _program(folder: Path, model: Path, mode: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM, str(folder), str(model), mode]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_killed_run_goes_on_and_a_cached_one_loads_no_torch(
    settings: Settings, tmp_path: Path, tiny_model: Path
) -> None:
    killed = _program(tmp_path, tiny_model, "kill")
    assert killed.returncode == -9
    assert rows(settings, "SELECT count(*) FROM completions") == [(6,)]
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["computed"] == 2 * NUM
    cached = _program(tmp_path, tiny_model, "go on")
    assert cached.stdout.split(" ", 2)[0] == str(2 * NUM), cached.stderr
    assert cached.stdout.strip().endswith("[]")


def test_prompt_that_is_too_long_is_remembered_and_counted_as_missing(settings: Settings) -> None:
    text = json.dumps([{"role": "user", "content": "x" * 2000}])
    store_more(settings, sample(NUM, messages=text))
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["errors"] == 2
    assert receipt.notes["transient_errors"] == 0
    found = rows(settings, "SELECT value, unscored_reason FROM scores WHERE value IS NULL")
    assert len(found) == 2
    assert all(reason.startswith("no completion: ") and "1024" in reason for _, reason in found)
    assert evaluate(begin(settings, "r2")).notes["computed"] == 0


def store_more(settings: Settings, extra: dict[str, Any]) -> None:
    from tasks.store import Store

    with Store.open(settings.store_path) as store, store.transaction():
        for table in ("samples", "eval_sets", "eval_set_samples"):
            store.execute(f"DELETE FROM {table}")
    store_eval_set(settings, [*(sample(n) for n in range(NUM)), extra])


@pytest.mark.parametrize("role", ["robot", "KV cache"])
def test_message_the_template_cannot_take_is_an_error_of_that_sample(
    settings: Settings, role: str
) -> None:
    """Terminal, whatever its words: the next night does not ask again."""
    text = json.dumps([{"role": role, "content": "beep"}])
    store_more(settings, sample(NUM, messages=text))
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["unscored"] == 2
    assert role in next(iter(receipt.notes["unscored_reasons"]))
    assert (receipt.notes["transient_errors"], receipt.notes["faults"]) == (0, {"release": 2})
    assert evaluate(begin(settings, "r2")).notes["computed"] == 0
    assert rows(settings, "SELECT DISTINCT fault FROM completions ORDER BY 1") == [
        ("release",), (None,),
    ]  # fmt: skip


def test_transient_error_is_not_remembered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalBackend.answer

    def fails(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            lost = Failure("device", "out of memory", "harness", True)
            on_reply(place, replace(reply, text=None, failure=lost) if place % 6 == 0 else reply)

        real(self, asks, take, meter)

    monkeypatch.setattr(LocalBackend, "answer", fails)
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["transient_errors"] == receipt.notes["errors"] == 4
    assert receipt.notes["faults"] == {"harness": 4}
    assert receipt.rows_out == 2 * NUM
    reasons = rows(settings, "SELECT DISTINCT unscored_reason FROM scores WHERE value IS NULL")
    assert reasons == [("no completion: out of memory",)]
    monkeypatch.setattr(LocalBackend, "answer", real)
    receipt = evaluate(begin(settings, "r2"))
    assert receipt.notes["computed"] == 4
    assert receipt.notes["unscored"] == 0


def test_unusable_target_is_unscored_with_its_reason(settings: Settings) -> None:
    store_more(settings, sample(NUM + 1, target="?!"))
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["unscored_reasons"] == {"the target has no words": 2}


def test_completions_are_scored_again_under_another_scorer(
    settings: Settings, tmp_path: Path, tiny_model: Path
) -> None:
    evaluate(begin(settings, "r1"))
    suites = {"words": {"scorer": "exact_match"}, "labels": {"scorer": "choice"}}
    changed = settings_for(tmp_path, tiny_model, suites=suites)
    assert evaluate(begin(changed, "r2")).notes["computed"] == 0
    scorers = rows(settings, "SELECT DISTINCT scorer FROM scores ORDER BY 1")
    assert scorers == [("choice@1",), ("exact_match@1",), ("token_f1@1",)]


def test_what_has_a_value_is_not_judged_again_by_the_same_scorer(
    tmp_path: Path, tiny_model: Path, settings: Settings
) -> None:
    calls = tmp_path / "calls"
    source = (
        f"def slow(answer, target):\n    with open({str(calls)!r}, 'a') as file:\n"
        "        file.write('x')\n    return 1 / (len(target) != len('an answer'))\n"
    )
    (tmp_path / "mine.py").write_text(source)
    scorer = {"function": "mine:slow"}
    suites = {"words": {"scorer": scorer}, "labels": {"scorer": scorer}}
    own = settings_for(tmp_path, tiny_model, suites=suites)
    receipt = evaluate(begin(own, "r1"))
    num, num_words = 2 * NUM, 2 * ((NUM + 1) // 2)
    assert len(calls.read_text()) == num
    assert receipt.notes["unscored"] == num_words
    assert receipt.notes["faults"] == {"judge": num_words}
    again = evaluate(begin(own, "r2"))
    assert len(calls.read_text()) == num + num_words  # what failed is tried once more
    assert again.notes["unscored"] == num_words
    assert again.rows_out == num


def test_more_scorers_judge_the_same_completions_once_and_lose_none_of_the_first(
    tmp_path: Path, tiny_model: Path, settings: Settings
) -> None:
    first = evaluate(begin(settings, "r1"))
    (tmp_path / "mine.py").write_text("def odd(answer, target):\n    return len(answer) / 0\n")
    also = ["exact", {"composite": [{"scorer": "exact"}, {"scorer": "includes", "weight": 3}]}]
    suites = {
        "words": {"scorer": "token_f1", "also": also},
        "labels": {"scorer": "choice", "also": ["mine:odd"]},
    }
    more = settings_for(tmp_path, tiny_model, suites=suites)
    receipt = evaluate(begin(more, "r2"))
    assert receipt.notes["computed"] == 0
    # what another scorer could not judge is no answer that lacks its score
    for name in ("unscored", "faults"):
        assert receipt.notes[name] == first.notes[name]
    counts = {
        scorer.partition("@")[0].partition("(")[0]: (num, values)
        for scorer, num, values in rows(
            settings, "SELECT scorer, count(*), count(value) FROM scores GROUP BY 1"
        )
    }
    assert counts == {
        "token_f1": (NUM, NUM), "choice": (NUM, NUM), "exact": (NUM, NUM),
        "composite": (NUM, NUM), "mine:odd": (NUM, 0),
    }  # fmt: skip
    before = rows(settings, "SELECT * FROM scores ORDER BY ALL")
    evaluate(begin(more, "r3"))
    assert rows(settings, "SELECT * FROM scores ORDER BY ALL") == before


def test_run_without_its_own_eval_set_takes_the_latest(settings: Settings) -> None:
    begin(settings, "r0")
    run = begin(settings, "r1", eval_set=None)
    assert evaluate(run).key == EVAL_SET
    with run.open_store() as store:
        assert ledger.run_value(store, "r1", "eval_set_digest") == EVAL_SET


def test_no_eval_set_and_an_empty_one_are_one_clear_line(tmp_path: Path, tiny_model: Path) -> None:
    made = settings_for(tmp_path, tiny_model)
    with pytest.raises(UsageError, match="there is no eval set yet"):
        evaluate(begin(made, "r1", eval_set=None))
    with pytest.raises(UsageError, match="holds no sample"):
        evaluate(begin(made, "r2"))


def test_damaged_weights_are_one_clear_line_and_nothing_is_kept(
    tmp_path: Path, tiny_model: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"not a tensor")
    made = settings_for(tmp_path, broken)
    store_eval_set(made, [sample(1)])
    with pytest.raises(UsageError, match="the model of release 'one' cannot be used"):
        evaluate(begin(made, "r1"))
    assert rows(made, "SELECT count(*) FROM completions") == [(0,)]


def test_two_models_are_loaded_one_after_the_other(
    settings: Settings, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tiny_model import write_tiny_model

    other = write_tiny_model(tmp_path / "other-model", seed=1)
    values = settings.model_dump(mode="json", by_alias=True)
    values["releases"]["two"]["model"] = str(other)
    made = parse_settings(values, base=str(tmp_path))
    open_now: list[str] = []
    real_load, real_close = compute._load, LocalBackend.close

    def load(release: Any) -> Any:
        assert not open_now
        open_now.append(release.name)
        return real_load(release)

    def close(self: LocalBackend) -> None:
        open_now.clear()
        real_close(self)

    monkeypatch.setattr(compute, "_load", load)
    monkeypatch.setattr(LocalBackend, "close", close)
    receipt = evaluate(begin(made, "r1"))
    assert [used["releases"] for used in receipt.notes["engines"]] == [["one"], ["two"]]


def test_quantised_release_has_its_own_engine_and_answers(
    settings: Settings, tmp_path: Path
) -> None:
    """The same model and prompt, so that a gate compares a quantised release with its parent."""
    values = settings.model_dump(mode="json", by_alias=True)
    values["releases"]["two"] = values["releases"]["one"] | {
        "engine": values["releases"]["one"]["engine"] | {"quantization": "int4"}
    }
    made = parse_settings(values, base=str(tmp_path))
    receipt = evaluate(begin(made, "r1"))
    assert [used["releases"] for used in receipt.notes["engines"]] == [["one"], ["two"]]
    assert receipt.notes["computed"] == 2 * NUM
    texts = rows(made, "SELECT count(*), count(DISTINCT text) FROM completions GROUP BY sample_id")
    assert (2, 2) in texts  # random weights of 4 bits answer otherwise
    assert evaluate(begin(made, "r2")).notes["computed"] == 0


def test_store_is_free_while_the_model_computes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = LocalBackend.answer, []

    def looks(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            with Run("x", run.request, settings).open_store() as store:
                opened.append(store.scalar("SELECT count(*) FROM completions"))
            on_reply(place, reply)

        real(self, asks, take, meter)

    run = begin(settings, "r1")
    monkeypatch.setattr(LocalBackend, "answer", looks)
    evaluate(run)
    assert opened == [6 * (n // 6) for n in range(2 * NUM)]
