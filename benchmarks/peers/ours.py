"""This engine."""

from __future__ import annotations

from typing import Any

from session import serve

from engine import LLM, SamplingParams


class Ours:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.llm = LLM(
            settings["gguf"],
            device="cpu",
            dtype=settings["dtype"],
            batch_invariant=settings.get("batch_invariant", True),
        )
        self.llm._engine.end_ids = frozenset()  # the answers' lengths are fixed, for every system

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        self.llm._engine.reset()  # nobody starts with another repeat's prefixes
        params = [SamplingParams(max_tokens=count) for _, count in work]
        answers = self.llm.generate([prompt for prompt, _ in work], params)
        for answer in answers:
            if answer.error is not None:
                raise RuntimeError(answer.error)
        return [list(answer.token_ids) for answer in answers]

    def score(self, work: list[tuple[list[int], list[int]]]) -> list[float]:
        self.llm._engine.reset()
        scores = self.llm.score([(context, continuation) for context, continuation in work])
        for score in scores:
            if score.error is not None:
                raise RuntimeError(score.error)
        return [score.logprob for score in scores]


if __name__ == "__main__":
    serve(Ours, ("torch",))
