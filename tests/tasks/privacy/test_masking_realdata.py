"""Recall and precision on Presidio's synthetic set, as `benchmarks.redaction` counts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.redaction import MIN_RECALL, compare, read_labelled
from tasks.privacy.masking import KINDS, Redactor

pytestmark = pytest.mark.realdata

#: as measured, but for phone numbers, where the next change may cost one of 49
MIN_PRECISION = {"phone": 0.95}


def test_what_presidios_makers_labelled_is_found_and_little_else(shared: Path):
    records = read_labelled(shared / "datasets" / "presidio_synth_v2.jsonl.gz")
    found = compare(records, KINDS, Redactor(KINDS).spans)
    assert [each.kind for each in found] == ["url", "email", "iban", "card", "ip", "phone"]
    for each in found:
        assert each.num_labels >= 6
        assert each.recall >= MIN_RECALL, each
        assert each.precision >= MIN_PRECISION.get(each.kind, 1.0), each
