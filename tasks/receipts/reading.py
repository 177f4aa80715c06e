"""What a receipt is made of, read from the store by the keys of a run.

Only what does not change once the run has its verdict: read a year later it is the same, and so
are the receipt's bytes.
"""

from __future__ import annotations

from tasks.errors import StoreError
from tasks.model.run import RunRequest
from tasks.receipts.facts import Facts
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.control.commitments import read_commitment
from tasks.store.evals import lineage
from tasks.store.evals.releases import releases_in_roles
from tasks.store.evals.samples import find_eval_set


def read_facts(store: Store, run_id: str) -> Facts:
    """Raises StoreError where the run has no verdict, or a part of it is not in the store."""
    began_at, keys = ledger.began_at(store, run_id), ledger.run_keys(store, run_id)
    decided = verdicts.read_verdicts(store, run_id)
    if began_at is None or keys is None or not decided:
        raise StoreError(
            "there is nothing to make a receipt of: the run has no verdict", received=run_id
        )
    eval_set = find_eval_set(store, keys.eval_set_digest)
    if eval_set is None:
        raise StoreError("the eval set of the run is not in the store", received=run_id)
    releases = releases_in_roles(store, keys.release_digests)
    request = RunRequest.from_json(ledger.run_value(store, run_id, "request") or "{}")
    champion = keys.release_digests["champion"]
    return Facts(
        run_id=run_id,
        began_at=began_at,
        request=request,
        commitment=read_commitment(store, run_id),
        releases=releases,
        eval_set=eval_set,
        logs=lineage.log_files_of(store, eval_set.digest, run_id),
        stages={receipt.stage: receipt for receipt in ledger.receipts(store, run_id)},
        evaluated=ledger.finished_stage(store, request.scores_of or run_id, "evaluate"),
        verdicts=decided,
        ranking=verdicts.read_ranking(store, run_id),
        looks={
            role: verdicts.number_of_look(store, run_id, champion, keys.release_digests[role])
            for role in decided
        },
    )
