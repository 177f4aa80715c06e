"""How a peer's gate is asked: a list of questions as JSON on standard input, a list of replies on
standard output. Each peer runs in an environment of its own and sees this file and its own only.

A question has `alpha`, `max_missing`, `suites` (name, role, margin, slices), `guardrails` (name,
margin) and `samples` (suite, champion, challenger, cluster, weight, slices, must_pass, counted,
used), as tests/conformance/README.md
describes them. A reply has `verdicts` (ours, those that the peer's word may mean), `says` (its own
word) and what it tells of `differences` and `intervals`; or `refused`; or `cannot_express`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

Question = dict[str, Any]
Reply = dict[str, Any]


class CannotExpressError(Exception):
    """The peer has no place for a part of the question; the message names it."""


def serve(reply: Callable[[Question], Reply]) -> None:
    """Answer all questions. What a peer prints goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    questions, replies = json.load(sys.stdin), []
    for question in questions:
        try:
            replies.append(reply(question))
        except CannotExpressError as error:
            replies.append({"cannot_express": str(error)})
    json.dump(replies, out)


def refuse_what_has_no_place(question: Question, *known: str) -> None:
    """Raises CannotExpressError for what the question has and is not among `known`."""
    samples, suites = question["samples"], question["suites"]
    has = {
        "samples that are not counted": not all(s["counted"] for s in samples),
        "weights": len({s["weight"] for s in samples}) > 1 or not all(s["weight"] for s in samples),
        "samples that must pass": any(s["must_pass"] for s in samples),
        "slices": any(s["slices"] for s in samples) or any(s["slices"] for s in suites),
        "clusters": has_clusters(samples),
        "several suites": len(suites) > 1,
        "guardrails": bool(question["guardrails"]),
        "guards": any(s["role"] == "guard" for s in suites),
        "report suites": any(s["role"] == "report" for s in suites),
        "a limit on missing answers": question["max_missing"] is not None,
        "a range of scores": any(
            isinstance(answer, float) and math.isfinite(answer) and not 0 <= answer <= 1
            for s in samples
            for answer in (*s["champion"], *s["challenger"])
        ),
    }
    for name, is_there in has.items():
        if is_there and name not in known:
            raise CannotExpressError(name)


def has_clusters(samples: Iterable[dict[str, Any]]) -> bool:
    clusters = [s["cluster"] for s in samples]
    return len(set(clusters)) < len(clusters)


def of_suite(question: Question, name: str) -> list[dict[str, Any]]:
    return [s for s in question["samples"] if s["suite"] == name]


def refuse_undeclared(question: Question) -> None:
    names = {suite["name"] for suite in question["suites"]}
    if not {s["suite"] for s in question["samples"]} <= names:
        raise CannotExpressError("a suite that is not declared")
