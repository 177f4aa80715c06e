"""Speed of the pattern part of redaction, and what it finds in a set whose makers labelled it.

    python -m benchmarks.redaction --labelled presidio_synth_v2.jsonl.gz

The labelled set is presidio-research's synthetic one: JSON lines with `full_text` and `spans`. A
label counts as found where one span of its kind covers all of it; a span counts as right where it
overlaps a label of its kind. What we mask and nobody labelled lowers the precision, right or not.

With --person-model and the extra `ner` also persons, beside what Presidio finds by itself with the
same spaCy model and its defaults.

Made secrets (planted.py): of every kind that docs/redaction.md promises, how many of --secrets
leave no stretch of nine signs behind. --ordinary: files whose texts have hardly anything in them;
each mask there is printed, to be looked at.

Speed: calls of about 2 KB in a canonical call's columns: prose without anything to find; prose with
an address, a number and a link here and there; the labelled texts, one after another. First by the
processor time of one core, then as the stage masks many, in real time with the start of its
processes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import orjson
import pyarrow as pa

from benchmarks import planted
from benchmarks.ingest import ROOT, Prose
from tasks.privacy.masking import KINDS, Redactor
from tasks.privacy.persons import PERSON
from tasks.privacy.policy import JSON_COLUMNS, TEXT_COLUMNS, Policy, redact_table
from tasks.processes import num_processes
from tasks.redact.masks import Masks
from tasks.redact.task import _BATCH_ROWS
from tasks.redact.together import mask_all
from tasks.workers.here import WorkHere

#: the makers' names of what we look for
LABELS = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip", "DOMAIN_NAME": "url", "URL": "url", "PERSON": "person",
}  # fmt: skip
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "url")
Span = tuple[int, int, str]
MIN_RECALL = 0.95
MIN_CALLS_PER_S = 5_000
#: times as many calls are masked by several processes as by one
_TOGETHER = 4
_SEEN_IN_LOGS = (
    "ann.lee@example.com", "+49 170 1234567", "https://example.com/orders/20417?tab=2",
    "order A-20417", "192.168.10.20", "2026-11-24 10:00:31", "the API key is in the vault",
    "1,234.56 EUR",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """Of one kind: labels and how many we found; our spans and how many are right."""

    kind: str
    num_labels: int
    num_found: int
    num_spans: int
    num_right: int

    @property
    def recall(self) -> float:
        return self.num_found / self.num_labels

    @property
    def precision(self) -> float:
        return self.num_right / self.num_spans


def read_labelled(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def compare(
    records: list[dict[str, Any]], kinds: Sequence[str], find: Callable[[str], Iterable[Span]]
) -> list[Found]:
    """`find`: (start, end, kind) of everything of these kinds in a text."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        labels = [
            (span["start_position"], span["end_position"], LABELS[span["entity_type"]])
            for span in record["spans"]
            if LABELS.get(span["entity_type"]) in kinds
        ]
        spans = list(find(record["full_text"]))
        for start, end, kind in labels:
            counts[kind, "labels"] += 1
            counts[kind, "found"] += any(
                a <= start and end <= b for a, b, found in spans if found == kind
            )
        for a, b, kind in spans:
            counts[kind, "spans"] += 1
            counts[kind, "right"] += any(
                a < end and start < b for start, end, labelled in labels if labelled == kind
            )
    return [
        Found(kind, *(counts[kind, what] for what in ("labels", "found", "spans", "right")))
        for kind in kinds
        if counts[kind, "labels"]
    ]


