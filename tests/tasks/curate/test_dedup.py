from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate import dedup
from tasks.curate.clusters import clusters_of
from tasks.curate.dedup import jaccard, near_duplicate_groups
from tasks.curate.minhash import (
    MAX_MISS,
    NUM_HASHES,
    banding,
    candidate_pairs,
    signatures,
    sorted_rows,
)
from tasks.curate.normalize import normalize
from tasks.curate.shingles import WIDTH, hash_of, shingle, words_of
from tests.work import Work, assert_linear, counting

_WORDS = ["".join(letters) for letters in product("bdfgklmprstvz", "aeiou", "bdfgklm", "aeiou")]
_SENTENCE = "my parcel has not come and i would like to know where it is today"


def _groups(texts: list[str], threshold: float = 0.8) -> list[int]:
    return near_duplicate_groups(texts, threshold)


def _sets(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def test_one_word_more_is_a_near_duplicate_and_another_sentence_is_not() -> None:
    first, second, third = _groups([_SENTENCE, _SENTENCE + " please", "the tent leaks at the door"])
    assert first == second != third


def test_questions_that_differ_in_a_number_are_different_questions() -> None:
    question = "a shop has {} apples and buys 30 more how many are there"
    assert len(set(_groups([question.format(number) for number in range(10, 30)]))) == 20


def test_formulas_that_differ_in_their_brackets_are_different() -> None:
    one, other = _groups(["( true and false ) or true is", "true and ( false or true ) is"])
    assert one != other


def test_scripts_without_blanks_are_compared_by_character() -> None:
    text = "我的包裹还没有到请问现在在哪里可以查到物流信息"
    first, second, third = _groups([text, text + "吗", "如何修改我的收货地址和电话号码"])
    assert first == second != third


def test_texts_shorter_than_a_shingle_are_alike_only_when_equal() -> None:
    assert len(set(_groups(["yes", "no", "", "yes please", "yes", "?"]))) == 5


def test_no_texts_give_no_groups() -> None:
    assert _groups([]) == []


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_groups_are_those_of_comparing_every_pair(threshold: float) -> None:
    draw = random.Random(3)
    texts = [" ".join(draw.choices(_WORDS, k=draw.randint(4, 40))) for _ in range(60)]
    for text in list(texts):
        words = text.split()
        for _ in range(3):
            words[draw.randrange(len(words))] = draw.choice(_WORDS)
            texts.append(" ".join(words))
    sets = [_sets(text) for text in texts]
    ties: list[list[tuple[int, int]]] = [[] for _ in texts]
    for i in range(len(texts)):
        for j in range(i):
            if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j]):
                ties[i].append((j, i))
                ties[j].append((j, i))
    expected = clusters_of(ties)
    found = _groups(texts, threshold)
    assert _partition(found) == _partition(expected)
    assert 60 < len(set(found)) < len(texts)


def test_jaccard_is_exact() -> None:
    texts = [_SENTENCE, _SENTENCE + " please", "my parcel has not come yet"]
    pairs = np.array([[0, 1], [0, 2], [2, 1], [1, 1]])
    expected = [
        len(_sets(texts[i]) & _sets(texts[j])) / len(_sets(texts[i]) | _sets(texts[j]))
        for i, j in pairs.tolist()
    ]
    assert jaccard(shingle(texts), pairs).tolist() == expected


def test_signatures_estimate_the_jaccard_similarity() -> None:
    draw = random.Random(5)
    shared = draw.sample(_WORDS, 1500)
    texts = [" ".join(shared[: 1000 + step]) for step in (0, 100, 400)]
    signature, sets = signatures(shingle(texts)), shingle(texts)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        true = float(jaccard(sets, np.array([[i, j]]))[0])
        assert abs((signature[i] == signature[j]).mean() - true) < 4 * 0.5 / NUM_HASHES**0.5


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_bands_miss_a_pair_at_the_threshold_hardly_ever(threshold: float) -> None:
    cut = banding(threshold)
    assert cut.num_bands * cut.rows <= NUM_HASHES
    assert (1 - threshold**cut.rows) ** cut.num_bands <= MAX_MISS


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_texts(draw: random.Random) -> None:
    texts = [" ".join(draw.choices(_WORDS[:12], k=8)) for _ in range(30)]
    texts += [text + " and more" for text in texts[:15]]
    order = list(range(len(texts)))
    draw.shuffle(order)
    before, after = _groups(texts, 0.6), _groups([texts[i] for i in order], 0.6)
    assert [before[i] for i in order] == after


