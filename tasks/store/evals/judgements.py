"""What judges said, and what earlier versions of them gave: completions of prompts that belong to
no eval set. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.model.failure import Fault
from tasks.store.db.connection import Store

#: of the sample id of a judge's prompt; answers.py leaves those out of what releases use
PROMPT_PREFIX = "judge-"


@dataclass(frozen=True, slots=True)
class StoredJudgement:
    """`text` None: there is none, and why."""

    text: str | None
    error: str | None
    fault: Fault | None
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class KeptScore:
    """What a version of a judge gave to an answer that is still there."""

    release_digest: str
    sample_id: str
    seed: int
    value: float
    text: str


def read_judgements(
    store: Store, release_digest: str, prompt_ids: Sequence[str], seed: int
) -> dict[str, StoredJudgement]:
    """Prompt id → what the judge behind that digest said."""
    rows = store.rows(
        "SELECT sample_id, text, error, fault, coalesce(input_tokens, 0), "
        "coalesce(output_tokens, 0) FROM completions WHERE release_digest = ? AND seed = ? "
        "AND list_contains(?::VARCHAR[], sample_id)",
        [release_digest, seed, list(prompt_ids)],
    )
    return {prompt_id: StoredJudgement(*said) for prompt_id, *said in rows}


def kept_scores(store: Store, eval_set_digest: str, suite: str, scorer: str) -> list[KeptScore]:
    """Of answers to the samples of a suite, of any release and run, in a fixed order."""
    rows = store.rows(
        "SELECT s.release_digest, s.sample_id, s.seed, s.value, c.text FROM scores s "
        "JOIN completions c USING (release_digest, sample_id, seed) "
        "JOIN eval_set_samples e USING (sample_id) JOIN samples a USING (sample_id) "
        "WHERE e.eval_set_digest = ? AND a.suite = ? AND s.scorer = ? AND s.value IS NOT NULL "
        "AND c.text IS NOT NULL ORDER BY md5(s.sample_id), s.release_digest, s.seed",
        [eval_set_digest, suite, scorer],
    )
    return [KeptScore(*row) for row in rows]


def last_deciding(store: Store, before: str, suite: str) -> str | None:
    """The version of the judge by which the suite was last decided in an earlier run."""
    for (suites,) in store.rows(
        "SELECT suites FROM verdicts WHERE run_id < ? AND is_leading ORDER BY run_id DESC",
        [before],
    ):
        for one in json.loads(suites):
            card: dict[str, Any] | None = one.get("judge")
            if one.get("suite") == suite and card and card.get("can_gate"):
                version: str = card["version"]
                return version
    return None
