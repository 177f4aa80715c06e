"""Scorers by name. Each is a pure function (completion text, target) → Score, with a version.

A scorer whose answer may change for some text gets a new version, so that stored scores stay
explainable. Knows nothing of stores, releases or engines.
"""

from __future__ import annotations

from tasks.errors import UsageError, did_you_mean
from tasks.scoring.base import Score, Scorer, unscored
from tasks.scoring.choice import choice
from tasks.scoring.exact_match import exact_match
from tasks.scoring.includes import includes
from tasks.scoring.json_fields import json_fields
from tasks.scoring.numeric import numeric
from tasks.scoring.token_f1 import token_f1

__all__ = ["SCORERS", "Score", "Scorer", "score", "scorer_version", "unscored"]

#: name → (version, function)
SCORERS: dict[str, tuple[int, Scorer]] = {
    "choice": (1, choice),
    "exact_match": (1, exact_match),
    "includes": (1, includes),
    "json_fields": (1, json_fields),
    "numeric": (1, numeric),
    "token_f1": (1, token_f1),
}


def scorer_version(name: str, key: str = "suites.NAME.scorer") -> str:
    """`exact_match` → `exact_match@1`. Raises UsageError on a name that is not known; `key` is the
    setting it stands in."""
    if name not in SCORERS:
        raise UsageError(
            f"unknown scorer {name!r}" + did_you_mean(name, SCORERS),
            received=name,
            allowed=", ".join(sorted(SCORERS)),
            next=f"correct `{key}` in flywheel.toml",
        )
    return f"{name}@{SCORERS[name][0]}"


def score(name: str, text: str, target: str) -> Score:
    """Score one completion. A scorer that breaks leaves the sample unscored, with the reason."""
    scorer_version(name)
    try:
        return SCORERS[name][1](text, target)
    except Exception as error:  # a bug in one scorer must not lose a night's run
        return unscored(f"the scorer {name} broke: {type(error).__name__}: {error}")
