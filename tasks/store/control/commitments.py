"""What runs were bound to when they began. Owns the SQL; decides nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

from expectations.contracts import COMMITMENTS
from tasks.model.canonical import parsed, writable
from tasks.model.commitment import Commitment
from tasks.store.db.connection import Store

_JSON = ("policy", "settings", "rules", "files", "materials")


def commit(store: Store, run_id: str, commitment: Commitment) -> None:
    """Write it down, once: a run that is taken up again keeps what it was bound to, and notes what
    it works under now where that is another."""
    known = read_commitment(store, run_id)
    if known is not None:
        (now,) = commitment.materials
        if now in known.materials:
            return
        commitment = replace(known, materials=(*known.materials, now))
    row = {"run_id": run_id, **asdict(commitment)}
    for name in _JSON:
        # in its own order: in that of the settings suites are told
        row[name] = json.dumps(writable(row[name]), ensure_ascii=False)
    store.insert(COMMITMENTS, [row], existing="replace")


def read_commitment(store: Store, run_id: str) -> Commitment | None:
    """None of a run that an earlier build began, or that decides nothing."""
    names = [field.name for field in fields(Commitment)]
    row = store.one(f"SELECT {', '.join(names)} FROM commitments WHERE run_id = ?", [run_id])
    if row is None:
        return None
    values = dict(zip(names, row, strict=True))
    for name in _JSON:
        values[name] = parsed(values[name])
    return Commitment(**{**values, "materials": tuple(values["materials"])})
