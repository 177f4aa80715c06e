"""Which scores share one computation, and how scores are put together again.

Knows requests and plain numbers. Two ideas: continuations of one context that differ in their last
token only need one row of the model each, the same one (multiple choice A/B/C/D); and a text longer
than the context is scored in windows, as lm-evaluation-harness does, so that numbers compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.requests.request import Request, Score

__all__ = ["Part", "join", "rolling_windows", "score_of", "share_rows"]


@dataclass(frozen=True, slots=True)
class Part:
    """One score within a computation: the tokens after first_target and then `last`."""

    request: Request
    first_target: int
    last: int


def share_rows(requests: Sequence[Request]) -> list[Part]:
    """The part of each request, in order. Requests that run the same tokens become one: the first
    of them, which then asks for all their last tokens, from the earliest first target on.
    """
    leaders: dict[tuple[int, ...], Request] = {}
    parts = []
    for request in requests:
        if request.finish_reason is not None:
            parts.append(Part(request, request.first_target, -1))
            continue
        last = request.choices[0]
        leader = leaders.setdefault(tuple(request.token_ids), request)
        parts.append(Part(leader, request.first_target, last))
        if leader is not request:
            leader.num_answers += 1
            leader.first_target = min(leader.first_target, request.first_target)
            leader.targets = (*leader.token_ids[leader.first_target + 1 :], leader.choices[0])
            if last not in leader.choices:
                leader.choices = (*leader.choices, last)
    return parts


def score_of(part: Part) -> Score:
    request, targets = part.request, part.request.targets or ()
    if request.error is not None:
        num_tokens = max(0, len(targets) - (part.first_target - request.first_target))
        return _failed(num_tokens, request)
    begin = part.first_target - request.first_target
    choice = request.choice_logprobs[request.choices.index(part.last)]
    logprobs = (*request.logprobs[begin:-1], choice)
    return Score(
        logprob=sum(logprobs),
        token_logprobs=logprobs,
        num_tokens=len(logprobs),
        is_greedy=request.greedy_ids[begin:] == [*targets[begin:-1], part.last],
        top_logprobs=tuple(request.top_logprobs[begin:]),
        num_context_tokens=part.first_target + 1,
    )


def rolling_windows(
    token_ids: Sequence[int], prefix_id: int, max_tokens: int
) -> Iterator[tuple[list[int], list[int]]]:
    """(context, continuation) pairs that cover every token once: the first window follows the
    prefix token, the later ones are as long as the model's context allows, so that the last one
    reaches back over tokens that are scored already. (get_rolling_token_windows with context_len 1,
    and make_disjoint_window, of lm-evaluation-harness.)
    """
    first = min(max_tokens, len(token_ids))
    if first:
        yield [prefix_id], list(token_ids[:first])
    done = first
    while done < len(token_ids):
        end = min(done + max_tokens, len(token_ids))
        yield list(token_ids[end - max_tokens - 1 : done]), list(token_ids[done:end])
        done = end


def join(scores: Sequence[Score]) -> Score:
    """The score of a text from those of its windows."""
    num_tokens = sum(score.num_tokens for score in scores)
    failed = next((score for score in scores if score.error is not None), None)
    if failed is not None:
        return _failed(num_tokens, failed)
    logprobs = tuple(logprob for score in scores for logprob in score.token_logprobs)
    is_greedy = all(score.is_greedy for score in scores)
    context = scores[0].num_context_tokens if scores else 0
    return Score(sum(logprobs), logprobs, num_tokens, is_greedy, num_context_tokens=context)


def _failed(num_tokens: int, cause: Request | Score) -> Score:
    return Score(float("nan"), (), num_tokens, False, cause.error, fault=cause.fault)
