"""What a file was recognised as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.logs.formats import AnyFormat
from tasks.logs.reading import refusal
from tasks.logs.shapes.records import Json, UnreadableError

Syntax = Literal["lines", "json", "yaml", "parquet", "csv", "text"]

#: lines, rows or values at the beginning of a file that say what it is
MAX_SAMPLE = 50
#: so many of them that are no calls make a file a mixed one; fewer may be damage
NUM_FOREIGN = 3


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is. `documents`: the parsed values, where it is of documents.

    `format` None: none takes it, and `reason` says why (an empty file: empty reason); of documents
    it says why there are no more of them. `is_mixed`: there are lines between the calls that are
    none. `is_wrapped`: records stand in envelopes.
    """

    syntax: Syntax
    format: AnyFormat | None
    reason: str = ""
    documents: tuple[Json | UnreadableError, ...] = ()
    head: bytes = b""
    delimiter: str = ","
    is_mixed: bool = False
    is_wrapped: bool = False
    is_forced: bool = False


def unrecognised(syntax: Syntax, what: str, head: bytes) -> Recognised:
    return Recognised(syntax, None, refusal.reason(what), head=head)
