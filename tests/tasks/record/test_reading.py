from __future__ import annotations

import pytest

from tasks.model.canonical import writable
from tasks.record.reading import read_turn
from tasks.run import Run
from tasks.store.evals.samples import keep_samples_of_run
from tests.tasks.record.stores import read


def test_pairs_come_in_the_order_of_the_set_with_both_answers(decided: Run) -> None:
    turn = read(decided)
    assert [item.sample.messages[0]["content"].split(":")[0] for item in turn.judged[:3]] == [
        "Ticket 0", "Ticket 1", "Ticket 2",
    ]  # fmt: skip
    first = turn.judged[1]
    assert (first.score("champion"), first.score("challenger")) == (1.0, 0.0)
    assert first.difference() == -1.0


def test_a_missing_answer_and_an_unscored_one_are_told_apart(decided: Run) -> None:
    turn = read(decided)
    (missing,), (unscored,) = (turn.judged[n].answers["challenger"] for n in (7, 9))
    assert missing.is_missing
    assert not unscored.is_missing
    assert (missing.text, missing.value) == (None, None)
    assert missing.error == "the prompt is longer than the context"
    assert unscored.text is not None
    assert (unscored.value, unscored.unscored_reason) == (None, "the target is empty")


def test_scores_of_other_seeds_are_left_alone(decided: Run) -> None:
    with decided.open_store() as store:
        store.execute("UPDATE scores SET seed = 7")
        turn = read_turn(store, decided.run_id, range(1), {})
    scores = [
        (answer.value, answer.counted)
        for item in turn.judged
        for answers in item.answers.values()
        for answer in answers
    ]
    # what the release itself failed counts 0; nobody knows the others
    assert scores.count((None, 0.0)) == 1
    assert scores.count((None, None)) == len(scores) - 1


def test_repeats_are_averaged(decided: Run) -> None:
    with decided.open_store() as store:
        for table, key in (("completions", ""), ("scores", ", scorer")):
            store.execute(
                f"INSERT INTO {table} SELECT * REPLACE (seed + 1 AS seed) FROM {table} "
                f"ORDER BY sample_id{key}"
            )
        store.execute("UPDATE scores SET value = 0.5 WHERE seed = 1 AND value IS NOT NULL")
        turn = read_turn(store, decided.run_id, range(2), {})
    first = turn.judged[0]
    assert (len(first.answers["champion"]), first.score("champion")) == (2, 0.75)


def test_log_files_of_the_eval_set_are_found_with_their_digest(decided: Run) -> None:
    (file,) = read(decided).log_files
    assert file.path.endswith("/logs/day <1>.jsonl")
    assert file.read_in_this_run
    assert len(file.digest) == 64


@pytest.mark.parametrize("text", ["a\ud800b", "\udc00", "plain ☃ 😀", "\ufeffkept"])
def test_cleaned_text_can_always_be_written(text: str) -> None:
    cleaned = writable({"k": [text]})["k"][0]
    cleaned.encode()
    assert cleaned == text or "\ufffd" in cleaned


def test_health_counts_what_the_verdict_counts(decided: Run) -> None:
    turn = read(decided)
    assert turn.health.releases == ("candidate", "prod")
    for item, sample in zip(turn.judged, turn.health.samples, strict=True):
        assert sample.sample == item.sample
        assert sample.scores == (item.score("challenger"), item.score("champion"))
    failed, unscored = (turn.health.samples[number].scores[0] for number in (7, 9))
    assert (failed, unscored) == (0.0, None)


def test_health_knows_answers_of_other_runs_and_seeds(decided: Run) -> None:
    with decided.open_store() as store:
        store.execute("UPDATE releases SET sampling = '{\"temperature\": 0.7}'")
        for table, key in (("completions", ""), ("scores", ", scorer")):
            store.execute(
                f"INSERT INTO {table} SELECT * REPLACE (seed + 7 AS seed) FROM {table} "
                f"ORDER BY sample_id{key}"
            )
        store.execute("UPDATE scores SET value = 0 WHERE seed = 7 AND value = 1")
        turn = read_turn(store, decided.run_id, range(1), {})
    tickets = next(suite for suite in turn.health.suites if suite.suite == "tickets")
    assert (tickets.num_samples, tickets.num_repeated, tickets.num_releases) == (14, 14, 2)
    assert tickets.num_flaky == 14
    # the judge lost the challenger's two answers; the champion's two are known
    assert turn.health.samples[9].num_answers == 2
    assert turn.health.samples[0].scores == (0.5, 0.5)
    assert turn.judged[0].score("champion") == 1.0


def test_health_is_of_the_whole_set_where_the_run_stopped_before_it_had_asked_all(
    decided: Run,
) -> None:
    before = read(decided).health
    with decided.open_store() as store:
        asked = {item.sample.sample_id: True for item in before.samples[10:20]}
        keep_samples_of_run(store, decided.run_id, asked)
        turn = read_turn(store, decided.run_id, range(1), {})
    assert len(turn.judged) == 10
    assert turn.health == before
