"""One finished turn, read back from the store by the keys of its run.

However often it is read it comes out the same: what each answer counts is asked of the function
the gate asks, by the scorer versions that the verdict names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tasks.answering.reading import read_judged
from tasks.errors import StoreError
from tasks.model.erasure import erased
from tasks.model.profile import profiles_in
from tasks.model.turn import Turn
from tasks.scoring.health import set_health
from tasks.scoring.worth import as_answered
from tasks.store import Store
from tasks.store.control import erasures, ledger, verdicts
from tasks.store.evals import lineage
from tasks.store.evals.answers import read_scores
from tasks.store.evals.releases import read_releases, releases_in_roles
from tasks.store.evals.samples import find_eval_set, read_eval_set, samples_of_run


def read_turn(store: Store, run_id: str, seeds: range, versions: Mapping[str, str]) -> Turn:
    """All that is known of a run that has a verdict. Raises StoreError where a part is missing."""
    started_at = ledger.began_at(store, run_id)
    keys = ledger.run_keys(store, run_id)
    decided = verdicts.read_verdicts(store, run_id)
    if started_at is None or keys is None or not decided:
        raise StoreError(
            "there is nothing to record: the run has no verdict yet",
            received=run_id,
            next="flywheel run, which decides before it records",
        )
    request = json.loads(ledger.run_value(store, run_id, "request") or "{}")
    eval_set = find_eval_set(store, keys.eval_set_digest)
    if eval_set is None:
        raise StoreError("the eval set of the run is not in the store", received=run_id)
    releases = releases_in_roles(store, keys.release_digests)
    is_sampled = any(release.is_sampled for release in releases.values())
    whole = as_answered(read_eval_set(store, eval_set.digest), is_sampled=is_sampled)
    samples = samples_of_run(store, request.get("scores_of") or run_id, whole)
    (verdict, *_) = decided.values()  # all were judged by the same scorers
    metrics = {suite.rule.name: suite.scorer for suite in verdict.suites}
    also = {suite.rule.name: [one.scorer for one in suite.also] for suite in verdict.suites}
    judged, scorers = read_judged(store, keys, samples, seeds, metrics, also)
    scores = read_scores(store, eval_set.digest, scorers)
    receipts = tuple(ledger.receipts(store, run_id))
    return Turn(
        run_id=run_id,
        started_at=started_at,
        request=request,
        releases=releases,
        eval_set=eval_set,
        verdicts=decided,
        ranking=verdicts.read_ranking(store, run_id),
        judged=judged,
        receipts=receipts,
        quarantined_by_reason=lineage.quarantined_by_reason(store, run_id),
        log_files=lineage.log_files_of(store, eval_set.digest, run_id),
        versions=dict(versions),
        health=set_health(whole, scores, read_releases(store, scores.digests), scorers),
        profiles=profiles_in(receipts),
        erased=erased(erasures.erasures_of(store, run_id)),
    )
