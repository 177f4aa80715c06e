"""Coverage-guided fuzzing of one parser; needs atheris, which is not among the project's packages.

    python -m tests.tasks.logs.fuzz_with_atheris FORMAT SAMPLES.jsonl -artifact_prefix=FOLDER/

libFuzzer leaves what broke a parser in FOLDER (without the option, where it was started). Its path
as a further argument replays it on the same SAMPLES; once mended, it belongs among the inputs of
test_fuzz_with_atheris.

SAMPLES: one JSON value a line. The fuzzer's bytes choose a sample, places in it and what to put
there; lines made of the result, and the bytes by themselves, must be read or refused, and counted.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["tasks"]):
    from tasks.logs import formats
    from tasks.logs.files.lines import iterate_lines
    from tasks.logs.files.opening import LogStream
    from tasks.logs.reading.line_text import json_in
    from tasks.logs.reading.locate import Reading
    from tasks.logs.reading.taking import Way
    from tasks.logs.shapes.records import Call
    from tasks.logs.shapes.rows import Provenance, call_values
    from tasks.settings import IngestSettings

from tests.tasks.logs.builders import clock

_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 1.5, 1e300, "", "None", "1", "x" * 300, [], {}, [{}], "[{}]", "{",
    {"a": []}, "2026-01-01T00:00:00Z", "\ud7ff",
)  # fmt: skip


def mutated(provider: atheris.FuzzedDataProvider, samples: list[Any]) -> Any:
    value = json.loads(json.dumps(provider.PickValueInList(samples)))
    for _ in range(provider.ConsumeIntInRange(1, 6)):
        holder = value
        while isinstance(holder, dict | list) and holder:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = provider.PickValueInList(keys)
            if isinstance(holder[key], dict | list) and provider.ConsumeIntInRange(0, 7):
                holder = holder[key]
                continue
            odd = json.loads(json.dumps(provider.PickValueInList(list(_ODD))))
            if isinstance(holder, dict) and provider.ConsumeBool():
                holder[provider.PickValueInList(["id", "role", "content", "usage"])] = odd
            else:
                holder[key] = odd
            break
    return value


def check(content: bytes, parser: formats.Format) -> None:
    stream = LogStream(io.BytesIO(content), len(content), 10**9, 1e9)
    located = list(Reading(Way(parser), IngestSettings()).lines(stream))
    for each in located:
        error = getattr(each.record, "error", "")
        if "the parser broke" in error:
            raise AssertionError(error)
        if isinstance(each.record, Call):
            reader = Provenance("/a", parser.NAME, parser.VERSION, "run", clock())
            assert call_values(each.record, "1", reader)[0]
    if stream.is_encoded:
        return
    seen = {each.line_number for each in located}
    for line in iterate_lines(io.BytesIO(content), 10**6):
        if line.data.strip() and line.number not in seen:
            # an empty list, or an envelope without a record in it, perhaps behind a separator
            inner = json_in(line.data)
            data = line.data if inner is None else inner.data
            assert not data or isinstance(json.loads(data), list | dict)


def one_input(data: bytes, parser: formats.Format, samples: list[Any]) -> None:
    value = mutated(atheris.FuzzedDataProvider(data), samples)
    parser.matches(value)
    check(json.dumps(value).encode() + b"\n" + data, parser)


def main() -> None:
    parser = formats.by_name(sys.argv[1])
    assert isinstance(parser, formats.Format)
    samples = [json.loads(line) for line in Path(sys.argv[2]).read_bytes().splitlines()]
    atheris.Setup([sys.argv[0], *sys.argv[3:]], lambda data: one_input(data, parser, samples))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
