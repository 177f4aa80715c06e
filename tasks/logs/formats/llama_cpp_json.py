"""Exchanges with llama.cpp's own completion API; its chat API is OpenAI's."""

from __future__ import annotations

from tasks.logs.formats.apis import LLAMA_CPP
from tasks.logs.formats.pairs import Pairs

_pairs = Pairs("llama_cpp_json", "llama_cpp_json@1", (LLAMA_CPP,))
NAME, VERSION, matches, records = _pairs.NAME, _pairs.VERSION, _pairs.matches, _pairs.records
