"""The data funnel: what a stage's receipt says of where its rows went. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.model.receipt import Receipt
from tasks.model.turn import Turn

#: what the rows of a stage are
UNITS = {
    "ingest": "records", "validate": "calls", "redact": "calls", "curate": "candidates",
    "plan": "samples",
    "evaluate": "completions", "gate": "pairs", "record": "pairs",
}  # fmt: skip


def shares(receipt: Receipt) -> tuple[float, ...]:
    """Rows out, quarantined, duplicates, dead letters of rows in, 0 to 1.

    What is missing in them to 1 are calls outside the window that was asked for.
    """
    parts = (receipt.rows_out, receipt.quarantined, receipt.duplicates, receipt.dead_letters)
    return tuple(part / max(receipt.rows_in, 1) for part in parts)


def reasons(receipt: Receipt, turn: Turn) -> tuple[tuple[str, int], ...]:
    """Why rows were quarantined: of the receipt, else of the table."""
    if not receipt.quarantined:
        return ()
    noted = receipt.notes.get("by_reason")
    counts = noted if isinstance(noted, Mapping) else turn.quarantined_by_reason
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
