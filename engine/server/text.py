"""Token ids to text, piece by piece, and the names of single tokens.

Owns what may be shown already: never half a character, never the beginning of a stop string that
may still be completed. Knows nothing of HTTP or of requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from transformers.convert_slow_tokenizer import bytes_to_unicode

from engine.loading.tokenizer import TextCodec

__all__ = ["TextStream", "TokenTexts"]

HALF_CHARACTER = "\ufffd"
WINDOW = 16  # tokens that are decoded again with new ones, so that they join as in the whole text


class TextStream:
    """The text of one completion while its tokens come. What `push` and `finish` return, put
    together, is the text of the whole, cut before the first stop string after min_tokens tokens.
    """

    def __init__(self, codec: TextCodec, stops: Sequence[str], min_tokens: int = 0) -> None:
        self._codec = codec
        self._stops = tuple(stops)
        self._longest = max((len(stop) for stop in self._stops), default=0)
        self._ids: list[int] = []  # the last tokens, from somewhere in the past on
        self._num_taken = 0  # characters of their text that went into _pending
        self._pending = ""
        self._is_stopped = False
        self._num_free = min_tokens  # how many of the next tokens no stop string can end

    def push(self, token_ids: Sequence[int]) -> str:
        """Text that is certain now."""
        free, rest = token_ids[: self._num_free], token_ids[self._num_free :]
        text = self._take(free, is_last=False) if free else ""
        self._num_free -= len(free)
        return text + self._take(rest, is_last=False)

    def finish(self) -> str:
        """What was held back."""
        return self._take((), is_last=True)

    def _take(self, token_ids: Sequence[int], is_last: bool) -> str:
        if self._is_stopped:
            return ""
        self._ids += token_ids
        text = self._codec.decode(self._ids) if self._ids else ""
        certain = text if is_last else text.rstrip(HALF_CHARACTER)
        self._pending += certain[self._num_taken :]
        self._num_taken = max(self._num_taken, len(certain))
        if len(self._ids) > 4 * WINDOW and len(certain) == len(text):
            # Only where the kept tokens have text: else the next one would be decoded as the first
            # of a text, and some tokenizers take a blank from that.
            kept = self._ids[-WINDOW:]
            if kept_text := self._codec.decode(kept):
                self._ids, self._num_taken = kept, len(kept_text)
        return self._release(is_last)

    def _release(self, is_last: bool) -> str:
        stops = () if self._num_free else self._stops
        places = [p for stop in stops if (p := self._pending.find(stop)) >= 0]
        self._is_stopped = bool(places)
        end = min(places) if places else len(self._pending)
        if stops and not places and not is_last:
            end -= self._num_held()
        shown, self._pending = self._pending[:end], self._pending[end:]
        return shown

    def _num_held(self) -> int:
        """Length of the longest end of the pending text that a stop string begins with."""
        for length in range(min(self._longest - 1, len(self._pending)), 0, -1):
            if any(stop.startswith(self._pending[-length:]) for stop in self._stops):
                return length
        return 0


class TokenTexts:
    """How single tokens are written in an answer's log-probabilities. A token that is no whole
    character is written as OpenAI does, "bytes:\\xe2\\x82"; one without a text as "token_id:5".
    """

    def __init__(self, codec: TextCodec | None) -> None:
        self._tokenizer = codec.tokenizer if codec is not None else None
        self._bytes: dict[int, bytes] = {}
        # the character that byte-level BPE writes for each byte
        self._byte_of = {char: byte for byte, char in bytes_to_unicode().items()}
        self._special = set(self._tokenizer.all_special_ids) if self._tokenizer else set()
        # decoded after another token, because some tokenizers take the blank from the first one
        self._anchor = codec.encode("a", with_special=False) if codec is not None else []

    def name(self, token_id: int) -> str:
        raw = self.raw(token_id)
        if not raw:
            return f"token_id:{token_id}"
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def num_characters(self, token_id: int) -> int:
        """How many characters begin in this token, as far as the answer's text shows them."""
        if token_id in self._special:
            return 0
        return sum(1 for byte in self.raw(token_id) if byte & 0xC0 != 0x80)

    def raw(self, token_id: int) -> bytes:
        if token_id not in self._bytes:
            self._bytes[token_id] = self._raw(token_id)
        return self._bytes[token_id]

    def _raw(self, token_id: int) -> bytes:
        token = self._tokenizer.convert_ids_to_tokens(token_id) if self._tokenizer else None
        if token is None:  # embedding rows beyond the vocabulary
            return b""
        if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
            return bytes([int(token[3:5], 16)])
        text = self._decode([*self._anchor, token_id])[len(self._decode(self._anchor)) :]
        if HALF_CHARACTER in text and all(char in self._byte_of for char in token):
            return bytes(self._byte_of[char] for char in token)
        return text.encode()

    def _decode(self, token_ids: Sequence[int]) -> str:
        assert self._tokenizer is not None
        return str(
            self._tokenizer.decode(
                list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )
