"""The chain of the audit, taken again by hashlib and json alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks.model.audit import AuditRow, chained, first_fault

NOW = datetime(2026, 11, 30, 21, 0, 0, 123)  # noqa: DTZ001 - as the store keeps it


def chain(number: int = 6) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for n in range(number):
        rows.append(
            chained(
                rows[-1] if rows else None,
                at=NOW + timedelta(hours=n),
                by="Zoë",
                action="promote",
                subject=f"release {n}",
                details={
                    "why": "„grün“ \ud83d",
                    "n": n,
                    "champion": {"release": "b", "digest": "d"},
                },
            )
        )
    return rows


def independent(row: AuditRow) -> str:
    """By what docs/releases.md says, without a line of ours."""
    value: dict[str, Any] = asdict(row)
    del value["hash"]
    value["at"] = value["at"].isoformat()
    value["details"] = json.loads(value["details"])
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_hash_is_that_of_its_row_and_of_the_hash_before():
    rows = chain()
    assert [row.hash for row in rows] == [independent(row) for row in rows]
    assert [row.previous_hash for row in rows] == ["", *(row.hash for row in rows[:-1])]
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
    assert first_fault(rows) is None
    assert first_fault([]) is None
    assert first_fault(chain(1)) is None


CHANGES: dict[str, Callable[[AuditRow], AuditRow]] = {
    "at": lambda row: replace(row, at=row.at + timedelta(microseconds=1)),
    "by": lambda row: replace(row, by="Zoe"),
    "action": lambda row: replace(row, action="rollback"),
    "subject": lambda row: replace(row, subject=f"{row.subject} "),
    "details": lambda row: replace(row, details=row.details.replace("grün", "grau")),
    "blanks of the details": lambda row: replace(row, details=f"{row.details} "),
    "a key of the details twice": lambda row: replace(
        row, details=row.details.replace("{", '{"n":0,', 1)
    ),
    "details that are no object": lambda row: replace(row, details="[1]"),
    "details that are no JSON": lambda row: replace(row, details="{"),
    "previous_hash": lambda row: replace(row, previous_hash="0" * 64),
    "hash": lambda row: replace(row, hash="0" * 64),
}


@pytest.mark.parametrize("place", [0, 2, 5])
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_row_is_named(what: str, place: int):
    rows = chain()
    rows[place] = CHANGES[what](rows[place])
    fault = first_fault(rows)
    assert fault is not None
    assert (fault.seq, "not what was written" in fault.why) == (place + 1, True)


def test_a_row_that_is_gone_is_named_but_for_the_last_ones():
    for place in range(5):
        rows = chain()
        del rows[place]
        fault = first_fault(rows)
        assert fault is not None
        assert (fault.seq, fault.why) == (place + 1, "it is missing")
    # which is why the newest hash is kept elsewhere
    assert first_fault(chain()[:4]) is None


def test_rows_that_were_put_in_or_elsewhere_are_named():
    rows = chain()
    swapped = [*rows[:2], replace(rows[3], seq=3), replace(rows[2], seq=4), *rows[4:]]
    fault = first_fault(swapped)
    assert fault is not None
    assert fault.seq == 3
    # one with a right hash of its own, for which the others were numbered anew
    forged = chained(rows[1], at=NOW, by="x", action="rollback", subject="a", details={})
    moved = [replace(row, seq=row.seq + 1) for row in rows[2:]]
    fault = first_fault([*rows[:2], forged, *moved])
    assert fault is not None
    assert fault.seq == 4
    # the same place twice
    fault = first_fault([*rows[:3], replace(forged), *rows[3:]])
    assert fault is not None
    assert (fault.seq, fault.why) == (3, "it is there twice")


def test_a_row_written_anew_breaks_the_next_one():
    rows = chain()
    anew = replace(rows[2], by="somebody else")
    rows[2] = replace(anew, hash=anew.expected_hash())
    fault = first_fault(rows)
    assert fault is not None
    assert fault.seq == 4
    assert "does not follow the row before it" in fault.why
