"""The engine as a model of lm-eval, where lm-eval is installed: first alone on a toy model, then
the tasks of benchmarks/ against lm-eval's own Hugging Face backend on the real one.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import LLM
from engine.errors import InvalidRequestError
from tests.conftest import REPOSITORY

needs_lm_eval = pytest.mark.needs("lm_eval")
needs_backend = pytest.mark.needs("accelerate")  # lm-eval's Hugging Face backend


@pytest.fixture(scope="module")
def model(chatty: LLM) -> Any:
    from engine.integrations.lm_eval import EngineLM

    return EngineLM(chatty)


def request(*args: Any) -> SimpleNamespace:
    return SimpleNamespace(args=args)


@needs_lm_eval
def test_log_likelihoods_are_those_of_score(model: Any, chatty: LLM) -> None:
    pairs = [("Two and two", " make four"), ("", "alone"), ("blank at the end ", "word")]
    expected = chatty.score(pairs)
    found = model.loglikelihood([request(*pair) for pair in pairs], disable_tqdm=True)
    assert [logprob for logprob, _ in found] == [score.logprob for score in expected]


@needs_lm_eval
def test_rolling_log_likelihood_predicts_every_token_once(model: Any, chatty: LLM) -> None:
    text = "every token once, " * 120  # 2,160 bytes: three windows of the toy's 1,024 tokens
    ids = chatty._intake.text.encode(text, with_special=False)
    start, size = chatty.tokenizer.bos_token_id, model.max_length
    windows = [([start], ids[:size])]
    for end in range(size, len(ids), size):
        last = min(end + size, len(ids))
        windows.append((ids[last - size - 1 : end], ids[end:last]))
    expected = sum(score.logprob for score in chatty.score(windows))
    [found] = model.loglikelihood_rolling([request(text)], disable_tqdm=True)
    assert math.isclose(found, expected, rel_tol=1e-6)


@needs_lm_eval
def test_generation_ends_before_the_stop_string_and_refuses_unknown_settings(model: Any) -> None:
    [whole] = model.generate_until([request("Once", {"max_gen_toks": 24})], disable_tqdm=True)
    stop = whole[6:8]
    settings = {"until": [stop, ""], "max_gen_toks": 24, "do_sample": False}
    [cut] = model.generate_until([request("Once", settings)], disable_tqdm=True)
    assert cut == whole[: whole.index(stop)]
    with pytest.raises(InvalidRequestError, match="num_beams"):
        model.generate_until([request("Once", {"num_beams": 4})], disable_tqdm=True)


@needs_lm_eval
def test_an_item_that_cannot_be_answered_stops_the_evaluation(model: Any) -> None:
    with pytest.raises(InvalidRequestError, match="at least one token must stand before"):
        model.loglikelihood([request("a", "b" * 2000)], disable_tqdm=True)


@needs_lm_eval
def test_chat_template_is_the_models(model: Any) -> None:
    prompt = model.apply_chat_template([{"role": "user", "content": "Hello"}])
    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.slow
@needs_lm_eval
@needs_backend
def test_tasks_give_the_accuracy_of_the_hugging_face_backend(
    smollm_path: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "benchmarks.lm_eval_agreement", "--gguf", str(smollm_path)]
    done = subprocess.run(
        [*command, "--limit", "8", "--cache", str(tmp_path), "--out", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "datasets")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("flywheel_") >= 5
