"""What the rows of logits of a step say: the next token of each answer, the log-probability of each
token that was asked about.

Gets logits [num_rows, vocab_size] and the request and position behind each row; gives plain
numbers. Log-probabilities are those of the model, before anything that sampling does to the logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import EngineError, InvalidRequestError, NotFiniteError, failure_of
from engine.models.layers import reduce_logits
from engine.requests.request import Request, TopLogprobs
from engine.sampling.sampler import Draw, choose

__all__ = ["RowResult", "not_finite", "read_logits"]


class RowResult(NamedTuple):
    """token_ids: what was drawn (one) or asked about (one or more), and their log-probabilities
    (empty if nobody asked); greedy_id: the first choice. error says why the row is worth nothing,
    and so all of its request.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    greedy_id: int
    top: TopLogprobs = ()
    error: EngineError | None = None


def read_logits(logits: Tensor, owners: Sequence[tuple[Request, int]]) -> list[RowResult]:
    """The result of each row. Does not change logits."""
    greedy, log_sums = reduce_logits(logits)
    choices = greedy.tolist()
    errors: list[EngineError | None] = [
        None if math.isfinite(log_sum) else not_finite(position)
        for log_sum, (_, position) in zip(log_sums.tolist(), owners, strict=True)
    ]
    tokens = _tokens(logits, owners, choices, errors)
    logprobs: list[tuple[float, ...]] = [()] * len(owners)
    top: list[TopLogprobs] = [()] * len(owners)
    if any(request.is_score or request.params.logprobs for request, _ in owners):
        logprobs = _gather(logits, log_sums, tokens)
        top = _top(logits, log_sums, [request.num_top for request, _ in owners])
    return [RowResult(*row) for row in zip(tokens, logprobs, choices, top, errors, strict=True)]


def not_finite(position: int) -> NotFiniteError:
    return NotFiniteError(
        f"The model's logits at position {position} are NaN or infinite; nothing of this request "
        "can be trusted."
    )


def _tokens(
    logits: Tensor,
    owners: Sequence[tuple[Request, int]],
    choices: Sequence[int],
    errors: list[EngineError | None],
) -> list[tuple[int, ...]]:
    """Drawn or asked about, for each row. Adds to errors what went wrong with single rows."""
    tokens: list[tuple[int, ...]] = []
    draws: dict[int, Draw] = {}
    for row, (request, position) in enumerate(owners):
        tokens.append(request.wanted_after(position) if request.is_score else (choices[row],))
        if request.is_score or request.takes_first_choice or errors[row] is not None:
            continue
        try:
            step = request.num_tokens - request.num_prompt
            is_early = step < request.params.min_tokens
            draws[row] = Draw(
                params=request.params,
                history=request.token_ids,
                step=step,
                sample=request.sample,
                forbidden=tuple(sorted(request.end_ids)) if is_early else (),
                allowed=request.grammar.allowed() if request.grammar is not None else None,
            )
        except BaseException as error:
            errors[row] = failure_of(error)
    for row, drawn in _drawn(logits, draws).items():
        if isinstance(drawn, EngineError):
            errors[row] = drawn
        else:
            tokens[row] = (drawn,)
    return tokens


def _drawn(logits: Tensor, draws: dict[int, Draw]) -> dict[int, int | EngineError]:
    """The token drawn from each of these rows, or why there is none."""
    if not draws:
        return {}
    try:
        rows = logits if len(draws) == logits.shape[0] else logits[list(draws)]
        drawn = choose(rows, list(draws.values()))
    except BaseException as error:
        failure = failure_of(error)
        if len(draws) == 1:
            return dict.fromkeys(draws, failure)
        # one of them broke it for all: each by itself, which gives the same bits
        return {row: _drawn(logits, {row: draw})[row] for row, draw in draws.items()}
    return {
        row: token if token >= 0 else _nothing_left(draw)
        for (row, draw), token in zip(draws.items(), drawn, strict=True)
    }


def _nothing_left(draw: Draw) -> InvalidRequestError:
    return InvalidRequestError(
        f"No token can be drawn in place {draw.step} of the answer: temperature "
        f"{draw.params.temperature}, repetition_penalty {draw.params.repetition_penalty}, end "
        "tokens before min_tokens or json_schema leave none with a finite logit."
    )


def _gather(
    logits: Tensor, log_sums: Tensor, tokens: Sequence[tuple[int, ...]]
) -> list[tuple[float, ...]]:
    """Log-probabilities of the tokens of each row."""
    rows = [row for row, wanted in enumerate(tokens) for _ in wanted]
    flat = [token for wanted in tokens for token in wanted]
    index = torch.tensor([rows, flat], dtype=torch.int64, device=logits.device)
    values = iter((logits[index[0], index[1]] - log_sums[index[0]]).tolist())
    return [tuple(next(values) for _ in wanted) for wanted in tokens]


def _top(logits: Tensor, log_sums: Tensor, counts: Sequence[int]) -> list[TopLogprobs]:
    """The `counts` most probable tokens of each row, smaller ids first among equals."""
    result: list[TopLogprobs] = [()] * len(counts)
    asked = [row for row, count in enumerate(counts) if count]
    if not asked:
        return result
    rows = (logits - log_sums[:, None])[asked]
    most = min(max(counts), rows.shape[1])
    values, ids = rows.topk(most, dim=-1)
    num_not_less = (rows >= values[:, -1:]).sum(dim=-1).tolist()
    for place, (row, found, tokens) in enumerate(
        zip(asked, values.tolist(), ids.tolist(), strict=True)
    ):
        if num_not_less[place] > most:  # equals at the border: topk may have taken any of them
            tokens = torch.nonzero(rows[place] >= values[place, -1])[:, 0].tolist()
            found = rows[place][tokens].tolist()
        pairs = sorted(zip(tokens, found, strict=True), key=lambda pair: (-pair[1], pair[0]))
        result[row] = tuple(pairs[: counts[row]])
    return result
