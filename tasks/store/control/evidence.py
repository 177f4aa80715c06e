"""Evidence over many nights in the store, and which samples it was fed.

Owns the SQL and that no cluster is fed twice; what the evidence says is decided in
tasks/statistics/sequence.py. The state and the samples of a night go in together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from expectations.contracts import EVIDENCE, EVIDENCE_LOOKS, EVIDENCE_SAMPLES
from tasks.model.canonical import canonical_json
from tasks.model.sample import FedSample
from tasks.statistics.sequence import Evidence
from tasks.store.db.connection import Store


@dataclass(frozen=True, slots=True)
class EvidenceKey:
    """What evidence is of; another version of the scorer, another margin or another number of
    challengers that share the error rate starts anew."""

    champion_digest: str
    challenger_digest: str
    suite: str
    scorer: str
    margin: float
    num_challengers: int = 1

    @property
    def evidence_id(self) -> str:
        values = asdict(self)
        if self.num_challengers == 1:
            del values["num_challengers"]  # as it was before there could be several
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def read_evidence(store: Store, key: EvidenceKey) -> Evidence | None:
    """None before the first night."""
    text = store.scalar("SELECT state FROM evidence WHERE evidence_id = ?", [key.evidence_id])
    return None if text is None else Evidence.from_json(json.loads(text))


def fed_samples(store: Store, key: EvidenceKey) -> list[FedSample]:
    """All samples fed so far, by sample id; a new sample of one of their clusters is not fed."""
    rows = store.rows(
        "SELECT sample_id, cluster_id, difference, weight, coalesce(num_draws, 1.0) "
        "FROM evidence_samples "
        "WHERE evidence_id = ? ORDER BY sample_id",
        [key.evidence_id],
    )
    return [FedSample(*row) for row in rows]


def save_night(
    store: Store,
    key: EvidenceKey,
    evidence: Evidence,
    samples: Sequence[FedSample],
    *,
    run_id: str,
    now: datetime,
) -> None:
    """Keep the evidence after a night and the samples that the night fed to it, all or nothing.

    Raises AssertionError where a sample or a cluster was fed before or is missing: the error rate
    rests on each being counted once, so a caller that lets it pass has a bug.
    """
    evidence_id = key.evidence_id
    state = {
        "evidence_id": evidence_id,
        **asdict(key),
        "state": json.dumps(evidence.to_json(), allow_nan=False),
        "run_id": run_id,
        "updated_at": now,
    }
    fed = [{"evidence_id": evidence_id, **asdict(sample), "run_id": run_id} for sample in samples]
    with store.transaction():
        store.insert(EVIDENCE_SAMPLES, fed, existing="keep")
        store.insert(EVIDENCE, [state], existing="replace")
        after = {name: state[name] for name in EVIDENCE_LOOKS.column_names}
        store.insert(EVIDENCE_LOOKS, [after], existing="replace")
        kept = store.one(
            "SELECT count(*), count(DISTINCT cluster_id) FROM evidence_samples "
            "WHERE evidence_id = ?",
            [evidence_id],
        )
        counted = (evidence.num_samples, evidence.bets.num_clusters)
        assert kept == counted, f"fed {counted} samples and clusters, kept are {kept}"
