"""transformers' own generate: static batches of 32, sorted by the answers' lengths, so that little
is wasted on sequences that are done.
"""

from __future__ import annotations

from typing import Any

import torch
from session import serve
from transformers import AutoModelForCausalLM, GenerationConfig

BATCH_SIZE = 32


class Static:
    def __init__(self, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        self.model = AutoModelForCausalLM.from_pretrained(
            settings["model"], dtype=getattr(torch, settings["dtype"])
        ).eval()

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        order = sorted(range(len(work)), key=lambda i: -work[i][1])
        answers: list[list[int]] = [[] for _ in work]
        for first in range(0, len(order), BATCH_SIZE):
            batch = order[first : first + BATCH_SIZE]
            width = max(len(work[i][0]) for i in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.int64)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                prompt = work[i][0]
                ids[row, width - len(prompt) :] = torch.tensor(prompt)
                mask[row, width - len(prompt) :] = 1
            config = GenerationConfig(
                max_new_tokens=work[batch[0]][1], do_sample=False, pad_token_id=0
            )
            config.eos_token_id = self.model.generation_config.eos_token_id = None
            with torch.inference_mode():
                out = self.model.generate(
                    input_ids=ids, attention_mask=mask, generation_config=config
                )
            for row, i in enumerate(batch):
                answers[i] = out[row, width : width + work[i][1]].tolist()
        return answers


if __name__ == "__main__":
    serve(Static, ("transformers", "torch"))
