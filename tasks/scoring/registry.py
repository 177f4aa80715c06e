"""Every scorer of ours: name, version, function, parameters, and an example that is run.

A scorer whose answer may change for some text gets a new version, so that stored scores stay
explainable. docs/scorers.md is made from this, and a test runs every example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.scoring.base import Score
from tasks.scoring.choice import choice
from tasks.scoring.exact import exact, exact_match
from tasks.scoring.includes import includes
from tasks.scoring.json_fields import json_fields
from tasks.scoring.numeric import NumericParameters, numeric
from tasks.scoring.token_f1 import token_f1
from tasks.settings.section import Section


@dataclass(frozen=True, slots=True)
class Example:
    """A target, an answer that is right by it, and one that is not."""

    target: str
    right: str
    wrong: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One scorer.

    `function`: (completion text, target) → Score, with its parameters as a third where it has any.
    `target`: what a target is to it. `package`: what it needs of the extra `scorers`, as it is
    imported. `note`: what else its users should know. An answer of more than `max_chars` is wrong,
    unread.
    """

    name: str
    version: int
    function: Callable[..., Score]
    meaning: str
    target: str
    example: Example
    parameters: type[Section] = Section
    package: str = ""
    note: str = ""
    max_chars: int = 10_000_000


_ALL = (
    Kind(
        "exact", 1, exact, "the answer is the target, character for character", "the answer",
        Example("Oslo", "Oslo", "oslo"),
    ),
    Kind(
        "exact_match", 1, exact_match,
        "the whole answer is the target, whatever the case, white space, quotes and final "
        "punctuation",
        "the answer; several that are right, one a line",
        Example("Oslo", '"oslo."', "Oslo, Norway"),
    ),
    Kind(
        "includes", 1, includes, "the target occurs in the answer, as whole words",
        "what must occur", Example("Oslo", "It is Oslo, of course.", "Osloer"),
    ),
    Kind(
        "choice", 1, choice, "the answer names the right label of a closed list, and no other",
        "the right label; or `right | other | other`, which finds out answers that name several",
        Example("good | bad", "The mood is good.", "good or bad"),
    ),
    Kind(
        "numeric", 1, numeric, "the last number in the answer is the target's", "one number",
        Example("3.14159", "about 3.14", "about 3.2", {"tolerance": 0.01}),
        NumericParameters,
    ),
    Kind(
        "token_f1", 1, token_f1, "words that answer and target share, F1 as in SQuAD",
        "a text", Example("the cat sat", "a cat sat", "dogs bark"),
    ),
    Kind(
        "json_fields", 1, json_fields,
        "the share of the target's fields that the answer's first JSON object has right",
        "a JSON object",
        Example('{"order": "FW-1", "paid": true}', '```json\n{"paid": true, "order": "fw-1"}\n```',
                '{"order": "FW-2"}'),
    ),
)  # fmt: skip

#: name → scorer
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
