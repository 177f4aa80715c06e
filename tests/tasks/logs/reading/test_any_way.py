"""Calls of any format, in any envelope, over any transport: the same rows as bare."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.logs import formats
from tasks.logs.files.log_file import look_at
from tasks.logs.reading.batches import cap_of
from tasks.logs.reading.here import LogHere
from tasks.logs.reading.line_values import At
from tasks.logs.reading.taking import Taking, Way
from tasks.logs.shapes.rows import Provenance
from tasks.settings import IngestSettings
from tests.tasks.logs.builders import clock
from tests.tasks.logs.formats import test_server_logs as servers
from tests.tasks.logs.test_fuzz import SEEDS

TIME = "2026-11-01T10:00:00.000000000Z"


def docker(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": TIME})


def in_parts(line: str) -> str:
    """As docker cuts a long line."""
    pieces = [line[start : start + 400] for start in range(0, len(line), 400)]
    last = {"log": pieces[-1] + "\n", "stream": "stderr", "time": TIME}
    parts = [{"log": piece, "stream": "stderr", "time": TIME} for piece in pieces[:-1]]
    return "\n".join(json.dumps(part) for part in [*parts, last])


def cri(line: str) -> str:
    half = len(line) // 2
    return f"{TIME} stdout P {line[:half]}\n{TIME} stdout F {line[half:]}"


#: a line of JSON → the lines that carry it
ENVELOPES: dict[str, Callable[[str], str]] = {
    "bare": lambda line: line,
    "docker": docker,
    "docker in parts": in_parts,
    "CRI": lambda line: f"{TIME} stdout F {line}",
    "CRI in parts": cri,
    "CRI around docker": lambda line: f"{TIME} stdout F {docker(line)}",
    "a logger's head": lambda line: f"2026-11-01 10:00:00,123 INFO [app.llm] call: {line}",
    "an event stream": lambda line: f"event: message\ndata: {line}\n",
    "json-seq": lambda line: f"\x1e{line}",
    "CloudWatch": lambda line: json.dumps({"timestamp": 1790000000000, "message": line}),
    "CloudWatch export": lambda line: json.dumps(
        {"logGroup": "g", "logEvents": [{"id": "1", "timestamp": 1790000000000, "message": line}]}
    ),
    "Fluent Bit": lambda line: json.dumps(
        {"date": 1790000000.5, "log": line, "kubernetes": {"pod_name": "p", "labels": {"a": "b"}}}
    ),
    "Cloud Logging": lambda line: json.dumps(
        {"insertId": "i", "timestamp": TIME, "severity": "INFO", "jsonPayload": json.loads(line)}
    ),
    "Elastic": lambda line: json.dumps(
        {"_index": "i", "_id": "1", "_source": {"@timestamp": TIME, "message": line}}
    ),
    "Loki": lambda line: json.dumps({"labels": {"app": "a"}, "line": line, "timestamp": TIME}),
    "Kafka": lambda line: json.dumps({"topic": "t", "partition": 0, "offset": 7, "value": line}),
    "EventBridge": lambda line: json.dumps(
        {"version": "0", "id": "e", "detail-type": "t", "time": TIME, "detail": json.loads(line)}
    ),
    "a structured logger": lambda line: json.dumps(
        {"level": "info", "ts": 1790000000.5, "msg": "call done", "payload": json.loads(line)}
    ),
}
#: the lines of a file → its bytes
TRANSPORTS: dict[str, Callable[[Sequence[str]], bytes]] = {
    "lines": lambda lines: "\n".join(lines).encode() + b"\n",
    "CRLF": lambda lines: "\r\n".join("\r\n".join(x.split("\n")) for x in lines).encode() + b"\r\n",
    "BOM": lambda lines: b"\xef\xbb\xbf" + "\n".join(lines).encode(),
    "UTF-16": lambda lines: ("\n".join(lines) + "\n").encode("utf-16"),
    "UTF-16 without a mark": lambda lines: ("\n".join(lines) + "\n").encode("utf-16-le"),
    "gzip": lambda lines: gzip.compress("\n".join(lines).encode()),
    "zstd": lambda lines: pa.compress(
        "\n".join(lines).encode(), codec="zstd", asbytes=True
    ),
    "gzip of UTF-16": lambda lines: gzip.compress("\n".join(lines).encode("utf-16")),
}  # fmt: skip
#: values → the bytes of a document
DOCUMENTS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "array": lambda values: json.dumps(values).encode(),
    "pretty array": lambda values: json.dumps(values, indent=2).encode(),
    "pretty": lambda values: "\n".join(json.dumps(v, indent=4) for v in values).encode(),
    "concatenated": lambda values: "".join(map(json.dumps, values)).encode(),
    "several a line": lambda values: " ".join(map(json.dumps, values)).encode() + b"\n",
    "trailing comma": lambda values: (
        "[\n" + "".join(f"{json.dumps(value)},\n" for value in values) + "]\n"
    ).encode(),
    "pretty UTF-16": lambda values: "\n".join(json.dumps(v, indent=1) for v in values).encode(
        "utf-16"
    ),
}  # fmt: skip
#: formats in which a call stands in several values, or hangs on those before it
_OF_SEVERAL = ("openai_batch", "azure", "claude_code", "codex")
#: those that have a call in them, and are known by what they say
VALUES = [
    (name, seed)
    for name, (format, seeds) in SEEDS.items()
    for seed in seeds
    if formats.recognise(seed) is not None and name not in _OF_SEVERAL
]


def digests(path: Path) -> Counter[str]:
    """Of all calls of a file; what it could not read is an error."""
    limits = IngestSettings()
    with LogHere(look_at(path), limits, None) as log:
        made_by = Provenance("/a", log.found.format or "", "1", "run", clock())
        assert log.found.format, (path.read_bytes()[:500], log._seen.reason)
        found: Counter[str] = Counter()
        for rows in log.rows(made_by, cap_of(limits)):
            assert not rows.dead, [row["error"] for row in rows.dead]
            assert not rows.notes
            found.update(rows.calls["content_digest"].to_pylist())
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> list[Counter[str]]:
    folder = tmp_path_factory.mktemp("bare")
    found = []
    for number, (_, value) in enumerate(VALUES):
        path = folder / f"{number}.jsonl"
        path.write_text(json.dumps(value) + "\n")
        found.append(digests(path))
    return found


#: not one of them twice: a span of a vendor's trace that is met again is the same call
SOME = st.lists(st.integers(0, len(VALUES) - 1), min_size=1, max_size=4, unique=True)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    some=SOME, envelope=st.sampled_from(sorted(ENVELOPES)),
    transport=st.sampled_from(sorted(TRANSPORTS)),
)  # fmt: skip
def test_lines(
    some: list[int], envelope: str, transport: str, bare: list[Counter[str]],
    tmp_path_factory: pytest.TempPathFactory,
):  # fmt: skip
    lines = [ENVELOPES[envelope](json.dumps(VALUES[number][1])) for number in some]
    path = tmp_path_factory.mktemp("some") / "calls.log"
    path.write_bytes(TRANSPORTS[transport](lines))
    assert digests(path) == sum((bare[number] for number in some), Counter())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(some=SOME, document=st.sampled_from(sorted(DOCUMENTS)))
def test_documents(
    some: list[int], document: str, bare: list[Counter[str]],
    tmp_path_factory: pytest.TempPathFactory,
):  # fmt: skip
    path = tmp_path_factory.mktemp("some") / "calls.json"
    path.write_bytes(DOCUMENTS[document]([VALUES[number][1] for number in some]))
    assert digests(path) == sum((bare[number] for number in some), Counter())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_many_kinds_in_one_file_among_lines_that_are_no_calls(
    data: st.DataObject, bare: list[Counter[str]], tmp_path_factory: pytest.TempPathFactory
):
    some = data.draw(SOME)
    carried = [
        ENVELOPES[data.draw(st.sampled_from(["bare", "docker", "CRI", "a logger's head", "Loki"]))](
            json.dumps(VALUES[number][1])
        )
        for number in some
    ]
    noise = [f"2026-11-01 10:00:{n:02d} INFO starting part {n}" for n in range(60)]
    noise += [json.dumps({"level": "info", "msg": f"listening on {n}"}) for n in range(5)]
    lines = data.draw(st.permutations([*carried, *noise]))
    path = tmp_path_factory.mktemp("some") / "app.log"
    path.write_text("\n".join(lines) + "\n")
    assert digests(path) == sum((bare[number] for number in some), Counter())


@pytest.mark.parametrize("name", sorted({name for name, _ in VALUES}))
def test_a_file_of_one_format_takes_the_values_of_every_other(name: str):
    format = formats.by_name(name)
    assert isinstance(format, formats.Format)
    place = At(1, 0, "1", b"")
    for other, value in VALUES:
        known = formats.recognise(value)
        assert known is not None
        taking, alone = Taking(Way(format)), Taking(Way(known))
        found, expected = (
            [type(r).__name__ for r, _ in [*each.take(value, place), *each.end()]]
            for each in (taking, alone)
        )
        if "Call" in expected:
            # one call of a batch of two is what the generous one makes of it, in no file of its own
            assert "Call" in found, (other, value, found)
            assert "Dead" not in found, (other, value, found)


@pytest.mark.parametrize("envelope", ["docker", "CRI"])
def test_text_logs_of_servers_in_a_containers_log(envelope: str, tmp_path: Path):
    for name, text in (("llama", servers.NEW), ("vllm", servers.RECEIVED.format(id="a"))):
        plain, carried = tmp_path / f"{name}.log", tmp_path / f"{name}.carried.log"
        plain.write_text(text)
        carried.write_text("\n".join(map(ENVELOPES[envelope], text.splitlines())) + "\n")
        assert digests(carried) == digests(plain)
        assert digests(plain)
