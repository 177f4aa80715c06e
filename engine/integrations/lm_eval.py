"""The engine as a model of lm-evaluation-harness (lm-eval): its tasks run in this process, all
requests of a task as one batch.

    lm_eval.simple_evaluate(model=EngineLM("model.gguf"), tasks=[...])
    python -m engine.integrations.lm_eval run --model engine --model_args model=m.gguf --tasks …

The second is lm-eval's own command line after this module has registered the name "engine" (lm-eval
looks up models by name only among those that have been imported). Knows nothing of tasks. Encoding,
truncation from the left and stop strings follow lm-eval's Hugging Face backend, so that both answer
the same items.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine import LLM, Chat, Completion, SamplingParams, Score
from engine.errors import EngineError, InvalidRequestError

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import has_bos_prefix, normalize_gen_kwargs
except ImportError as error:
    raise ImportError("lm-eval is not installed: pip install 'llm-flywheel[lm-eval]'") from error

__all__ = ["EngineLM"]

logger = logging.getLogger(__name__)
MAX_GEN_TOKENS = 256
SAMPLING = {field.name for field in dataclasses.fields(SamplingParams)} - {"max_tokens", "stop"}


@register_model("engine")
class EngineLM(TemplateLM):  # type: ignore[misc]  # lm-eval has no types
    """model: a folder, a GGUF file or an LLM. The other settings are LLM's. lm-eval gives every
    model batch_size and max_batch_size; here the scheduler decides, so they change nothing.
    """

    def __init__(
        self,
        model: str | Path | LLM,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.llm = model if isinstance(model, LLM) else LLM(model, device or "auto", **settings)
        self.tokenizer = self.llm.tokenizer
        self.max_length = self.llm._intake.max_position

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        start = self.tokenizer.bos_token_id
        return self.eot_token_id if start is None else int(start)

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__") or "engine"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        if add_special_tokens is None:
            start = self.tokenizer.decode(self.prefix_token_id)
            add_special_tokens = not has_bos_prefix(string, start)
        return self.llm._intake.text.encode(string, with_special=add_special_tokens)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self.llm._intake.text.chat_text(
            Chat(chat_history, continues=not add_generation_prompt)
        )

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        **ignored: Any,
    ) -> list[tuple[float, bool]]:
        pairs = [self._cut(context, tokens) for _, context, tokens in requests]
        with tqdm(total=len(pairs), disable=disable_tqdm, desc="scoring") as bar:
            scores = self.llm.score(pairs, _progress(bar))
        _check(scores)
        answers = [(score.logprob, score.is_greedy) for score in scores]
        for (texts, _, _), answer in zip(requests, answers, strict=True):
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return answers

    def _cut(self, context: list[int], tokens: list[int]) -> tuple[list[int], list[int]]:
        """The context's last tokens that fit; the last token of all is not run."""
        excess = len(context) + len(tokens) - 1 - self.max_length
        if excess <= 0:
            return context, tokens
        if excess >= len(context):
            raise InvalidRequestError(
                f"A continuation has {len(tokens)} tokens; the model's context is "
                f"{self.max_length}, and at least one token must stand before it."
            )
        logger.warning("a context of %d tokens lost its first %d", len(context), excess)
        return context[excess:], tokens

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        texts = [self.tok_encode(request.args[0]) for request in requests]
        with tqdm(disable=disable_tqdm, desc="scoring") as bar:
            scores = self.llm.score_rolling(texts, _progress(bar))
        _check(scores)
        for request, score in zip(requests, scores, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, score.logprob)
        return [score.logprob for score in scores]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        prompts, params = [], []
        for request in requests:
            context, given = request.args
            wanted = _sampling(given)
            room = self.max_length - wanted.max_tokens
            if room < 1:
                raise InvalidRequestError(
                    f"max_gen_toks is {wanted.max_tokens}, but the model's context is "
                    f"{self.max_length}."
                )
            ids = self.tok_encode(context)
            if len(ids) > room:
                logger.warning("a prompt of %d tokens lost its first %d", len(ids), len(ids) - room)
            prompts.append(ids[-room:])
            params.append(wanted)
        with tqdm(total=len(prompts), disable=disable_tqdm, desc="generating") as bar:
            completions = self.llm.generate(prompts, params, _progress(bar))
        _check(completions)
        for request, completion in zip(requests, completions, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, completion.text)
        return [completion.text for completion in completions]


def _sampling(given: dict[str, Any]) -> SamplingParams:
    """lm-eval's gen_kwargs as SamplingParams. Raises InvalidRequestError for a name without a
    counterpart.
    """
    settings = dict(normalize_gen_kwargs(given, MAX_GEN_TOKENS))
    if settings.pop("do_sample"):
        settings.setdefault("temperature", 1.0)
    stop = tuple(text for text in settings.pop("until", None) or () if text)
    max_tokens = settings.pop("max_gen_toks")
    unknown = sorted(set(settings) - SAMPLING)
    if unknown:
        raise InvalidRequestError(
            f"gen_kwargs has {', '.join(unknown)}; the engine knows until, max_gen_toks, "
            f"do_sample, {', '.join(sorted(SAMPLING))}."
        )
    return SamplingParams(max_tokens=max_tokens, stop=stop, **settings)


def _check(answers: Sequence[Completion] | Sequence[Score]) -> None:
    for answer in answers:
        if answer.error is not None:
            raise EngineError(f"lm-eval cannot go on without every answer: {answer.error}")


def _progress(bar: Any) -> Callable[[int, int], None]:
    return lambda done, _: bar.update(done - bar.n)


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