def presidio(model: str) -> Callable[[str], list[Span]]:
    """Persons as Presidio finds them by itself."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    analyzer = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])

    def find(text: str) -> list[Span]:
        found = analyzer.analyze(text, language="en", entities=["PERSON"])
        return [(each.start, each.end, PERSON) for each in found]

    return find


def show(found: Sequence[Found], by: str = "") -> None:
    for each in found:
        print(f"| {each.kind}{by} | {each.num_labels} | {each.recall:.3f} | {each.num_spans} "
              f"| {each.precision:.3f} |")  # fmt: skip


def as_json(found: Sequence[Found]) -> dict[str, dict[str, float]]:
    return {
        each.kind: {
            "labels": each.num_labels, "found": each.num_found, "recall": each.recall,
            "spans": each.num_spans, "right": each.num_right, "precision": each.precision,
        }
        for each in found
    }  # fmt: skip


def calls(texts: Iterator[str], count: int) -> pa.Table:
    """Canonical calls in the columns that are masked."""
    rows = []
    for number in range(count):
        columns: dict[str, Any] = dict.fromkeys((*JSON_COLUMNS, *TEXT_COLUMNS))
        messages = [{"role": role, "content": next(texts)} for role in ("system", "user")]
        columns |= {
            "messages": orjson.dumps(messages).decode(),
            "response": orjson.dumps({"role": "assistant", "content": next(texts)}).decode(),
            "params": '{"max_tokens":400,"temperature":0.2}',
            "tags": '{"region":"eu","service.name":"support"}',
            "session_id": f"session-{number}",
        }
        rows.append(columns)
    schema = pa.schema([(name, pa.string()) for name in (*JSON_COLUMNS, *TEXT_COLUMNS)])
    return pa.Table.from_pylist(rows, schema)


def made_secrets(count: int) -> dict[str, float]:
    """Share found of each kind that is promised."""
    redactor = Redactor(key=b"benchmark")
    shares = {}
    for name in (*planted.TOKENS, *planted.IN_CONTEXT):
        made = planted.texts(name, count, seed=1)
        kept = sum(planted.leaks(secret, redactor.text(text)) for text, secret in made)
        shares[name] = 1 - kept / count
    return shares


def all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from all_texts(item)


def masks_in(path: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """Of a file of JSON lines: texts, and what is masked in them with its surroundings."""
    redactor, num_texts, masks = Redactor(kinds), 0, []
    for record in read_labelled(path):
        for text in all_texts(record):
            num_texts += 1
            masks += [
                {"kind": kind, "text": text[max(0, start - 30) : end + 20]}
                for start, end, kind in redactor.spans(text)
            ]
    return {"texts": num_texts, "masks": masks}


def plain_texts() -> Iterator[str]:
    prose = Prose(0)
    while True:
        yield prose.cut(600)


def usual_texts() -> Iterator[str]:
    prose, draw = Prose(0), random.Random(0)
    while True:
        pieces = [prose.cut(120), draw.choice(_SEEN_IN_LOGS), prose.cut(450)]
        yield " ".join(pieces)


def labelled_texts(records: list[dict[str, Any]]) -> Iterator[str]:
    draw = random.Random(0)
    while True:
        text = ""
        while len(text) < 600:
            text += draw.choice(records)["full_text"] + "\n"
        yield text


def calls_per_s(table: pa.Table, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        redactor = Redactor(KINDS, b"benchmark")
        started = time.process_time()
        redact_table(table, Policy({}, redactor))
        seconds.append(time.process_time() - started)
    return table.num_rows / min(seconds)


def calls_per_s_together(table: pa.Table, repeats: int) -> float:
    """As the stage does: a process a core, real time, their start included."""
    masks = Masks(KINDS, b"benchmark", "", {})
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        parts = (table.slice(start, _BATCH_ROWS) for start in range(0, len(table), _BATCH_ROWS))
        with WorkHere(num_processes(0), masks) as work:
            num_rows = sum(masked.table.num_rows for masked in mask_all(parts, masks, work))
        seconds.append(time.perf_counter() - started)
        assert num_rows == table.num_rows
    return table.num_rows / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--person-model", default="", help="spaCy model that is installed")
    parser.add_argument("--secrets", type=int, default=200, help="made of each kind")
    parser.add_argument("--ordinary", type=Path, nargs="*", default=[])
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    records = read_labelled(options.labelled)
    found = compare(records, KINDS, Redactor(KINDS).spans)
    print("| kind | labels | recall | spans | precision |\n|---|---|---|---|---|")
    show(found)
    persons = {}
    if options.person_model:
        ours = Redactor([PERSON], person_model=options.person_model).spans
        for by, find in ((", ours", ours), (", Presidio", presidio(options.person_model))):
            each = compare(records, [PERSON], find)
            show(each, by)
            persons |= {name + by: values for name, values in as_json(each).items()}
    shares = made_secrets(options.secrets)
    low = {name: share for name, share in shares.items() if share < MIN_RECALL}
    print(f"\n{len(shares)} kinds of secret, {options.secrets} made of each: least found "
          f"{min(shares.values()):.3f}; below {MIN_RECALL}: {low or 'none'}")  # fmt: skip
    ordinary = {path.name: masks_in(path, DEFAULT_KINDS) for path in options.ordinary}
    for name, looked in ordinary.items():
        print(f"{name}: {looked['texts']:,} texts, {len(looked['masks'])} masks")
        for mask in looked["masks"]:
            print(f"    {mask['kind']}: {mask['text']!r}")
    sources = {
        "plain prose": plain_texts(),
        "usual": usual_texts(),
        "labelled texts": labelled_texts(records),
    }
    one_core, together = {}, {}
    cores = num_processes(0)
    print(f"\n| calls of 2 KB | calls/s, one core | calls/s, the stage on {cores} |\n|---|---|---|")
    for name, texts in sources.items():
        one_core[name] = calls_per_s(calls(texts, options.calls), options.repeats)
        table = calls(texts, _TOGETHER * options.calls)
        together[name] = calls_per_s_together(table, options.repeats)
        print(f"| {name} | {one_core[name]:,.0f} | {together[name]:,.0f} |")
    met = all(each.recall >= MIN_RECALL for each in found)
    fast = min(together.values()) >= MIN_CALLS_PER_S
    print(f"\nrecall of at least {MIN_RECALL} on each: {'yes' if met else 'no'}; "
          f"{MIN_CALLS_PER_S:,} calls/s by the stage: {'yes' if fast else 'no'}")  # fmt: skip
    from benchmarks import results

    report = {
        **results.header(), "kinds": as_json(found) | persons, "secrets": shares,
        "ordinary": {
            name: {"texts": each["texts"], "masks": len(each["masks"])}
            for name, each in ordinary.items()
        },
        "calls_per_s": one_core, "calls_per_s_together": {"processes": cores, **together},
    }  # fmt: skip
    results.write(report, options.out, "redaction")


if __name__ == "__main__":
    main()