def test_a_template_around_short_questions_does_not_make_them_duplicates() -> None:
    draw = random.Random(1)
    template = " ".join(draw.choices(_WORDS, k=150))
    texts = [f"{template} question {' '.join(draw.choices(_WORDS, k=6))}" for _ in range(40)]
    assert len(set(_groups(texts))) == 40
    # a text with the same question stays a duplicate, and few texts are too few to see a template
    assert len(set(_groups([*texts, texts[0] + " please"], 0.7))) == 40
    assert len(set(_groups(texts[:5]))) == 5
    assert len(set(_groups(texts[:4]))) == 1


@pytest.mark.parametrize("num_texts", [19, 600])
def test_a_template_in_several_versions_is_looked_through(num_texts: int) -> None:
    draw = random.Random(2)
    whole = draw.choices(_WORDS, k=200)
    versions = [" ".join([*draw.choices(_WORDS, k=changed), *whole]) for changed in (2, 9, 60)]
    products = draw.sample(_WORDS, num_texts)
    orders = [f"{versions[n % 3]} where is order fw-{n:05d} now" for n in range(num_texts)]
    named = [f"{versions[n % 3]} where is my {products[n]} now" for n in range(num_texts)]
    assert len(set(_groups(orders))) == num_texts
    assert len(set(_groups(named))) == num_texts


def test_one_question_in_some_wordings_is_no_template() -> None:
    """One of them says it all, and the others only more."""
    eaten = "i have had pizza in the fridge since monday so is it safe to eat"
    more = ("it turns out", "so it seems", "as it happens", "oh dear")
    wordings = [eaten, *(f"{start} {eaten}" for start in more), f"{eaten} now", f"{eaten} please"]
    assert len(set(_groups(wordings))) == 1


def test_questions_that_fill_in_one_form_are_so_many() -> None:
    form = "alert my bank and let them know that i'm travelling to {}"
    places = ("peru", "china", "spain", "chad", "rome")
    assert len(set(_groups([form.format(place) for place in places]))) == 5


def test_many_rewordings_of_a_long_question_are_no_template() -> None:
    draw = random.Random(4)
    words = draw.choices(_WORDS, k=60)
    texts = [" ".join(words)]
    for _ in range(40):
        changed = list(words)
        changed[draw.randrange(1, 59)] = draw.choice(_WORDS)
        texts.append(" ".join(changed))
    assert len(set(_groups(texts))) == 1


_KEPT_APART = [
    ("order 4711", "order 4712"),
    ("invoice a-b7/3", "invoice a-b8/3"),
    ("send $5 to account 9", "send $9 to account 5"),
    ("a loss of -5 percent", "a loss of 5 percent"),
    ("paid in €", "paid in $"),
    ("on 2026-11-29", "on 2026-11-28"),
    ("write to ann@mail.example", "write to bob@mail.example"),
    ("open /etc/hosts", "open /etc/passwd"),
    ("rename first_name", "rename last_name"),
    ('translate "good morning"', 'translate "good evening"'),
    ("übersetze „guten morgen“", "übersetze „guten abend“"),
    ("翻译「早上好」", "翻译「晚上好」"),
    ("is a > b", "is a < b"),
    ("thanks 🙂", "thanks 😡"),
    ("do cancel it", "do not cancel it"),
    ("i want it", "i don't want it"),
    ("bitte kündigen", "bitte nicht kündigen"),
    ("请取消", "请不取消"),
    ("订单一二三", "订单一二四"),
    ("मुझे चाहिए", "मुझे नहीं चाहिए"),
]


