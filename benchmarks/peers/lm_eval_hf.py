"""lm-eval's Hugging Face backend, batches of 16, at the level of token ids."""

from __future__ import annotations

from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from session import serve


class HuggingFaceBackend:
    def __init__(self, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        self.lm = HFLM(
            pretrained=settings["model"], dtype=settings["dtype"], device="cpu", batch_size=16
        )

    def score(self, work: list[tuple[list[int], list[int]]]) -> list[float]:
        requests = [(("", str(i)), c, t) for i, (c, t) in enumerate(work)]
        return [float(a[0]) for a in self.lm._loglikelihood_tokens(requests, disable_tqdm=True)]


if __name__ == "__main__":
    serve(HuggingFaceBackend, ("lm_eval", "transformers", "torch"))
