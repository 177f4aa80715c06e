"""The questions of a batch: input files beside an output file, joined on the id of a line.

An id is unique only within one batch, so the one file that holds every id of the output is taken;
where two do and disagree, none is, and the calls keep no question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

from tasks.errors import UsageError
from tasks.logs.files.lines import iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.sources import find_files
from tasks.logs.formats import Batched, bedrock, gemini_batch, openai_batch
from tasks.logs.reading.recognise import open_log
from tasks.logs.reading.recognised import Recognised
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Json, Record, UnreadableError
from tasks.settings import IngestSettings

_FORMATS: tuple[Batched, ...] = (openai_batch, gemini_batch, bedrock)
_BATCHES = {format.NAME: format for format in _FORMATS}


class _WithRequests:
    """The format of one output file, with the input lines that belong to it."""

    def __init__(self, of: Batched, requests: Mapping[str, Json]) -> None:
        self.NAME = of.NAME
        self.VERSION = of.VERSION
        self.matches = of.matches
        self._of = of
        self._requests = requests

    def records(self, value: Json) -> Iterator[Record]:
        return self._of.joined(value, self._requests)


def may_join(format: str | None) -> bool:
    """Whether files of this format may have their questions in another one."""
    return format in _BATCHES


def with_requests(
    seen: Recognised, output: LogFile, limits: IngestSettings, files: Sequence[LogFile] | None
) -> Recognised:
    """The output of a batch together with its questions, from `files`; None: those beside it."""
    of = None if seen.format is None else _BATCHES.get(seen.format.NAME)
    if of is None:
        return seen
    beside = find_files([str(output.path.parent)]).files if files is None else files
    asked = _requests_for(of, output, beside, limits)
    return replace(seen, format=_WithRequests(of, asked)) if asked else seen


def _requests_for(
    of: Batched, output: LogFile, files: Sequence[LogFile], limits: IngestSettings
) -> dict[str, Json]:
    """Input lines by their id, of the files in the output's folder (itself too)."""
    wanted = {own for own, line in _lines(of, output, limits, None) if of.lacks_question(line)}
    holding_all: list[dict[str, Json]] = []
    for file in files:
        if wanted and file.path.parent == output.path.parent:
            known = {own: line for own, line in _lines(of, file, limits, wanted)
                     if own in wanted and of.is_input(line)}  # fmt: skip
            if len(known) == len(wanted) and known not in holding_all:
                holding_all.append(known)
    return holding_all[0] if len(holding_all) == 1 else {}


def _lines(
    of: Batched, file: LogFile, limits: IngestSettings, wanted: Set[str] | None
) -> Iterator[tuple[str, Json]]:
    """Lines by their id, but for those that plainly have none of `wanted`: a folder may hold
    a year of batches. A file whose first line is of no batch is not read any further."""
    try:
        with open_log(file, limits) as stream:
            for line in iterate_lines(stream, limits.max_line_bytes):
                if not line.data.strip():
                    continue
                if line.too_long or _sign(of) not in line.data:
                    return
                if wanted is not None and _plainly_without(of, wanted, line.data):
                    continue
                try:
                    value = parse(line.data, limits.max_json_depth)
                except UnreadableError:
                    continue
                if (own := _id_of(of, value)) is not None:
                    yield own, value
    except UsageError:  # it is reported when the file itself is read
        return


def _sign(of: Batched) -> bytes:
    return f'"{of.ID}"'.encode()


def _id_of(of: Batched, line: Json) -> str | None:
    own = line.get(of.ID) if isinstance(line, dict) else None
    return str(own) if isinstance(own, str | int) else None


def _plainly_without(of: Batched, wanted: Set[str], data: bytes) -> bool:
    """Whether all ids in the line stand there without escapes, and none of them is wanted."""
    ids = re.findall(_sign(of) + rb'\s*+:\s*+"([^"\\]*+)"', data)
    if len(ids) != data.count(_sign(of)):
        return False
    return not any(own.decode("utf-8", "replace") in wanted for own in ids)
