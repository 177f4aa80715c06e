"""llama.cpp through llama-cpp-python's low-level API: the GGUF as it is (its own quantised
kernels), 32 sequences decoded together, each slot refilled as soon as its answer is done.

A slot keeps its cells of the KV cache until its sequence is removed. Scoring reads each context
once and copies its cells to the four continuations, as llama.cpp's own perplexity tool does for
multiple choice.
"""

from __future__ import annotations

import itertools
from typing import Any

import llama_cpp as C
import numpy as np
from session import serve

NUM_SLOTS = 32
CONTEXT = 24576
BATCH = 512


class LlamaCpp:
    dtype = "Q4_1"

    def __init__(self, settings: dict[str, Any]) -> None:
        C.llama_backend_init()
        model = C.llama_model_default_params()
        model.n_gpu_layers = 0
        self.model = C.llama_model_load_from_file(settings["gguf"].encode(), model)
        params = C.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = CONTEXT, BATCH, BATCH
        params.n_seq_max = NUM_SLOTS
        params.n_threads = params.n_threads_batch = settings["threads"]
        params.kv_unified = True
        self.context = C.llama_init_from_model(self.model, params)
        self.memory = C.llama_get_memory(self.context)
        self.vocab_size = C.llama_vocab_n_tokens(C.llama_model_get_vocab(self.model))
        self.batch = C.llama_batch_init(BATCH, 0, 1)

    def _run(self, rows: list[tuple[int, int, int, bool]]) -> dict[int, np.ndarray]:
        """Decode rows of (token, position, sequence, wants logits); logits by row number."""
        found: dict[int, np.ndarray] = {}
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            batch = self.batch
            batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                batch.token[i], batch.pos[i] = token, position
                batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, sequence, wanted
            status = C.llama_decode(self.context, batch)
            if status != 0:
                raise RuntimeError(f"llama_decode returned {status}")
            for i, row in enumerate(part):
                if row[3]:
                    pointer = C.llama_get_logits_ith(self.context, i)
                    logits = np.ctypeslib.as_array(pointer, shape=(self.vocab_size,))
                    found[first + i] = logits.copy()
        return found

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        C.llama_memory_clear(self.memory, True)
        answers: list[list[int]] = [[] for _ in work]
        waiting = iter(range(len(work)))
        slots: dict[int, int] = dict(zip(range(NUM_SLOTS), waiting, strict=False))
        while slots:
            rows, owners = [], {}
            for slot, i in slots.items():
                prompt, answer = work[i][0], answers[i]
                new = answer[-1:] or prompt
                start = len(prompt) + len(answer) - len(new) if answer else 0
                rows += [(t, start + k, slot, k == len(new) - 1) for k, t in enumerate(new)]
                owners[len(rows) - 1] = slot
            for row, logits in self._run(rows).items():
                slot = owners[row]
                i = slots[slot]
                answers[i].append(int(logits.argmax()))
                if len(answers[i]) == work[i][1]:
                    C.llama_memory_seq_rm(self.memory, slot, -1, -1)
                    del slots[slot]
                    if (following := next(waiting, None)) is not None:
                        slots[slot] = following
        return answers

    def score(self, work: list[tuple[list[int], list[int]]]) -> list[float]:
        sums: list[float] = []
        for context, group in itertools.groupby(work, key=lambda item: item[0]):
            endings = [tokens for _, tokens in group]
            C.llama_memory_clear(self.memory, True)
            self._run([(t, k, 0, False) for k, t in enumerate(context[:-1])])
            last = len(context) - 1
            rows = []
            for slot, tokens in enumerate(endings):
                if slot > 0:
                    C.llama_memory_seq_cp(self.memory, 0, slot, -1, -1)
                new = [context[-1], *tokens[:-1]]
                rows += [(t, last + k, slot, True) for k, t in enumerate(new)]
            logits = self._run(rows)
            expected = [t for tokens in endings for t in tokens]
            each = [_log_softmax_at(logits[k], t) for k, t in enumerate(expected)]
            for tokens in endings:
                sums.append(sum(each[: len(tokens)]))
                each = each[len(tokens) :]
        return sums


def _log_softmax_at(logits: np.ndarray, token: int) -> float:
    largest = logits.max()
    return float(logits[token] - largest - np.log(np.exp(logits - largest).sum()))


if __name__ == "__main__":
    serve(LlamaCpp, ("llama-cpp-python",))
