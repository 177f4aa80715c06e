"""The `spending` table: what runs spent on APIs, and who answered there. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expectations.contracts import SPENDING
from tasks.store.db.connection import Store


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one run; `cost` in the currency of the releases' prices."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def plus(self, requests: int, input_tokens: int, output_tokens: int, cost: float) -> Spent:
        return Spent(
            self.requests + requests,
            self.input_tokens + input_tokens,
            self.output_tokens + output_tokens,
            self.cost + cost,
        )


def total_spent(parts: Iterable[Spent]) -> Spent:
    total = Spent()
    for part in parts:
        total = total.plus(part.requests, part.input_tokens, part.output_tokens, part.cost)
    return total


def save_spending(store: Store, rows: Iterable[dict[str, Any]]) -> int:
    """Keep what a journal holds; read twice, it counts once."""
    return store.insert(SPENDING, rows, existing="keep")


def read_spending(store: Store, run_id: str) -> dict[str, Spent]:
    """Release digest → what a run spent on it, over all its attempts."""
    rows = store.rows(
        "SELECT release_digest, sum(requests), sum(input_tokens), sum(output_tokens), sum(cost) "
        "FROM spending WHERE run_id = ? GROUP BY release_digest ORDER BY release_digest",
        [run_id],
    )
    return {
        digest: Spent(int(requests), int(read), int(written), float(cost))
        for digest, requests, read, written, cost in rows
    }


def builds(
    store: Store, eval_set_digest: str, release_digests: Sequence[str]
) -> Mapping[str, dict[str, int]]:
    """Release digest → what its API said answered, and how many of the set's answers it gave;
    newest first."""
    found: dict[str, dict[str, int]] = {}
    for digest, served_by, num in store.rows(
        "SELECT c.release_digest, c.served_by, count(*) FROM completions c "
        "JOIN eval_set_samples e USING (sample_id) WHERE e.eval_set_digest = ? "
        "AND list_contains(?::VARCHAR[], c.release_digest) AND c.served_by IS NOT NULL "
        "GROUP BY ALL ORDER BY max(c.created_at) DESC, c.served_by",
        [eval_set_digest, list(release_digests)],
    ):
        found.setdefault(digest, {})[served_by] = num
    return found
