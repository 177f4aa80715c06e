"""All that the store holds of a run that is to be executed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.errors import UsageError
from tasks.model.answer import Role
from tasks.model.commitment import Commitment
from tasks.model.run import RunRequest
from tasks.model.sample import Sample
from tasks.receipts.commitment import written_down
from tasks.receipts.facts import Facts
from tasks.receipts.reading import read_facts
from tasks.settings import ReleaseSettings, Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.commitments import read_commitment
from tasks.store.control.rewinding import is_evidence_kept
from tasks.store.evals.lineage import Reading, readings_until
from tasks.store.evals.releases import read_model_files
from tasks.store.evals.samples import read_eval_set


@dataclass(frozen=True, slots=True)
class Recorded:
    """`evaluated`: the run that answered, what was `asked` of it and what it was `bound` to, which
    is another run than the one that decided where scores were decided on anew. `samples`: of the
    whole eval set. `model_files`: digest of a model → file → digest. `readings`: of log files, up
    to the run."""

    facts: Facts
    evaluated: str
    asked: RunRequest
    bound: Commitment | None
    samples: tuple[Sample, ...]
    model_files: Mapping[str, Mapping[str, str]]
    readings: tuple[Reading, ...]
    is_evidence_kept: bool

    @property
    def run_id(self) -> str:
        return self.facts.run_id

    def declared(self, role: Role, today: Settings) -> ReleaseSettings | None:
        """A release as the settings of the run had it; of an earlier build as today's have it."""
        name = self.facts.name(role)
        if self.bound is None:
            return today.releases.get(name)
        values = self.bound.settings["releases"].get(name)
        return None if values is None else ReleaseSettings.model_validate(values)

    @property
    def is_hosted(self) -> Mapping[Role, bool]:
        return {
            role: not release.engine.get("is_deterministic", True)
            for role, release in self.facts.releases.items()
        }


def read_recorded(store: Store, run_id: str) -> Recorded:
    """Of a decided run. Raises StoreError where a part of it is missing, UsageError where no run
    answered for it."""
    facts = read_facts(store, run_id)
    evaluated = facts.request.scores_of or run_id
    text = ledger.run_value(store, evaluated, "request")
    if text is None or facts.evaluated is None:
        raise UsageError(
            "the run that answered is not in the store, so nothing can be executed again",
            received=evaluated,
            next="name a run of flywheel run or flywheel eval",
        )
    return Recorded(
        facts=facts,
        evaluated=evaluated,
        asked=RunRequest.from_json(text),
        bound=read_commitment(store, evaluated),
        samples=tuple(read_eval_set(store, facts.eval_set.digest)),
        model_files={
            release.model_digest: read_model_files(store, release.model_digest)
            for release in facts.releases.values()
        },
        readings=readings_until(store, run_id),
        is_evidence_kept=is_evidence_kept(store, run_id),
    )


def settings_of(bound: Commitment | None, today: Settings) -> dict[str, Any]:
    """The settings that a run was bound to as JSON; today's of one that an earlier build began."""
    return written_down(today) if bound is None else dict(bound.settings)
