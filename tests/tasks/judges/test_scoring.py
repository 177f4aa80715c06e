"""Judges in a run, with a backend that answers by what it is asked: scores, cards, who decides."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.answering import compute
from tasks.backends.base import Ask, BackendFacts, Meter, OnReply, Pace, Reply
from tasks.errors import UsageError
from tasks.evaluate.task import evaluate
from tasks.gate.task import gate
from tasks.model.failure import Failure
from tasks.model.judge import JudgeCard
from tasks.model.verdict import RecordedVerdict
from tasks.releases.resolve import ResolvedRelease
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control.verdicts import read_verdicts
from tasks.store.evals.answers import mean_tokens
from tasks.store.evals.judgements import last_deciding
from tests.tasks.evaluate.stage import begin, rows, sample, store_eval_set

NUM = 24


@dataclass
class World:
    """`answer`: (release, number of the question) → text; `judge`: the prompt → text."""

    folder: Path
    answer: Callable[[str, int], str] = lambda name, number: f"{name} says {number}"
    judge: Callable[[str], str] = lambda prompt: '{"score": 5, "reason": "fine"}'
    num_judged: int = 0
    refuses: bool = False
    settings: Settings = field(init=False)

    def set_up(self, *, role: str = "guard", judges: Any = None, **judge: Any) -> Settings:
        release = {"model": "m", "api": "openai", "base_url": "http://127.0.0.1:9/v1"}
        for name in ("one", "two"):
            (self.folder / f"{name}.md").write_text(f"You are {name}.")
        made = {"release": "judge", "rubric": "Be right.", **judge}
        values = {
            "home": "home",
            "releases": {
                "one": {**release, "prompt": "one.md"},
                "two": {**release, "prompt": "two.md"},
                "judge": {**release, "model": "big", "price": {"input": 1.0, "output": 2.0}},
            },
            "judges": judges or {"fair": made},
            "suites": {"words": {"scorer": {"judge": "fair"}, "role": role, "margin": 0.2}},
            "gate": {"early": 0.0},
        }
        self.settings = parse_settings(values, base=str(self.folder))
        return self.settings

    def fill(self, num: int = NUM, **changes: Any) -> None:
        made = {"suite": "words", "task": "words", "target": "t", **changes}
        store_eval_set(self.settings, [sample(n, **made) for n in range(num)])

    def labels(self, *records: Any) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records)
        (self.folder / "labels.jsonl").write_text(text)

    def judged(self, run_id: str = "r1") -> JudgeCard:
        """Evaluated, not decided."""
        receipt = evaluate(begin(self.settings, run_id))
        return JudgeCard.from_json(receipt.notes["judges"]["words"])

    def turn(self, run_id: str = "r1", **asked: Any) -> tuple[RecordedVerdict, JudgeCard]:
        run = begin(self.settings, run_id, **asked)
        evaluate(run)
        gate(run)
        with run.open_store() as store:
            decided = read_verdicts(store, run_id)["challenger"]
        card = decided.suites[0].judge
        assert card is not None
        return decided, card


class _Backend:
    """Stands for whatever answers for a release."""

    def __init__(self, world: World, release: ResolvedRelease) -> None:
        self.world, self.name = world, release.name

    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        for place, ask in enumerate(asks):
            on_reply(place, self._reply(str(ask.messages[-1]["content"]), ask))

    def _reply(self, prompt: str, ask: Ask) -> Reply:
        world, failure = self.world, None
        if prompt.startswith("You judge"):
            world.num_judged += 1
            text = world.judge(prompt)
            if world.refuses:
                failure = Failure("context", "the prompt is too long", "release", False)
        else:
            name = str(ask.messages[0]["content"]).split()[-1].strip(".")
            text = world.answer(name, int(prompt.split()[-1]))
        said = None if failure is not None else text
        return Reply(said, "stop", len(prompt), 0, len(text), failure)

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        return Pace(chunk_size, chunk_size)

    def facts(self) -> BackendFacts:
        return BackendFacts("cpu", "float32", 0.0, 0.0)

    def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(compute, "_load", lambda release: _Backend(made, release))
    return made


def shown(prompt: str, name: str = "answer") -> str:
    found = re.search(rf"<{name}-(\w+)>\n(.*?)\n</{name}-\1>", prompt, re.DOTALL)
    assert found is not None, prompt
    return found.group(2)


def by_number(prompt: str) -> str:
    """Right where the number is even, and says so."""
    number = int(shown(prompt).split()[-1])
    return json.dumps({"score": 1 + 4 * (number % 2 == 0), "reason": "parity"})


def good_labels(num: int = 60) -> list[Any]:
    return [
        {"input": f"asked {n}", "answer": f"it is {n}", "label": n % 2 == 0} for n in range(num)
    ]


def test_an_answer_gets_what_the_judge_says_and_nothing_is_asked_twice(world: World) -> None:
    world.judge = by_number
    settings = world.set_up()
    world.fill()
    card = world.judged()
    kept = rows(settings, "SELECT value, explanation, fault FROM scores ORDER BY sample_id")
    assert [value for value, _, _ in kept] == [1.0, 1.0, 0.0, 0.0] * (NUM // 2)
    assert kept[0][1:] == ("judge fair: 5: parity (of 1 to 5)", None)
    assert card.num_asked == world.num_judged == 2 * NUM
    assert (card.cost, card.currency) == (
        pytest.approx((card.input_tokens + 2 * card.output_tokens) / 1e6), "USD"
    )  # fmt: skip
    world.judged("r2")
    assert world.num_judged == 2 * NUM


def test_a_judge_without_labels_informs_and_the_verdict_says_why(world: World) -> None:
    world.set_up()
    world.fill(must_pass=True)
    world.judge = lambda _: '{"score": 1}'
    decided, card = world.turn()
    suite = decided.suites[0]
    assert decided.verdict == "cannot_tell"  # not blocked: such a judge cannot even do that
    assert (suite.rule.role, card.declared_role, card.can_gate) == ("report", "guard", False)
    assert any(
        "suite words does not decide: its judge fair informs only, because there is no label of "
        "people" in one
        for one in decided.reasons
    )  # fmt: skip
    assert suite.to_json()["judge"]["why_not"] == card.why_not
    assert type(suite).from_json(json.loads(json.dumps(suite.to_json()))) == suite


def test_a_judge_that_agrees_with_people_decides(world: World) -> None:
    world.labels(*good_labels())
    world.set_up(labels="labels.jsonl")
    world.fill()
    world.judge = by_number
    decided, card = world.turn()
    assert card.people.kappa == 1
    assert (card.can_gate, decided.suites[0].rule.role, decided.verdict) == (
        True, "guard", "no_worse"
    )  # fmt: skip


def test_what_cannot_be_read_is_unscored_by_the_judges_fault(world: World) -> None:
    settings = world.set_up()
    world.fill(4)
    world.judge = lambda _: "Five out of five."
    card = world.judged()
    kept = rows(settings, "SELECT DISTINCT value, fault, unscored_reason FROM scores")
    assert [(value, fault) for value, fault, _ in kept] == [(None, "judge")]
    assert "it is no JSON" in kept[0][2]
    assert (card.num_unread, card.unread_ratio) == (8, 1.0)


def test_a_pair_is_judged_in_both_orders(world: World) -> None:
    """The challenger wins on even numbers whatever the order; on odd ones the first always does."""
    settings = world.set_up(kind="pairwise")
    world.fill()

    def judge(prompt: str) -> str:
        texts = shown(prompt, "answer_A"), shown(prompt, "answer_B")
        if int(texts[0].split()[-1]) % 2:
            return '{"winner": "A"}'
        return json.dumps({"winner": "A" if texts[0].startswith("two") else "B"})

    world.judge = judge
    card = world.judged()
    assert card.num_asked == 2 * NUM
    assert card.flips.share == 0.5
    # of 24 pairs, 12 one way each and 12 twice the first: 12 + 24 of 48
    assert card.first_wins.share == pytest.approx(0.75)
    means = rows(
        settings, "SELECT name, avg(value) FROM scores JOIN releases USING (release_digest) "
        "GROUP BY name ORDER BY name",
    )  # fmt: skip
    assert means == [("one", 0.25), ("two", 0.75)]
    assert rows(settings, "SELECT count(*), count(DISTINCT scorer) FROM scores") == [(2 * NUM, 1)]


def test_equal_answers_are_a_tie_that_nobody_is_asked_about(world: World) -> None:
    settings = world.set_up(kind="pairwise")
    world.fill(6)
    world.answer = lambda _, number: f"both {number}"
    world.judged()
    assert world.num_judged == 0
    assert rows(settings, "SELECT DISTINCT value FROM scores") == [(0.5,)]


def test_a_pairwise_judge_refuses_several_challengers(world: World) -> None:
    world.set_up(kind="pairwise")
    world.fill(4)
    with pytest.raises(UsageError, match="compares two releases"):
        evaluate(begin(world.settings, "r1", more=("judge",)))


def test_a_reference_judge_sees_the_target(world: World) -> None:
    settings = world.set_up(kind="reference")
    world.fill(2, target="the truth")
    world.judge = lambda prompt: json.dumps(
        {"score": 5 if shown(prompt, "reference") == "the truth" else 1}
    )
    world.judged()
    assert rows(settings, "SELECT DISTINCT value FROM scores") == [(1.0,)]


def test_a_panel_says_what_most_of_it_say(world: World) -> None:
    member = {"release": "judge", "scale": [0, 1]}
    judges = {name: {**member, "rubric": f"As {name}."} for name in ("mild", "fierce", "fiercer")}
    judges["fair"] = {"panel": list(judges), "combine": "majority"}  # type: ignore[dict-item]
    settings = world.set_up(judges=judges)
    world.fill(3)
    world.judge = lambda prompt: json.dumps({"score": int("mild" in prompt)})
    card = world.judged()
    assert rows(settings, "SELECT DISTINCT value FROM scores") == [(0.0,)]
    assert card.num_asked == 3 * 2 * 3


def test_a_lost_answer_of_the_judge_counts_for_no_release(world: World) -> None:
    settings = world.set_up()
    world.fill(4)
    world.refuses = True
    card = world.judged()
    kept = rows(settings, "SELECT DISTINCT value, fault FROM scores")
    assert kept == [(None, "judge")]
    assert (card.num_lost, card.num_unread) == (8, 0)


def test_a_changed_judge_must_agree_with_the_one_before(world: World) -> None:
    world.labels(*good_labels())
    settings = world.set_up(labels="labels.jsonl")
    world.fill()
    world.judge = by_number
    _, first = world.turn("r1")
    assert first.can_gate
    # another rubric, the same opinions: it decides in the run that holds it against the first
    world.set_up(labels="labels.jsonl", rubric="Be truthful.")
    _, second = world.turn("r2")
    assert (second.earlier, second.can_gate) == (first.version, True)
    assert second.overlap is not None
    assert (second.overlap.num_items, second.overlap.kappa) == (2 * NUM, 1)
    # another rubric, that agrees with people and not with the one before on this suite
    on_labels = world.judge

    def other(prompt: str) -> str:
        is_label = "asked" in shown(prompt, "question")
        return on_labels(prompt) if is_label else json.dumps({"score": 1 + len(prompt) % 5})

    world.judge = other
    world.set_up(labels="labels.jsonl", rubric="Be brief and truthful.")
    decided, third = world.turn("r3")
    assert (third.earlier, third.can_gate) == (second.version, False)
    assert "has changed since" in third.why_not[0]
    assert decided.suites[0].rule.role == "report"
    # and it goes on being held against the last one that decided
    with Store.open(settings.store_path, read_only=True) as store:
        assert last_deciding(store, "r4", "words") == second.version
    # until somebody accepts it
    world.set_up(labels="labels.jsonl", rubric="Be brief and truthful.", replaces=second.version)
    assert world.judged("r4").can_gate


def test_labels_of_the_runs_own_answers_give_an_interval_that_must_hold_too(world: World) -> None:
    """The judge finds both equal; people find the challenger wrong on every labelled sample."""
    num = 60
    own = [
        {"input": f"question {n}", "answer": f"{name} says {n}", "label": name == "one"}
        for n in range(20)
        for name in ("one", "two")
    ]
    world.labels(*own, *good_labels(200))
    world.set_up(labels="labels.jsonl", min_kappa=-1.0)
    world.fill(num)
    world.judge = by_number
    decided, card = world.turn()
    both = card.predicted["challenger"]
    assert (both.num_labelled, both.by_judge) == (20, 0)
    assert both.difference == pytest.approx(-1)
    assert card.can_gate
    suite = decided.suites[0]
    assert suite.interval is not None
    assert suite.interval.low > -0.2  # by the judge alone it would pass
    assert (suite.verdict, decided.verdict) == ("cannot_tell", "cannot_tell")
    assert any("by judge and 20 labelled samples together" in one for one in decided.reasons)
    assert card.same_model == ()


def test_a_judge_of_a_releases_own_model_is_told(world: World) -> None:
    world.set_up(release="one")
    world.fill(2)
    assert world.judged().same_model == ("champion", "challenger")
    names = rows(world.settings, "SELECT name FROM releases ORDER BY name")
    assert names == [("judge fair",), ("one",), ("two",)]
    with Store.open(world.settings.store_path, read_only=True) as store:
        # what a judge reads is nothing that a release uses
        assert mean_tokens(store, "one") == mean_tokens(store, "two") == (10.0, 10.0)
        assert mean_tokens(store, "unheard of") == (10.0, 10.0)
