"""Asks the engine the planned calls, and measures.

Owns the batches, the clock and the file of finished batches that makes a run resumable. Latency
is the time from the start of a call's batch to the moment the engine reported that many answers
as finished (calls of a batch finish in the order of their answers' lengths); the time to the
first token is measured the same way in a pass of one token, which also fills the prefix cache.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from traffic import Planned

from engine import LLM, SamplingParams
from tasks.releases.prompts import load_prompts, messages_for

BATCH = 48
MAX_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Made:
    """What the engine said to one planned call."""

    index: int
    text: str
    finish_reason: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    ttft_s: float
    latency_s: float


def answer_all(calls: Sequence[Planned], model: Path, prompts: Path, kept: Path) -> dict[int, Made]:
    """Every call's answer by its index; batches finished in an earlier run are read from `kept`."""
    made = _read(kept)
    batches = [calls[i : i + BATCH] for i in range(0, len(calls), BATCH)]
    llm: LLM | None = None
    for number, batch in enumerate(batches, 1):
        key = _key(batch)
        if key not in made:
            llm = llm or LLM(model, dtype="float32")
            made[key] = _answer(llm, batch, prompts)
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a", encoding="utf-8") as stream:
                line = {"key": key, "made": [asdict(each) for each in made[key]]}
                stream.write(json.dumps(line) + "\n")
        print(f"\rbatch {number}/{len(batches)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {each.index: each for batch in batches for each in made[_key(batch)]}


def _answer(llm: LLM, batch: Sequence[Planned], prompts: Path) -> list[Made]:
    release = load_prompts(prompts, "support-v1")
    asked = [
        messages_for(release, call.task, None, [{"role": "user", "content": call.text}])
        for call in batch
    ]
    first, first_times = _timed(llm, asked, [_params(call, 1) for call in batch])
    whole, times = _timed(llm, asked, [_params(call, MAX_TOKENS) for call in batch])
    order = sorted(range(len(batch)), key=lambda i: len(whole[i].token_ids))
    latency = {place: times[rank] for rank, place in enumerate(order)}
    made = []
    for place, (call, completion) in enumerate(zip(batch, whole, strict=True)):
        if completion.error is not None:
            raise SystemExit(f"call {call.index} failed: {completion.error}")
        ttft = first_times[place]
        made.append(
            Made(
                index=call.index,
                text=completion.text,
                finish_reason=completion.finish_reason,
                input_tokens=completion.num_prompt_tokens,
                cached_tokens=first[place].num_cached_tokens,
                output_tokens=len(completion.token_ids),
                ttft_s=round(ttft, 4),
                latency_s=round(ttft + latency[place], 4),
            )
        )
    return made


def _timed(
    llm: LLM, asked: list[Any], params: list[SamplingParams]
) -> tuple[list[Any], list[float]]:
    """Completions, and the second at which the 1st, 2nd, … of them was reported."""
    start = time.perf_counter()
    times: list[float] = []

    def told(done: int, _: int) -> None:
        times.extend([time.perf_counter() - start] * (done - len(times)))

    completions = llm.generate(asked, params, told)
    return completions, times


def _params(call: Planned, max_tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens, call.temperature, call.top_p, call.seed)


def _key(batch: Sequence[Planned]) -> str:
    text = json.dumps([[c.index, c.task, c.text, c.temperature, c.top_p, c.seed] for c in batch])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(kept: Path) -> dict[str, list[Made]]:
    if not kept.exists():
        return {}
    found: dict[str, list[Made]] = {}
    for line in kept.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # the run was killed while it wrote this line
        found[value["key"]] = [Made(**each) for each in value["made"]]
    return found
