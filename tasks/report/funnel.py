"""The data funnel: what went into each stage, what came out, and where the rest is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.model.receipt import Receipt
from tasks.model.turn import Turn

_UNITS = {
    "ingest": "records", "validate": "calls", "redact": "calls", "curate": "candidates",
    "evaluate": "completions", "gate": "pairs", "record": "pairs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One stage; `shares`: rows out, quarantined, duplicates, dead letters of rows in, 0 to 1.

    What is missing in them to 1 are calls outside the window that was asked for.
    """

    stage: str
    unit: str
    rows_in: int
    rows_out: int
    quarantined: int
    duplicates: int
    dead_letters: int
    outside_window: int
    seconds: float
    shares: tuple[float, float, float, float]
    reasons: tuple[tuple[str, int], ...]


def steps(turn: Turn) -> tuple[Step, ...]:
    return tuple(_step(receipt, turn.quarantined_by_reason) for receipt in turn.receipts)


def _step(receipt: Receipt, quarantined_by_reason: Mapping[str, int]) -> Step:
    parts = (receipt.rows_out, receipt.quarantined, receipt.duplicates, receipt.dead_letters)
    total = max(receipt.rows_in, 1)
    shares = (parts[0] / total, parts[1] / total, parts[2] / total, parts[3] / total)
    return Step(
        stage=receipt.stage,
        unit=_UNITS.get(receipt.stage, "rows"),
        rows_in=receipt.rows_in,
        rows_out=receipt.rows_out,
        quarantined=receipt.quarantined,
        duplicates=receipt.duplicates,
        dead_letters=receipt.dead_letters,
        outside_window=receipt.outside_window,
        seconds=receipt.seconds,
        shares=shares,
        reasons=_reasons(receipt, quarantined_by_reason),
    )


def _reasons(receipt: Receipt, quarantined: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Why rows were quarantined: of the receipt, else of the table."""
    if not receipt.quarantined:
        return ()
    noted = receipt.notes.get("by_reason")
    found = noted if isinstance(noted, Mapping) else quarantined
    counts = [(str(reason), int(number)) for reason, number in found.items()]
    return tuple(sorted(counts, key=lambda item: (-item[1], item[0])))
