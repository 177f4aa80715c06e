"""transformers' continuous batching (paged attention over sdpa)."""

from __future__ import annotations

from typing import Any

import torch
from session import serve
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

PAGE = 256


class Continuous:
    def __init__(self, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        self.model = AutoModelForCausalLM.from_pretrained(
            settings["model"],
            dtype=getattr(torch, settings["dtype"]),
            attn_implementation="sdpa",
        )
        self.model = self.model.to(settings.get("device", "cpu")).eval()

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        config = GenerationConfig(max_new_tokens=max(n for _, n in work), do_sample=False)
        config.eos_token_id, config.pad_token_id = -1, 0
        # room for all requests at once; left to itself, it takes most of a CPU's free memory
        pages = sum(-(-(len(prompt) + n) // PAGE) for prompt, n in work) + 8
        cache = None if self.model.device.type == "cuda" else pages
        answers: dict[str, list[int]] = {}
        with (
            # on CUDA its own thread writes to tensors that were made outside of inference mode
            torch.no_grad() if cache is None else torch.inference_mode(),
            self.model.continuous_batching_context_manager(
                generation_config=config,
                continuous_batching_config=ContinuousBatchingConfig(num_blocks=cache),
            ) as manager,
        ):
            for i, (prompt, count) in enumerate(work):
                manager.add_request(prompt, str(i), max_new_tokens=count, eos_token_id=-1)
            while len(answers) < len(work):
                result = manager.get_result(timeout=5)
                if result is not None and result.is_finished():
                    if result.error:
                        raise RuntimeError(result.error)
                    answers[result.request_id] = list(result.generated_tokens)
                elif result is None and not manager.is_running():
                    raise RuntimeError("the thread of continuous batching has ended early")
        return [answers[str(i)] for i in range(len(work))]


if __name__ == "__main__":
    serve(Continuous, ("transformers", "torch"))
