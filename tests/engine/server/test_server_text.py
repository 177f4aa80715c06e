"""Text in pieces: it adds up to the whole, and nothing is shown that must be taken back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import LLM
from engine.loading.tokenizer import TextCodec
from engine.server.text import TextStream, TokenTexts


def codec(llm: LLM) -> TextCodec:
    return llm._intake.text


def pieces(codec: TextCodec, ids: list[int], stops: tuple[str, ...], sizes: list[int]) -> list[str]:
    stream = TextStream(codec, stops)
    shown, first = [], 0
    for size in [*sizes, len(ids)]:
        shown.append(stream.push(ids[first : first + size]))
        first += size
    return [*shown, stream.finish()]


def whole(text: str, stops: tuple[str, ...]) -> str:
    return text[: min([place for stop in stops if (place := text.find(stop)) >= 0], default=None)]


def until_stop(codec: TextCodec, ids: list[int], stops: tuple[str, ...]) -> list[int]:
    """Where the engine ends: at the first token that completes a stop string."""
    lengths = range(len(ids) + 1)
    ends = (n for n in lengths if any(stop in codec.decode(ids[:n]) for stop in stops))
    return ids[: next(ends, len(ids))]


texts = st.text(alphabet="abc né€😀\n", max_size=60)
stop_lists = st.lists(st.text(alphabet="abc né€😀", min_size=1, max_size=4), max_size=3)


@given(texts, stop_lists, st.lists(st.integers(0, 7), max_size=60))
@settings(max_examples=200, deadline=None)
def test_pieces_of_a_text_add_up_and_break_no_character(
    chatty: LLM, text: str, stops: list[str], sizes: list[int]
):
    ids = until_stop(codec(chatty), codec(chatty).encode(text), tuple(stops))
    shown = pieces(codec(chatty), ids, tuple(stops), sizes)
    assert "".join(shown) == whole(codec(chatty).decode(ids), tuple(stops))
    assert not any("\ufffd" in piece for piece in shown)


@given(st.lists(st.integers(0, 258), max_size=200), st.lists(st.integers(0, 3), max_size=150))
@settings(max_examples=100, deadline=None)
def test_any_tokens_give_the_text_they_give_at_once(chatty: LLM, ids: list[int], sizes: list[int]):
    """Broken characters and special tokens too, and texts longer than what is decoded again."""
    ids = until_stop(codec(chatty), ids, ("ab",))
    shown = pieces(codec(chatty), ids, ("ab",), sizes)
    assert "".join(shown) == whole(codec(chatty).decode(ids), ("ab",))


def test_text_is_shown_as_soon_as_it_is_certain(chatty: LLM):
    stream = TextStream(codec(chatty), ("stop!",))
    shown = [stream.push([token]) for token in codec(chatty).encode("é so, stop, stop! more")]
    assert shown[:2] == ["", "é"]
    assert "".join(shown) == "é so, stop, "
    assert shown[2:6] == [" ", "", "so", ","], "an s may be the beginning of stop!"
    assert stream.finish() == ""


def test_tokens_are_named_by_text_bytes_or_number(chatty: LLM):
    tokens = TokenTexts(codec(chatty))
    ids = codec(chatty).encode("a€ ")
    assert [tokens.name(token) for token in ids] == [
        "a",
        "bytes:\\xe2",
        "bytes:\\x82",
        "bytes:\\xac",
        " ",
    ]
    assert b"".join(tokens.raw(token) for token in ids) == "a€ ".encode()
    assert [tokens.num_characters(token) for token in ids] == [1, 1, 0, 0, 1]
    end = chatty.tokenizer.eos_token_id
    assert (tokens.name(end), tokens.num_characters(end)) == ("<|im_end|>", 0)
    assert tokens.name(10**6) == "token_id:1000000"
    assert TokenTexts(None).name(3) == "token_id:3"
