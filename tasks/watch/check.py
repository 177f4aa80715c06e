"""The new calls of a run against the reference window: sampled, judged, kept, told.

Runs at the end of redact, inside its transaction: the first moment at which the new calls are
written the way the calls before are (with pseudonyms), and the last at which they can still be
held back. What is judged, and how, is in `judge`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import DataError
from tasks.model.drift import Drift
from tasks.run import Run
from tasks.settings import DriftSettings
from tasks.store import Store
from tasks.store.intake import drift as table
from tasks.watch.embedding import MAX_TEXT_CHARS
from tasks.watch.judge import Calls, judge
from tasks.watch.script import script

if TYPE_CHECKING:
    import pyarrow as pa

_CATEGORIES = (
    "format", "model", "operation", "status", "error_type", "finish_reason", "has_tool_calls",
)  # fmt: skip
_NUMBERS = ("input_tokens", "output_tokens", "latency_s", "ttft_s")


class DriftStoppedError(DataError):
    """The new calls are distributed otherwise, and [drift] action is "stop"."""

    def __init__(self, drift: Drift, min_psi: float) -> None:
        columns = "column" if len(drift.alarms) == 1 else "columns"
        super().__init__(
            f"the new calls differ from those before in {len(drift.alarms)} {columns}; "
            "none was moved, all wait in landing",
            received=", ".join(f"{c.column_name} PSI {c.psi:.2f}" for c in drift.alarms),
            allowed=f"a PSI below {min_psi:g}",
            next='flywheel drift shows them; [drift] action = "warn" lets them in',
        )
        self.drift = drift


def check(run: Run, store: Store, last_row: int) -> dict[str, Any]:
    """Judge the calls of `requests` beyond `last_row` and keep what was found; notes for a receipt.

    Calls put back after a fix are not judged: they were chosen, so they differ. Raises
    DriftStoppedError where settings say so; the caller then takes back what it wrote.
    """
    settings = run.settings.drift
    if not settings.enabled or "replay" in run.request.stages:
        return {}
    drift = examine(store, last_row, settings, run.run_id)
    if drift.since is None:
        return {}
    if drift.alarms and settings.action == "stop":
        raise DriftStoppedError(drift, settings.min_psi)
    table.write(store, run.run_id, drift, run.clock())
    return {"drift": notes(drift, settings)}


def examine(store: Store, last_row: int, settings: DriftSettings, run_id: str) -> Drift:
    """Judge the calls of `requests` beyond `last_row` against those up to it.

    The same calls and run id give the same result.
    """
    window = table.window_before(store, last_row, settings.reference_days)
    if window is None:
        return Drift((), None)
    seed = zlib.crc32(run_id.encode())
    reference, new = (
        _calls(table.sample(
            store, window, is_new=is_new, max_rows=settings.max_rows, seed=seed,
            chars=MAX_TEXT_CHARS,
        ))
        for is_new in (False, True)
    )  # fmt: skip
    return Drift(judge(reference, new, settings, np.random.default_rng(seed)), window.since)


def notes(drift: Drift, settings: DriftSettings) -> dict[str, Any]:
    """For the receipt: alarms with their numbers, what was not judged with its reason."""
    return {
        "false_alarm_rate": settings.false_alarm_rate,
        "min_psi": settings.min_psi,
        "num_judged": sum(column.not_judged is None for column in drift.columns),
        "num_new": max((column.num_new for column in drift.columns), default=0),
        "num_reference": max((column.num_reference for column in drift.columns), default=0),
        "reference_since": None if drift.since is None else drift.since.isoformat(),
        "alarms": [
            {
                "column": column.column_name,
                "psi": _rounded(column.psi),
                "p_value": _rounded(column.p_value),
                "adjusted_p": _rounded(column.adjusted_p),
                "moved": [
                    {
                        "value": one.value,
                        "old_share": _rounded(one.old_share),
                        "new_share": _rounded(one.new_share),
                    }
                    for one in column.moved
                ],
            }
            for column in drift.alarms
        ],
        "not_judged": {c.column_name: c.not_judged for c in drift.columns if c.not_judged},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _calls(rows: pa.Table) -> Calls:
    texts = rows.column("text").to_pylist()
    return Calls(
        numbers={name: rows.column(name).to_numpy().astype(np.float64) for name in _NUMBERS},
        categories={name: rows.column(name).to_pylist() for name in _CATEGORIES}
        | {"script": [script(text) for text in texts]},
        texts=texts,
    )
