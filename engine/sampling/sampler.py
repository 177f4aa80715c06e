"""Choosing the next token from rows of logits. A row is looked at by itself, so the batch cannot
change the choice: everything is a function of (row, parameters, tokens so far, seed, place).

Logits go through repetition penalty, temperature, top_k, top_p and min_p, in this order (that of
Hugging Face). Then one uniform number, a function of seed, sample and place, is looked up in the
cumulative distribution from the most probable token down, smaller ids first among equals.

Only tokens above a floor of probability leave the tensor: they are the beginning of the sorted
vocabulary, and mostly hold all that can be drawn. Where they do not, the row is looked at again
with a lower floor, the last time whole. So sorting is cheap, and on CUDA no whole row is copied in
the common case.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.sampling.params import SamplingParams

__all__ = ["Draw", "choose", "uniform"]

FLOORS = (2**-12, 2**-20, 0.0)
CPU_ROWS = 16  # at a time, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Draw:
    """What a row's choice depends on beside the row: draw number `step` of completion `sample`.

    history    tokens of prompt and answer so far
    forbidden  tokens that must not come now
    allowed    [vocab_size] True where the grammar lets a token come; None: no grammar
    """

    params: SamplingParams
    history: Sequence[int]
    step: int
    sample: int = 0
    forbidden: tuple[int, ...] = ()
    allowed: NDArray[np.bool_] | None = None


def choose(logits: Tensor, draws: Sequence[Draw]) -> list[int]:
    """One token for each row of logits [num_rows, vocab_size] (float32, finite maximum); -1 where
    nothing can be drawn: the parameters leave no token, or none with a finite logit.
    """
    step = CPU_ROWS if logits.device.type == "cpu" else max(1, len(draws))
    parts = range(0, len(draws), step)
    return [t for i in parts for t in _choose(logits[i : i + step], draws[i : i + step])]


def _choose(logits: Tensor, draws: Sequence[Draw]) -> list[int]:
    warmth = [1.0 if draw.params.is_greedy else draw.params.temperature for draw in draws]
    scaled = logits / torch.tensor(warmth, dtype=logits.dtype, device=logits.device)[:, None]
    for row, draw in zip(scaled, draws, strict=True):
        _edit(row, draw)
    drawn = [i for i, draw in enumerate(draws) if not draw.params.is_greedy]
    tokens = _first_choices(scaled) if len(drawn) < len(draws) else [-1] * len(draws)
    if drawn:
        rows = scaled if len(drawn) == len(draws) else scaled[drawn]
        chosen = _draw(torch.softmax(rows, dim=-1), [draws[i] for i in drawn])
        for i, token in zip(drawn, chosen, strict=True):
            tokens[i] = token
    return [int(token) for token in tokens]


def _first_choices(rows: Tensor) -> list[int]:
    values, ids = rows.max(dim=-1)
    return torch.where(values.isfinite(), ids, -1).tolist()


def uniform(seed: int, step: int, sample: int = 0) -> float:
    """Number in [0, 1) that depends on its arguments alone: no state to lose when a request is
    preempted. A hash is as good a generator as any, and starts 20 times faster than numpy's.
    """
    key = b"".join(part.to_bytes(8, "little") for part in (seed, step, sample))
    return (int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 11) / 2**53


def _edit(row: Tensor, draw: Draw) -> None:
    """Penalise and forbid tokens of one row [vocab_size], in place. Division by a temperature
    before it changes nothing: both scale.
    """
    penalty = draw.params.repetition_penalty
    if penalty != 1:
        ids = torch.tensor(draw.history, device=row.device)
        seen = row[ids]
        row[ids] = torch.where(seen < 0, seen * penalty, seen / penalty)
    if draw.forbidden:
        row[torch.tensor(draw.forbidden, device=row.device)] = float("-inf")
    if draw.allowed is not None:
        row.masked_fill_(torch.from_numpy(~draw.allowed).to(row.device), float("-inf"))


def _draw(probabilities: Tensor, draws: Sequence[Draw]) -> list[int]:
    """Draws from rows of probabilities [num_rows, vocab_size]; -1 from a row that is NaN."""
    tokens = [-1] * len(draws)
    waiting = list(range(len(draws)))
    for floor in FLOORS:
        rows = probabilities if len(waiting) == len(draws) else probabilities[waiting]
        for i, (ids, values) in zip(waiting, _above(rows, floor), strict=True):
            token = _pick(ids, values, draws[i], is_whole=floor == 0)
            tokens[i] = -1 if token is None else token
        waiting = [i for i in waiting if tokens[i] < 0]
        if not waiting:
            break
    return tokens


def _above(rows: Tensor, floor: float) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """For each row, the ids and probabilities of the tokens that are at least `floor` probable."""
    if rows.device.type != "cpu":
        yield from _above_on_device(rows, floor)
        return
    for row in rows.numpy():
        ids = np.flatnonzero(row >= floor)
        yield ids, row[ids]


def _above_on_device(
    rows: Tensor, floor: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The same, chosen where the rows are, so that few numbers travel."""
    index, ids = torch.nonzero(rows >= floor, as_tuple=True)
    starts = np.searchsorted(index.cpu().numpy(), np.arange(rows.shape[0] + 1))
    all_ids, values = ids.cpu().numpy(), rows[index, ids].cpu().numpy()
    for first, last in itertools.pairwise(starts):
        yield all_ids[first:last], values[first:last]


def _pick(
    ids: NDArray[np.int64], values: NDArray[np.float32], draw: Draw, is_whole: bool
) -> int | None:
    """The drawn token, given the most probable ones (ids ascend); None if it may lie beyond them,
    or if there is none.

    is_whole: there are no others.
    """
    params = draw.params
    if ids.size < (1 if is_whole else max(1, params.top_k)):
        return None
    ids, mass, is_cut = _survivors(ids, values, params)
    point = uniform(params.seed, draw.step, draw.sample)
    # Where nothing was cut, tokens that are not given survive too: then the whole mass, 1, counts.
    place = int(np.searchsorted(mass, point * (mass[-1] if is_cut or is_whole else 1.0), "right"))
    if place == ids.size and not (is_cut or is_whole):
        return None
    return int(ids[min(place, ids.size - 1)])


def _survivors(
    ids: NDArray[np.int64], values: NDArray[np.float32], params: SamplingParams
) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
    """Ids from the most probable down that pass top_k, top_p and min_p; their cumulative mass; and
    whether less probable tokens that were not given are surely cut.
    """
    # One number a token that sorts by probability and then by smaller id: the bits of positive
    # floats sort as the floats do.
    order = np.argsort(values.view(np.int32).astype(np.int64) << 32 | (2**32 - 1 - ids))[::-1]
    is_cut = params.top_k > 0
    if is_cut:
        order = order[: params.top_k]
    ordered = values[order].astype(np.float64)
    mass = np.cumsum(ordered)
    size = mass.size
    if params.top_p < 1:
        wanted = params.top_p * (mass[-1] if is_cut else 1.0)
        reached = int(np.searchsorted(mass, wanted, "left")) + 1
        is_cut, size = is_cut or reached <= size, min(reached, size)
    if params.min_p > 0:
        passed = int(np.searchsorted(-ordered[:size], -params.min_p * ordered[0], "right"))
        is_cut, size = is_cut or passed < size, passed
    return ids[order[:size]], mass[:size], is_cut
