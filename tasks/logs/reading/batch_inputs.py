"""The questions of a batch: input files beside an output file, joined on the id of a line.

An id is unique only within one batch, so the one file that holds every id of the output is taken;
where two do and disagree, none is, and the calls keep no question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tasks.errors import UsageError
from tasks.logs.files.lines import iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.sources import find_files
from tasks.logs.formats import Format, bedrock, gemini_batch, openai_batch
from tasks.logs.reading.recognise import open_log
from tasks.logs.reading.recognised import Recognised
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Json, UnreadableError
from tasks.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class _Batches:
    """Of a format: the key of the id, which lines are of the input, which lack their question."""

    id_key: str
    is_input: Callable[[Json], bool]
    lacks_question: Callable[[Json], bool]
    joined: Callable[[Mapping[str, Json]], Format]

    @property
    def sign(self) -> bytes:
        return f'"{self.id_key}"'.encode()

    def id_of(self, line: Json) -> str | None:
        own = line.get(self.id_key) if isinstance(line, dict) else None
        return str(own) if isinstance(own, str | int) else None


_BATCHES = {
    module.NAME: _Batches(module.ID, module.is_input, module.lacks_question, module.WithRequests)
    for module in (openai_batch, gemini_batch, bedrock)
}


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
    return replace(seen, format=of.joined(asked)) if asked else seen


def _requests_for(
    of: _Batches, output: LogFile, files: Sequence[LogFile], limits: IngestSettings
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
    of: _Batches, file: LogFile, limits: IngestSettings, wanted: Set[str] | None
) -> Iterator[tuple[str, Json]]:
    """Lines by their id, but for those that plainly have none of `wanted`: a folder may hold
    a year of batches. A file whose first line is of no batch is not read any further."""
    try:
        with open_log(file, limits) as stream:
            for line in iterate_lines(stream, limits.max_line_bytes):
                if not line.data.strip():
                    continue
                if line.too_long or of.sign not in line.data:
                    return
                if wanted is not None and _plainly_without(of, wanted, line.data):
                    continue
                try:
                    value = parse(line.data, limits.max_json_depth)
                except UnreadableError:
                    continue
                if (own := of.id_of(value)) is not None:
                    yield own, value
    except UsageError:  # it is reported when the file itself is read
        return


def _plainly_without(of: _Batches, wanted: Set[str], data: bytes) -> bool:
    """Whether all ids in the line stand there without escapes, and none of them is wanted."""
    ids = re.findall(of.sign + rb'\s*+:\s*+"([^"\\]*+)"', data)
    if len(ids) != data.count(of.sign):
        return False
    return not any(own.decode("utf-8", "replace") in wanted for own in ids)
