"""What an engine is and what it counts while it works; callers get a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.requests.request import Request

__all__ = ["EngineStats"]


@dataclass(slots=True)
class EngineStats:
    """Counts since the engine was made; *_s are seconds of wall time. kernels: whose they are, and
    why not our own. batch_invariant: asked for and kept; only kernels of our own do.
    """

    device: str
    dtype: str
    kernels: str
    batch_invariant: bool
    num_blocks: int
    block_size: int
    num_requests: int = 0
    num_failed: int = 0
    num_steps: int = 0
    num_run_tokens: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_output_tokens: int = 0
    num_preemptions: int = 0
    load_s: float = 0.0
    run_s: float = 0.0
    num_replicas: int = 1

    def add_finished(self, requests: Sequence[Request]) -> None:
        self.num_requests += sum(r.num_answers for r in requests)
        self.num_failed += sum(r.num_answers for r in requests if r.error is not None)
        self.num_prompt_tokens += sum(r.num_prompt for r in requests)
        self.num_cached_tokens += sum(max(0, r.num_cached) for r in requests)
        self.num_output_tokens += sum(len(r.output_ids) for r in requests)
