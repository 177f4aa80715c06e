"""Text logs of the llama.cpp server: the timings it prints after each request, no texts.

Three lines make a call: prompt eval time, eval time, total time (milliseconds and tokens). Prompt
tokens that came from the cache are not evaluated; the "n_prompt_tokens" of the slot's task tells
them. Requests that failed are calls too. Everything else is counted as other. Source: llama.cpp's
server, print_timings, in its older and newer layouts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.records import Call, Json, Other, Record

NAME = "llama_cpp"
VERSION = "llama_cpp@1"

_SIGNS = re.compile(
    r"\b(?:slot|srv)\s+\w+:|print_timing|\bllama_(?:model_load|model_loader|kv_cache|context|init)"
    r"|^(?:\[\d+\] )?build: \d+ \(|llama_server|\bsystem_info: n_threads"
)
_TIMING = re.compile(
    r"(prompt eval|generation eval|\beval|total) time\s*=\s*(\d{1,15}(?:\.\d{1,9})?) ms"
    r"(?:\s*/\s*(\d{1,15}) (?:tokens|runs))?"
)
_TASK = re.compile(r"\bid\s+(\d+) \| task (\d+) \||id_slot\W+(\d+)\W+id_task\W+(\d+)")
_PROMPT = re.compile(r"(?:n_prompt_tokens|task\.n_tokens) = (\d{1,15})")
_STAMP = re.compile(r"timestamp\W{1,3}(\d{10})\b")
_ACCESS = re.compile(r"request: POST (\S+) \S+ (\d{3})\s*$")
_GENERATING = ("/completions", "/completion", "/infill", "/responses", "/messages", "/chat")
_MAX_TASKS = 10_000


def matches_lines(lines: Sequence[str]) -> bool:
    return any(_SIGNS.search(line) for line in lines)


class LlamaCppReader:
    """Reads one log from its start."""

    def __init__(self, latest: datetime | None = None) -> None:
        self._prompts: dict[str, int] = {}
        self._slot: tuple[str, str] | None = None
        self._timings: dict[str, tuple[float, int | None]] = {}
        self._number = 0

    def feed(self, line: str) -> Iterator[Record]:
        self._number += 1
        named = _TASK.search(line)
        if named:
            self._slot = (named[1] or named[3], named[2] or named[4])
            prompt = _PROMPT.search(line)
            if prompt:
                self._prompts[self._slot[1]] = int(prompt[1])
                if len(self._prompts) > _MAX_TASKS:
                    del self._prompts[next(iter(self._prompts))]
        timing = _TIMING.search(line)
        if timing is not None:
            kind = timing[1].removeprefix("generation ")
            if kind == "prompt eval":
                self._timings = {}
            count = int(timing[3]) if timing[3] else None
            self._timings[kind] = (coerce.number("ms", timing[2]) or 0.0, count)
            if kind == "total" and "eval" in self._timings:
                yield self._call(line)
                return
        access = _ACCESS.search(line)
        if access and int(access[2]) >= 400 and access[1].endswith(_GENERATING):
            yield finish(Call(
                provider="llama.cpp", operation="chat", http_status=int(access[2]),
                tags={"path": access[1], "line": self._number},
            ))  # fmt: skip
        else:
            yield Other()

    def end(self) -> Iterator[Record]:
        """Timings without their last line wait for it."""
        return iter(())

    def _call(self, line: str) -> Call:
        prompt_ms, evaluated = self._timings.get("prompt eval", (None, None))
        _, generated = self._timings["eval"]
        total_ms, _ = self._timings["total"]
        tags: dict[str, Json] = {}
        whole: int | None = None
        if self._slot is not None:
            tags = {"slot": self._slot[0], "task": self._slot[1]}
            whole = self._prompts.pop(self._slot[1], None)
        self._timings = {}
        # older logs have the epoch in every line; the timings are printed at the end
        stamp = _STAMP.search(line)
        began = coerce.from_epoch("timestamp", int(stamp[1]) - total_ms / 1000.0) if stamp else None
        cached = whole - evaluated if whole is not None and evaluated is not None else None
        return finish(Call(
            provider="llama.cpp", operation="chat", started_at=began,
            input_tokens=evaluated if whole is None else whole, output_tokens=generated,
            cached_tokens=cached if cached is not None and cached >= 0 else None,
            ttft_s=None if prompt_ms is None else prompt_ms / 1000.0, latency_s=total_ms / 1000.0,
            tags=tags,
        ))  # fmt: skip


reader = LlamaCppReader
