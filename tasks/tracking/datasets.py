"""Our eval set as an MLflow dataset: a name, a short digest, and where in DuckDB it lies.

Our own store is the truth; MLflow only points at it. Imports mlflow: import this module late.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.entities import DatasetInput, InputTag

from tasks.model.turn import EvalSet, Turn

#: MLflow refuses a longer digest
MAX_DIGEST_CHARS = 36
DATASET_NAME = "eval-set"
_TABLE = "eval_set_samples"


class StoreSource(DatasetSource):  # type: ignore[misc]
    """The eval set's full digest and the DuckDB file that holds it."""

    def __init__(self, path: str, eval_set_digest: str) -> None:
        self._path = path
        self._digest = eval_set_digest

    @staticmethod
    def _get_source_type() -> str:
        return "flywheel_store"

    def load(self) -> Any:
        """Rows of the eval set as a data frame."""
        from pathlib import Path

        from tasks.store import Store
        from tasks.store.evals.samples import eval_set_frame

        with Store.open(Path(self._path), read_only=True) as store:
            return eval_set_frame(store, self._digest)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> StoreSource:
        raise NotImplementedError("an eval set is named by its digest, never guessed")

    def to_dict(self) -> dict[str, Any]:
        return {"store": self._path, "table": _TABLE, "eval_set_digest": self._digest}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> StoreSource:
        return cls(source_dict["store"], source_dict["eval_set_digest"])


class EvalSetDataset(Dataset):  # type: ignore[misc]
    """Name and content digest of an eval set, with its counts as the profile."""

    def __init__(self, source: StoreSource, eval_set: EvalSet, profile: Any) -> None:
        self._profile = profile
        super().__init__(source, name=DATASET_NAME, digest=eval_set.digest[:MAX_DIGEST_CHARS])

    def _compute_digest(self) -> str:
        raise NotImplementedError("the digest is that of the content, given by the store")

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self._profile)}

    @property
    def profile(self) -> Any:
        return self._profile

    @property
    def schema(self) -> Any:
        return None


def dataset_input(turn: Turn, store_path: str) -> Any:
    """The DatasetInput to log; `samples by suite` is its profile."""
    by_suite = dict(Counter(item.sample.suite for item in turn.judged))
    profile = {"num_samples": turn.eval_set.num_samples, "by_suite": by_suite}
    source = StoreSource(store_path, turn.eval_set.digest)
    dataset = EvalSetDataset(source, turn.eval_set, profile)
    return DatasetInput(
        dataset=dataset._to_mlflow_entity(),
        tags=[InputTag(key="mlflow.data.context", value="evaluation")],
    )
