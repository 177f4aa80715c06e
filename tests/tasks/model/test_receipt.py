from __future__ import annotations

import pytest

from tasks.model.receipt import Receipt


def test_counts_that_do_not_add_up_are_refused_with_every_count_named():
    with pytest.raises(ValueError, match="10 rows in, but 5 out \\+ 2 quarantined"):
        Receipt("validate", "run", rows_in=10, rows_out=5, quarantined=2)


def test_calls_outside_the_window_are_part_of_the_count():
    receipt = Receipt("ingest", "run", rows_in=10, rows_out=7, outside_window=3)
    assert receipt.to_dict()["outside_window"] == 3
    with pytest.raises(ValueError, match="2 outside the window = 9"):
        Receipt("ingest", "run", rows_in=10, rows_out=7, outside_window=2)


def test_receipt_survives_the_ledger_and_back():
    receipt = Receipt("ingest", "run", 11, 6, 1, 2, 1, 0.5, {"files": 2}, outside_window=1)
    assert Receipt.from_dict(receipt.to_dict()) == receipt
    assert receipt.took(1.23456).seconds == 1.235
