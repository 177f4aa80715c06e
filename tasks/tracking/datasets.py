"""Eval set and log files as MLflow datasets: a name, a short digest, and where the content lies.

Our own store is the truth; MLflow only points at it. Imports mlflow: import this module late.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.entities import DatasetInput, InputTag

from tasks.model.turn import EvalSet, LogFile, Turn

#: MLflow refuses a longer digest
MAX_DIGEST_CHARS = 36
DATASET_NAME = "eval-set"
_TABLE = "eval_set_samples"
#: context of the datasets that are log files; that of the eval set is `evaluation`
LOGS_CONTEXT = "logs"
#: MLflow holds a row for each; the others are counted in a tag of the run
MAX_LOG_FILES = 200
#: MLflow refuses a longer name
_MAX_NAME_CHARS = 500


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


class LogSource(DatasetSource):  # type: ignore[misc]
    """A log file as the store knows it: its path or address, and the sha256 of what was read."""

    def __init__(self, path: str, digest: str) -> None:
        self._path = path
        self._digest = digest

    @staticmethod
    def _get_source_type() -> str:
        return "flywheel_log"

    def load(self) -> Any:
        raise NotImplementedError("a log file is read by flywheel ingest")

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> LogSource:
        raise NotImplementedError("a log file is named by its path and digest, never guessed")

    def to_dict(self) -> dict[str, Any]:
        return {"path": self._path, "sha256": self._digest}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> LogSource:
        return cls(source_dict["path"], source_dict["sha256"])


class LogDataset(Dataset):  # type: ignore[misc]
    """A log file by its path and content digest."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        super().__init__(
            LogSource(file.path, file.digest),
            name=file.path[-_MAX_NAME_CHARS:],
            digest=file.digest[:MAX_DIGEST_CHARS],
        )

    def _compute_digest(self) -> str:
        raise NotImplementedError("the digest is that of the content, given by the store")

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self.profile)}

    @property
    def profile(self) -> Any:
        return {
            "format": self._file.format,
            "rows_out": self._file.rows_out,
            "read_in_this_run": self._file.read_in_this_run,
        }

    @property
    def schema(self) -> Any:
        return None


def log_inputs(turn: Turn) -> tuple[list[Any], int]:
    """The DatasetInputs of the log files that the eval set or the run drew from, each content once,
    and how many more there are."""
    files = list({(file.path, file.digest): file for file in turn.log_files}.values())
    inputs = [
        DatasetInput(
            dataset=LogDataset(file)._to_mlflow_entity(),
            tags=[InputTag(key="mlflow.data.context", value=LOGS_CONTEXT)],
        )
        for file in files[:MAX_LOG_FILES]
    ]
    return inputs, len(files) - len(inputs)


def dataset_input(turn: Turn, store_path: str) -> Any:
    """The DatasetInput to log; `samples by suite` is its profile."""
    by_suite = dict(Counter(item.sample.suite for item in turn.judged))
    profile = {
        "num_samples": turn.eval_set.num_samples,
        "by_suite": by_suite,
        "parent_digest": turn.eval_set.parent_digest,
    }
    source = StoreSource(store_path, turn.eval_set.digest)
    dataset = EvalSetDataset(source, turn.eval_set, profile)
    return DatasetInput(
        dataset=dataset._to_mlflow_entity(),
        tags=[InputTag(key="mlflow.data.context", value="evaluation")],
    )
