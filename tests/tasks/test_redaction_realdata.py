"""Recall on Presidio's synthetic set; the floors are what was measured, less nothing."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tasks.redaction_patterns import FINDERS

pytestmark = pytest.mark.realdata

NAMES = {
    "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
}  # fmt: skip
#: kind → (recall at least, masks that hit nothing of their kind at most)
FLOORS = {
    "email": (1.0, 0), "card": (1.0, 0), "iban": (1.0, 0), "ip": (1.0, 0), "phone": (0.97, 1),
}  # fmt: skip


def test_recall_and_false_alarms_on_presidio_synth(shared: Path):
    wanted: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    false_alarms: Counter[str] = Counter()
    with gzip.open(shared / "datasets" / "presidio_synth_v2.jsonl.gz", "rt") as lines:
        for line in lines:
            record = json.loads(line)
            text = record["full_text"]
            spans = [(s, e, f.kind) for f in FINDERS for s, e in f.find(text)]
            truth = [
                (span["start_position"], span["end_position"], NAMES[span["entity_type"]])
                for span in record["spans"]
                if span["entity_type"] in NAMES
            ]
            for start, end, kind in truth:
                wanted[kind] += 1
                hits[kind] += any(s <= start and end <= e for s, e, _ in spans)
            for s, e, kind in set(spans):
                false_alarms[kind] += not any(s < end and start < e for start, end, _ in truth)
    for kind, (recall, alarms) in FLOORS.items():
        assert hits[kind] >= recall * wanted[kind], (kind, hits[kind], wanted[kind])
        assert false_alarms[kind] <= alarms, (kind, false_alarms[kind])