@pytest.mark.parametrize(("one", "other"), _KEPT_APART)
def test_values_tell_questions_apart_however_alike_the_rest_is(one: str, other: str) -> None:
    around = " ".join(random.Random(6).choices(_WORDS, k=200))
    texts = [normalize(f"{around} {value} {around}") for value in (one, other)]
    assert len(set(_groups(texts))) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 4711", "Order  4711"),
        ("order 4711", "order 4711, please!"),
        ("order 4711 came", "the order 4711 came"),
        ('say "yes" to it', "say “yes” to that"),
        ("i don't know it", "i really don't know it"),
    ],
)
def test_wording_around_the_same_values_does_not(one: str, other: str) -> None:
    around = " ".join(random.Random(6).choices(_WORDS, k=60))
    texts = [normalize(f"{around} {value} {around}") for value in (one, other)]
    assert len(set(_groups(texts))) == 1


def test_where_right_answers_differ_only_texts_of_the_same_answer_are_one() -> None:
    texts = [_SENTENCE, *(f"{_SENTENCE} {word}" for word in ("please", "now", "today", "again"))]
    answers = {
        texts[0]: [("mood", "good")],
        texts[1]: [("mood", "bad")],
        texts[2]: [("mood", "good")],
    }
    first, second, third, fourth, fifth = near_duplicate_groups(texts, 0.8, answers)
    assert first == third
    assert len({first, second, fourth, fifth}) == 4


def test_right_answers_to_other_kinds_of_question_and_the_same_ones_divide_nothing() -> None:
    texts = [f"{_SENTENCE} {word}" for word in ("please", "now", "today")]
    answers = {
        texts[0]: [("mood", "good")],
        texts[1]: [("route", "parcels")],
        texts[2]: [("mood", "good"), ("route", "parcels")],
    }
    assert len(set(near_duplicate_groups(texts, 0.8, answers))) == 1


def test_many_texts_and_a_giant_group_of_them_stay_linear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    num_pairs = 0

    def counted(signature: Any, classes: Any, cut: Any) -> Iterator[Any]:
        nonlocal num_pairs
        for pairs in candidate_pairs(signature, classes, cut):
            num_pairs += len(pairs)
            yield pairs

    monkeypatch.setattr(dedup, "candidate_pairs", counted)

    def groups_of(count: int) -> list[int]:
        draw = random.Random(0)
        texts = [" ".join(draw.choices(_WORDS, k=12)) for _ in range(count)]
        words = draw.choices(_WORDS, k=60)
        alike = []
        for _ in range(count):
            words[draw.randrange(60)] = draw.choice(_WORDS)
            alike.append(" ".join(words))
        orders = [f"{_SENTENCE} {number}" for number in range(count)]
        return near_duplicate_groups(texts + alike + orders, 0.8)

    def work(count: int) -> int:
        nonlocal num_pairs
        num_pairs = 0
        return Work().of(lambda: groups_of(count)) + num_pairs

    assert_linear(work, 300)
    count = 5_000
    groups = groups_of(count)
    assert len(set(groups[:count])) == count
    assert len(set(groups[count : 2 * count])) == 1
    assert len(set(groups[2 * count :])) == count


