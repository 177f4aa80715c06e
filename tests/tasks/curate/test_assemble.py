"""Targets, duplicates, clusters and digests, through the pure door `assemble`."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate.assemble import Counts, assemble, replayable
from tasks.curate.evalset import Draft, EvalSet, eval_set
from tasks.curate.items import suite_item
from tasks.curate.targets import TargetResolver
from tasks.model.canonical import canonical_json
from tasks.model.logged_call import Conversation, LoggedCall, Opinion
from tasks.settings import CurateSettings

_RULE = CurateSettings(max_samples=50, near_duplicate_jaccard=0.8)
_LONG = "my parcel has not come and i would like to know where it is today"


def _conversation(text: str, system: str | None = None) -> Conversation:
    return Conversation(system, ({"role": "user", "content": text},))


def _sample(text: str, target: str = "gold", **changes: object) -> Draft:
    sample = Draft("route", "route", _conversation(text), target, "gold", "suite", {})
    return replace(sample, **changes)  # type: ignore[arg-type]


def _call(
    request_id: str, text: str, *, system: str | None = None, minutes: int = 0, **changes: object
) -> LoggedCall:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    call = LoggedCall(
        request_id, _conversation(text, system), f"answer to {request_id}", at, task="route"
    )
    return replace(call, **changes)  # type: ignore[arg-type]


def _assembled(
    samples: list[Draft],
    calls: list[LoggedCall],
    *,
    rule: CurateSettings = _RULE,
    use_logged: bool = True,
) -> tuple[EvalSet, Counts]:
    resolver = TargetResolver({"route": "route"}, samples, use_logged=use_logged)
    assembled = assemble(samples, calls, resolver, rule, seed=0, gating={"route"})
    return assembled.eval_set, assembled.counts


def _only(calls: list[LoggedCall], *, samples: list[Draft] | None = None) -> tuple[str, str, str]:
    found, _ = _assembled(samples or [], calls)
    (sample,) = [s for s in found.samples if s.request_id is not None]
    return sample.suite, sample.target_kind, sample.target


def test_a_suite_item_keeps_all_of_its_sample_and_says_where_it_is_from() -> None:
    odd = _sample(
        "x", task="t", origin="pin", slices={"a": "b"}, must_pass=True, request_id="r", cluster="c",
        weight=2.0, num_draws=3.0, stratum="liked", is_counted=False, session="7", step=4,
    )  # fmt: skip
    plain = Draft("", None, odd.conversation, "", "", "", {})
    of_this = {each.name for each in fields(Draft)} - {"conversation"}
    assert all(getattr(odd, name) != getattr(plain, name) for name in of_this)
    told = {"origin": "suite", "task": "t", "a": "b"}
    assert suite_item(odd).draft == replace(odd, slices=told)


def test_a_correction_is_the_target() -> None:
    opinion = Opinion(corrected="right", thumbs=1.0)
    assert _only([_call("a", "x", opinion=opinion)]) == ("route", "corrected", "right")


def test_a_thumbs_up_accepts_the_logged_answer() -> None:
    call = _call("a", "x", opinion=Opinion(thumbs=1.0))
    assert _only([call]) == ("route", "accepted", "answer to a")


def test_without_feedback_the_logged_answer_is_a_reference() -> None:
    assert _only([_call("a", "x")]) == ("logged", "logged", "answer to a")


def test_a_task_no_suite_covers_goes_to_the_logged_suite() -> None:
    call = _call("a", "x", task="chat", opinion=Opinion(corrected="right"))
    assert _only([call]) == ("logged", "corrected", "right")


@pytest.mark.parametrize("opinion", [Opinion(thumbs=-1.0), Opinion(incident=True)])
def test_a_disliked_answer_is_no_reference(opinion: Opinion) -> None:
    found, counts = _assembled([], [_call("a", "x", opinion=opinion)])
    assert not found.samples
    assert (counts.without_target, counts.rows_out) == (1, 1)


def test_logged_answers_can_be_refused() -> None:
    _, counts = _assembled([], [_call("a", "x"), _call("b", "y")], use_logged=False)
    assert (counts.without_target, counts.num_samples) == (2, 0)


def test_gold_target_of_the_same_question_is_known_for_a_failed_call() -> None:
    failed = _call("a", " X ", is_error=True, response=None)
    resolver = TargetResolver({"route": "route"}, [_sample("x")], use_logged=True)
    target = resolver.resolve(failed)
    assert target is not None
    assert (target.text, target.kind) == ("gold", "gold")
    assert replayable(failed, resolver)
    assert not replayable(_call("b", "other", is_error=True), resolver)


def test_a_call_that_names_no_task_is_known_by_its_question() -> None:
    resolver = TargetResolver({"route": "route"}, [_sample("x")], use_logged=True)
    target = resolver.resolve(_call("a", "x", task=None))
    assert target is not None
    assert (target.suite, target.task) == ("route", "route")


def test_calls_that_repeat_a_suite_sample_are_duplicates_of_it() -> None:
    calls = [_call("a", _LONG.upper()), _call("b", _LONG + " please")]
    found, counts = _assembled([_sample(_LONG)], calls)
    assert [sample.origin for sample in found.samples] == ["suite"]
    assert (counts.exact_duplicates, counts.near_duplicates) == (1, 1)
    assert (counts.rows_in, counts.rows_out) == (3, 1)


def test_suite_samples_stay_even_when_alike_and_share_a_cluster() -> None:
    found, counts = _assembled([_sample(_LONG), _sample(_LONG + " please")], [])
    assert (counts.num_samples, counts.num_clusters) == (2, 1)
    assert len({sample.cluster_id for sample in found.samples}) == 1


def test_of_near_duplicates_the_earliest_stays() -> None:
    early, late = _call("z", _LONG), _call("a", _LONG + " please", minutes=5)
    assert _kept([early, late]) == ["z"]
    assert _kept([early, replace(late, started_at=early.started_at)]) == ["a"]


def test_what_most_who_judged_a_question_said_is_said_of_all_its_calls() -> None:
    unjudged = [_call(f"u{n}", _LONG) for n in range(5)]
    liked = [_call(f"l{n}", _LONG, opinion=Opinion(thumbs=1.0), minutes=n) for n in range(1, 3)]
    wrong = _call("w", _LONG, opinion=Opinion(corrected="right"), minutes=9)
    (sample,) = _assembled([], [*unjudged, *liked, wrong])[0].samples
    assert (sample.stratum, sample.request_id, sample.target) == ("liked", "l1", "answer to l1")
    # when they are even, the last word
    (sample,) = _assembled([], [*unjudged, liked[0], wrong])[0].samples
    assert (sample.stratum, sample.request_id, sample.target) == ("failed", "w", "right")
    (sample,) = _assembled([], [*unjudged, liked[0], replace(wrong, started_at=None)])[0].samples
    assert sample.stratum == "failed"
    early = replace(wrong, started_at=unjudged[0].started_at)
    (sample,) = _assembled([], [*unjudged, liked[0], early])[0].samples
    assert sample.stratum == "liked"


def test_near_duplicates_with_other_right_answers_are_two_samples_in_two_clusters() -> None:
    right = [_call("a", _LONG, opinion=Opinion(corrected="refund"))]
    other = [_call("b", _LONG + " please", opinion=Opinion(corrected="delivery"))]
    found, counts = _assembled([], right + other)
    assert counts.num_samples == 2
    assert len({sample.cluster_id for sample in found.samples}) == 2
    # the same answer in another form, or an answer of production, makes no other question
    same = [_call("b", _LONG + " please", opinion=Opinion(corrected=" REFUND"))]
    assert _assembled([], right + same)[1].num_samples == 1
    assert _assembled([], [*right, _call("b", _LONG + " please")])[1].num_samples == 1


def test_an_audited_answer_is_right_and_no_opinion() -> None:
    audited = _call("a", "x", opinion=Opinion(audited="right"))
    assert _only([audited]) == ("route", "gold", "right")
    (sample,) = _assembled([], [audited])[0].samples
    assert (sample.stratum, sample.origin) == ("unjudged", "traffic")
    assert _only([replace(audited, task="chat")]) == ("logged", "gold", "right")
    both = _call("a", "x", opinion=Opinion(audited="right", corrected="better"))
    assert _only([both]) == ("route", "corrected", "better")


def test_a_greeting_asked_900_times_is_one_sample_that_stands_for_all_of_them() -> None:
    liked = Opinion(thumbs=1.0)
    calls = [_call(f"h{n}", "hello there", opinion=liked) for n in range(900)]
    calls += [_call(f"q{n}", f"where is order {n}", opinion=liked) for n in range(100)]
    found, _ = _assembled([], calls, rule=_RULE.model_copy(update={"max_samples": 21}))
    weights = sorted(sample.weight for sample in found.samples)
    assert len(weights) == 21
    assert weights[-1] == pytest.approx(0.9 * 21)
    assert weights[:-1] == pytest.approx([0.1 * 21 / 20] * 20)


def test_conversations_of_data_sets_are_no_traffic() -> None:
    def of_data_set(number: int) -> LoggedCall:
        text = f"write a poem on the number {number * 7919} for me please"
        return _call(f"d{number}", text, started_at=None, of_data_set=True)

    asked = [_call(f"c{i}", f"{_LONG} order {i}", task=None) for i in range(4)]
    conversations = [replace(of_data_set(i), task=None) for i in range(30)]
    found, counts = _assembled([], [*asked, *conversations])
    assert {sample.request_id for sample in found.samples} == {"c0", "c1", "c2", "c3"}
    assert counts.not_selected == 30
    # they make no question likelier that production asks, nor a sample that it never asked
    greeting = _call("same", f"{_LONG} order 1", started_at=None, of_data_set=True, task=None)
    again, _ = _assembled([], [*asked, *[replace(greeting, request_id=f"s{i}") for i in range(9)]])
    weights = {sample.request_id: sample.weight for sample in again.samples}
    assert weights == {sample.request_id: sample.weight for sample in found.samples}
    # alone they are the source of an eval set
    alone, _ = _assembled([], conversations)
    assert len(alone.samples) == 30
    # what production does not ask in this suite is beside nothing
    other, _ = _assembled([], [*asked, of_data_set(1)])
    assert "d1" in {sample.request_id for sample in other.samples}


def _draws(calls: list[LoggedCall], max_samples: int = 1_000) -> dict[str, float]:
    found, _ = _assembled([], calls, rule=_RULE.model_copy(update={"max_samples": max_samples}))
    return {str(s.messages[0]["content"]): s.num_draws for s in found.samples}


def test_a_question_is_worth_the_conversations_that_asked_the_very_same() -> None:
    liked = Opinion(thumbs=1.0)
    apart = [_call(f"h{n}", "hello there", opinion=liked) for n in range(9)]
    other = [_call("o", "where is it", opinion=liked)]
    assert _draws(apart + other) == {"hello there": 9, "where is it": 1}
    # three calls each of three people: three draws
    of_three = [replace(call, session_id=f"s{n % 3}") for n, call in enumerate(apart)]
    assert _draws(of_three + other) == {"hello there": 3, "where is it": 1}
    # of texts that are only nearly the same, the answer may be another: they hang on this one
    refund = Opinion(corrected="refund")
    near = [_call(f"n{n}", _LONG + end, opinion=refund)
            for n, end in enumerate(["", "", "", " please"])]  # fmt: skip
    share = 3 / 4
    assert _draws(near) == {_LONG: pytest.approx((share / 3**0.5 + 1 - share) ** -2, abs=1e-6)}


def test_a_question_that_was_drawn_by_chance_is_worth_less_than_its_conversations() -> None:
    """Of 40 questions asked twice each 10 are taken: every fourth, each one for four."""
    liked = Opinion(thumbs=1.0)
    calls = [_call(f"{n} {m}", f"where is order {n}", opinion=liked)
             for n in range(40) for m in "ab"]  # fmt: skip
    draws = _draws(calls, max_samples=10)
    assert len(draws) == 10
    assert set(draws.values()) == {round(1 / (1 - 1 / 4 + 1 / 4 / 2), 6)}


@pytest.mark.parametrize("count", [19, 600])
def test_orders_in_three_prompt_versions_are_all_samples(count: int) -> None:
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    prompts = [
        " ".join("".join(draw.choices(letters, k=6)) for _ in range(120)) for _version in range(3)
    ]
    calls = [
        _call(f"q{n}", f"{prompts[n % 3]} my order {70_000 + n} has not come", minutes=n)
        for n in range(count)
    ]
    _, counts = _assembled([], calls, rule=_RULE.model_copy(update={"max_samples": 1000}))
    assert counts.num_samples == count


def test_an_id_of_an_application_ties_nothing_together() -> None:
    calls = [_call(f"a{n}", f"question {n}", session_id="bot") for n in range(150)]
    calls += [_call(f"b{n}", f"other question {n}", session_id="person") for n in range(100)]
    resolver = TargetResolver({"route": "route"}, [], use_logged=True)
    rule = _RULE.model_copy(update={"max_samples": 1000})
    assembled = assemble([], calls, resolver, rule, seed=0, gating={"route"})
    assert assembled.applications == {"bot": 150}
    assert assembled.counts.num_clusters == 151
    few = assemble([], calls[:100], resolver, rule, seed=0, gating={"route"})
    assert (few.applications, few.counts.num_clusters) == ({}, 1)


def test_asked_hand_written_samples_stand_for_their_calls_and_others_for_themselves() -> None:
    liked = Opinion(thumbs=1.0)
    samples = [_sample("x"), _sample("y", slices={"n": "2"}), _sample("never asked")]
    calls = [_call(f"x{n}", "x") for n in range(6)]
    calls += [_call("y", "y", opinion=liked)]
    calls += [_call(f"z{n}", f"mined {n}", opinion=liked) for n in range(2)]
    found, _ = _assembled(samples, calls)
    by_text = {s.messages[0]["content"]: (s.weight, s.stratum, s.is_counted) for s in found.samples}
    assert by_text == {
        "x": (pytest.approx(6 * 4 / 9), "unjudged", True),
        "y": (pytest.approx(4 / 9), "liked", True),
        "mined 0": (pytest.approx(4 / 9), "liked", True),
        "mined 1": (pytest.approx(4 / 9), "liked", True),
        "never asked": (1.0, "", True),
    }


def test_a_call_like_two_hand_written_samples_is_shared_by_them() -> None:
    samples = [_sample(_LONG + " now"), _sample(_LONG + " soon"), _sample("x")]
    calls = [_call("a", _LONG), _call("b", _LONG + " now"), *(_call(f"x{n}", "x") for n in "12")]
    found, _ = _assembled(samples, calls)
    weights = [s.weight for s in sorted(found.samples, key=lambda s: s.messages[0]["content"])]
    assert weights == pytest.approx([1.5 * 3 / 4, 0.5 * 3 / 4, 2 * 3 / 4])


def test_one_text_in_two_tasks_is_two_samples_in_one_cluster() -> None:
    found, counts = _assembled([], [_call("a", _LONG), _call("b", _LONG, task="mood")])
    assert counts.num_samples == 2
    assert len({sample.cluster_id for sample in found.samples}) == 1


def test_without_a_task_the_system_message_tells_the_question() -> None:
    calls = [
        _call("a", _LONG, task=None, system="Translate."),
        _call("b", _LONG, task=None, system="Summarise."),
        _call("c", _LONG, task=None, system="translate. "),
    ]
    assert _kept(calls) == ["a", "b"]


def test_calls_of_one_conversation_share_a_cluster() -> None:
    calls = [_call("a", "x", session_id="s"), _call("b", "y", session_id="s"), _call("c", "z")]
    found, _ = _assembled([], calls)
    clusters = {sample.request_id: sample.cluster_id for sample in found.samples}
    assert clusters["a"] == clusters["b"] != clusters["c"]


def test_a_suite_sample_joins_the_conversation_that_asked_it() -> None:
    calls = [_call("a", "x", session_id="s"), _call("b", "another question", session_id="s")]
    found, _ = _assembled([_sample("x")], calls)
    assert len({sample.cluster_id for sample in found.samples}) == 1


def test_a_greeting_in_every_conversation_does_not_tie_them_into_one_cluster() -> None:
    calls = [_call(f"hi-{n}", "hello there", session_id=f"s{n}", minutes=n) for n in range(20)]
    calls += [_call(f"q-{n}", f"question {n}", session_id=f"s{n}") for n in range(20)]
    _, counts = _assembled([_sample("hello there")], calls)
    assert counts.num_clusters == 20


def test_declared_clusters_are_kept_together() -> None:
    samples = [_sample("x", cluster="c"), _sample("y", cluster="c"), _sample("z")]
    _, counts = _assembled(samples, [])
    assert counts.num_clusters == 2


def test_mined_samples_are_capped_and_suite_samples_are_not() -> None:
    samples = [_sample(f"suite question {n}") for n in range(30)]
    calls = [_call(f"q{n}", f"mined question {n}") for n in range(80)]
    _, counts = _assembled(samples, calls, rule=_RULE.model_copy(update={"max_samples": 10}))
    assert (counts.num_samples, counts.not_selected) == (40, 70)
    assert counts.by_origin == {"suite": 30, "traffic": 10}
    assert counts.by_suite == {"logged": 10, "route": 30}


def test_slices_hold_origin_task_and_length_and_the_authors_own() -> None:
    found, _ = _assembled([_sample("x", slices={"language": "en"})], [_call("a", "y" * 300)])
    slices = {sample.origin: canonical_json(sample.slices) for sample in found.samples}
    assert slices["suite"] == '{"language":"en","origin":"suite","task":"route"}'
    assert slices["traffic"] == '{"length":"medium","origin":"traffic","task":"route"}'


_TEXTS = [_LONG, _LONG + " please", "hello there", "HELLO there", "question one", "question two"]


@st.composite
def _histories(draw: st.DrawFn) -> list[LoggedCall]:
    count = draw(st.integers(1, 14))
    opinions = (Opinion(), Opinion(corrected="right"), Opinion(thumbs=1.0), Opinion(thumbs=-1.0))
    return [
        _call(
            f"q{number}",
            draw(st.sampled_from(_TEXTS)),
            minutes=draw(st.integers(0, 3)),
            session_id=draw(st.sampled_from((None, "s1", "s2"))),
            task=draw(st.sampled_from((None, "route", "mood"))),
            opinion=draw(st.sampled_from(opinions)),
        )
        for number in range(count)
    ]


@settings(deadline=None, max_examples=60)
@given(_histories(), st.randoms(use_true_random=False), st.booleans())
def test_the_same_history_in_any_order_gives_the_same_set_and_adds_up(
    calls: list[LoggedCall], draw: random.Random, use_logged: bool
) -> None:
    samples = [_sample(_LONG), _sample("hello there")]
    rule = _RULE.model_copy(update={"max_samples": 3})
    shuffled = draw.sample(calls, len(calls))
    found, counts = _assembled(samples, calls, rule=rule, use_logged=use_logged)
    again, same_counts = _assembled(samples, shuffled, rule=rule, use_logged=use_logged)
    assert (again, same_counts) == (found, counts)
    assert counts.rows_in == len(calls) + 2
    assert counts.rows_in == counts.rows_out + counts.exact_duplicates + counts.near_duplicates
    assert counts.rows_out == counts.num_samples + counts.without_target + counts.not_selected
    assert sum(sample.request_id is not None for sample in found.samples) <= 3


def _draft(text: str = "x", **changes: object) -> Draft:
    draft = Draft("route", "route", _conversation(text), "t", "gold", "suite", {"a": "b"})
    return replace(draft, **changes)  # type: ignore[arg-type]


def test_everything_that_is_asked_or_judged_changes_the_sample_id() -> None:
    variants = [
        _draft(), _draft("y"), _draft(suite="s"), _draft(task=None), _draft(target="u"),
        _draft(conversation=_conversation("x", "system")), _draft(must_pass=True),
        _draft(slices={}), _draft(origin="traffic"), _draft(target_kind="logged"),
    ]  # fmt: skip
    assert len({draft.sample_id for draft in variants}) == len(variants)
    in_a_set = _draft(request_id="q", weight=2.0, stratum="failed", is_counted=False)
    assert in_a_set.sample_id == _draft().sample_id


def test_digest_covers_what_each_sample_counts() -> None:
    plain = _draft("x", request_id="q")
    others = [replace(plain, weight=2.0), replace(plain, stratum="liked"),
              replace(plain, is_counted=False)]  # fmt: skip
    digests = {eval_set([draft, _draft("y")], [0, 1]).digest for draft in (plain, *others)}
    assert len(digests) == 4


def test_digest_covers_samples_and_how_they_cluster_but_no_labels() -> None:
    drafts = [_draft("x"), _draft("y"), _draft("z")]
    digest = eval_set(drafts, [0, 0, 2]).digest
    assert eval_set(drafts[::-1], [7, 5, 5]).digest == digest
    assert eval_set(drafts, [0, 1, 2]).digest != digest
    assert eval_set(drafts[:2], [0, 0]).digest != digest


def test_one_sample_twice_is_our_bug() -> None:
    with pytest.raises(ValueError, match="same sample"):
        eval_set([_draft(), _draft()], [0, 1])


def _kept(calls: list[LoggedCall]) -> list[str | None]:
    found, _ = _assembled([], calls)
    return sorted(str(sample.request_id) for sample in found.samples)
