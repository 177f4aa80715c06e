from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.curate.normalize import conversation_text, normalize, text_digest
from tasks.model.canonical import canonical_json, well_formed

_ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


def test_width_case_and_white_space_do_not_make_another_text() -> None:
    assert normalize("  Ｗhere\tis \n my STRASSE ") == normalize("where is my straße")


def test_other_words_make_another_text() -> None:
    assert normalize("12 + 30") != normalize("12 + 31")


@given(_ANY_TEXT)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(_ANY_TEXT)
def test_any_text_can_be_stored_and_digested(text: str) -> None:
    well_formed(text).encode()
    canonical_json({"text": text}).encode()
    assert len(text_digest(text)) == 64


def test_lone_surrogate_becomes_a_visible_sign() -> None:
    assert well_formed("a\ud800b") == "a\ufffdb"


def test_who_speaks_belongs_to_a_conversation() -> None:
    user, assistant = ({"role": role, "content": "yes"} for role in ("user", "assistant"))
    assert conversation_text([user]) != conversation_text([assistant])


def test_tool_calls_belong_to_a_conversation() -> None:
    plain = {"role": "assistant", "content": ""}
    calling = {**plain, "tool_calls": [{"name": "search"}]}
    assert conversation_text([plain]) != conversation_text([calling])