def test_layers_of_templates_stay_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every family loses one text to each look: the looks are bounded, not the texts."""
    looks = 0
    joined = dedup._joined

    def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return joined(*args)

    monkeypatch.setattr(dedup, "_joined", counted)
    draw = random.Random(8)
    layers = [" ".join(draw.choices(_WORDS, k=40 * 2**layer)) for layer in range(6)]
    texts = [" ".join([*layers[n % 6 :], *draw.choices(_WORDS, k=3)]) for n in range(240)]
    assert len(set(_groups(texts))) == 240
    assert looks <= 1 + dedup._MAX_LAYERS


@pytest.mark.parametrize("text", ["a" * 200_000, "1" * 200_000, "\"" * 100_001, "“" * 100_000,
                                  "'" * 100_001, "'a " * 50_000, "@" * 100_000])  # fmt: skip
def test_values_are_read_in_linear_time(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        work = Work()
        module = counting(patch, work, "tasks.curate.values")
        half, whole = text[: len(text) // 20], text[: len(text) // 10]

        def steps(part: str) -> int:
            before = work.steps
            module.ValueReader().values(part)
            return work.steps - before

        assert steps(whole) <= 2.5 * steps(half)


def test_hostile_text_is_just_text() -> None:
    texts = ["\x00" * 50, "\ud800 \udfff", "'; DROP TABLE samples; --", "{{7*7}}", "a" * 100_000]
    assert len(set(_groups(texts))) == len(texts)


def test_ties_join_through_others() -> None:
    assert clusters_of([["a"], ["b"], ["a", "b"], [], ["c"]]) == [0, 0, 0, 3, 4]


def _partition(labels: list[int]) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, set()).add(index)
    return {frozenset(part) for part in members.values()}


def _shingles_by_hand(text: str) -> list[int]:
    """Runs of words one by one, in Python's own integers."""
    words = words_of(text)
    words += ["\n"] * (WIDTH - len(words))
    factors = (1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
    found = set()
    for start in range(len(words) - WIDTH + 1):
        run = zip(words[start : start + WIDTH], factors, strict=True)
        mixed = sum(hash_of(word) * factor for word, factor in run) + 0x9E3779B97F4A7C15
        mixed %= 2**64
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        found.add(mixed ^ (mixed >> 31))
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab .中é", max_size=12), max_size=9))
def test_shingles_of_many_texts_at_once_are_those_of_each_by_itself(texts: list[str]) -> None:
    sets = shingle(texts)
    assert [
        sets.values[first:last].tolist()
        for first, last in zip(sets.starts[:-1], sets.starts[1:], strict=True)
    ] == [_shingles_by_hand(text) for text in texts]


def test_shingles_do_not_depend_on_where_the_texts_are_parted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"one {n} of a few texts" for n in range(10)]
    whole = shingle(texts)
    monkeypatch.setattr("tasks.curate.shingles._TEXTS_AT_A_TIME", 3)
    parted = shingle(texts)
    assert np.array_equal(whole.values, parted.values)
    assert np.array_equal(whole.starts, parted.starts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3).map(lambda n: n * 0x55000001), min_size=3, max_size=3),
                min_size=1, max_size=20))  # fmt: skip
def test_signatures_are_sorted_as_rows_of_numbers(rows: list[list[int]]) -> None:
    signature = np.array(rows, dtype=np.uint32)
    assert np.array_equal(sorted_rows(signature), np.lexsort(signature.T[::-1]))


def test_a_text_with_values_of_its_own_is_compared_with_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shingled: list[str] = []

    def noting(texts: list[str]) -> Any:
        shingled.extend(texts)
        return shingle(texts)

    monkeypatch.setattr(dedup, "shingle", noting)
    alike = [_SENTENCE, _SENTENCE + " please"]
    alone = [f"{_SENTENCE} by {n}" for n in range(50)]
    groups = _groups([*alike, *alone])
    assert sorted(shingled) == sorted(alike)
    assert groups[0] == groups[1]
    assert len(set(groups)) == 51


_ALIKE = [
    f"{_SENTENCE}{more}{n}"
    for more in ("", " please", " or so")
    for n in ("", " 1", " 2", " 3 4", " 5")
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(_ALIKE), max_size=15))
def test_groups_are_the_same_with_and_without_looking_who_is_alone(texts: list[str]) -> None:
    def with_all(some: list[str], classes: Any, threshold: float) -> Any:
        return dedup._layer_by_layer(shingle(some), classes, threshold)

    expected = _groups(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_among_their_class", with_all)
        assert _groups(texts) == expected
