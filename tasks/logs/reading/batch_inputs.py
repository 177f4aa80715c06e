"""The questions of a batch: input files beside an output file, joined on custom_id.

A custom_id is unique only within one batch, so the one file that holds every id of the output is
taken; where two do and disagree, none is, and the calls keep no question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from tasks.errors import UsageError
from tasks.logs.files.lines import iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.sources import find_files
from tasks.logs.formats import openai_batch
from tasks.logs.reading.recognise import open_log
from tasks.logs.reading.recognised import Recognised
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Json, UnreadableError
from tasks.settings import IngestSettings

_PLAIN_ID = re.compile(rb'"custom_id"\s*+:\s*+"([^"\\]*+)"')


def with_requests(
    seen: Recognised, output: LogFile, limits: IngestSettings, files: Sequence[LogFile] | None
) -> Recognised:
    """The output of a batch together with its questions, from `files`; None: those beside it."""
    if seen.format is None or seen.format.NAME != openai_batch.NAME:
        return seen
    beside = find_files([str(output.path.parent)]).files if files is None else files
    asked = _requests_for(output, beside, limits)
    return replace(seen, format=openai_batch.WithRequests(asked)) if asked else seen


def _requests_for(
    output: LogFile, files: Sequence[LogFile], limits: IngestSettings
) -> dict[str, Json]:
    """Input lines by custom_id, of the files in the output's folder (itself too)."""
    wanted = {
        line["custom_id"]
        for line in _lines(output, limits, None)
        if not openai_batch.is_input(line)
    }
    holding_all: list[dict[str, Json]] = []
    for file in files:
        if wanted and file.path.parent == output.path.parent:
            known = {line["custom_id"]: line for line in _lines(file, limits, wanted)
                     if openai_batch.is_input(line) and line["custom_id"] in wanted}  # fmt: skip
            if len(known) == len(wanted) and known not in holding_all:
                holding_all.append(known)
    return holding_all[0] if len(holding_all) == 1 else {}


def _lines(
    file: LogFile, limits: IngestSettings, wanted: Set[str] | None
) -> Iterator[dict[str, Json]]:
    """Lines with a custom_id, but for those that plainly have none of `wanted`: a folder may hold
    a year of batches. A file whose first line is of no batch is not read any further."""
    try:
        with open_log(file, limits) as stream:
            for line in iterate_lines(stream, limits.max_line_bytes):
                if not line.data.strip():
                    continue
                if line.too_long or b'"custom_id"' not in line.data:
                    return
                if wanted is not None and _plainly_without(wanted, line.data):
                    continue
                try:
                    value = parse(line.data, limits.max_json_depth)
                except UnreadableError:
                    continue
                if isinstance(value, dict) and isinstance(value.get("custom_id"), str):
                    yield value
    except UsageError:  # it is reported when the file itself is read
        return


def _plainly_without(wanted: Set[str], data: bytes) -> bool:
    """Whether all ids in the line stand there without escapes, and none of them is wanted."""
    ids = _PLAIN_ID.findall(data)
    if len(ids) != data.count(b'"custom_id"'):
        return False
    return not any(custom_id.decode("utf-8", "replace") in wanted for custom_id in ids)
