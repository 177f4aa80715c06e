"""Why a file is not read: what it is, where it says so, else what it looks like.

A folder can be taken in as it is, and whoever put the wrong file there reads which and why. The
tables of what is known are in tasks/logs/foreign.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.logs.files.opening import bare_name
from tasks.logs.foreign import by_keys, by_lines, by_magic, looks
from tasks.logs.foreign import by_name as by_names
from tasks.logs.shapes.records import Json

#: before what the file is
UNREAD = "no format recognises this file"
_YAML = (".yaml", ".yml")


def reason(what: str) -> str:
    """The words of a dead letter of the whole file."""
    return f"{UNREAD}, {what}"


def by_name(name: str, head: bytes) -> str | None:
    """What the file is, where its name or its first bytes tell that it is no log."""
    bare = bare_name(name)
    known = by_names.told(bare) or by_magic.told(head)
    if known is None and bare.endswith(_YAML) and not _has_line(head, b"interactions:"):
        return _of_yaml(head)
    return known


def describes(value: Json) -> bool:
    """Whether it says how records look, or what runs, and so holds examples at most."""
    return isinstance(value, dict) and (
        "$schema" in value or "$defs" in value or {"apiVersion", "kind"} <= value.keys()
        or {"openapi", "paths"} <= value.keys()
    )  # fmt: skip


def of_document(values: Sequence[Json]) -> str:
    """What a document is that no format takes, or several of them one behind the other."""
    return _of_values(values, one_a_line=False)


def of_csv(columns: Sequence[str], wanted: Sequence[str] = ()) -> str:
    """`wanted`: the columns that [ingest.columns] names."""
    what = _of_table("a CSV table", columns)
    if wanted:
        return f"{what}; [ingest.columns] asks for {looks.names(wanted)}"
    return f"{what}; where they are those of calls, [ingest.columns] says what each means"


def of_parquet(columns: Sequence[str]) -> str:
    return _of_table("a Parquet table", columns)


def of_long_line(num_bytes: int, max_bytes: int) -> str:
    return (
        f"which begins with a line of {num_bytes:,} bytes; a line may have {max_bytes:,} "
        "([ingest] max_line_bytes)"
    )


def of_lines(head: bytes, lines: Sequence[bytes], values: Sequence[Json]) -> str:
    """What a file is that no format takes. `lines`: the first ones that are not empty; `values`:
    those of them that are JSON by themselves."""
    if by_magic.is_binary(head):
        return looks.of_bytes(head)
    if 2 * len(values) >= len(lines):
        return _of_values(values, one_a_line=len(lines) > 1)
    texts = [line.decode("utf-8", "replace") for line in lines]
    known = by_lines.told(texts)
    if known is None and (heading := looks.table_in(texts)) is not None:
        return looks.of_columns("a table", heading)
    return known or looks.of_text(texts)


def of_broken(lines: Sequence[bytes], error: str) -> str:
    """A file that begins like a document. `error`: why it is none."""
    known = by_lines.told([line.decode("utf-8", "replace") for line in lines])
    return known or f"which begins like a document and cannot be read as one: {error}"


def _of_table(kind: str, columns: Sequence[str]) -> str:
    known = by_keys.told(dict.fromkeys(columns))
    if known is None:
        return looks.of_columns(kind, columns)
    told = f"{kind}, {known}"
    return told if ":" in known else f"{told}: the columns {looks.names(columns)}"


def _of_values(values: Sequence[Json], *, one_a_line: bool) -> str:
    """Of a kind that is known, the keys too, unless it comes with an advice."""
    known = next(filter(None, map(by_keys.told, values)), None)
    if known is None:
        return looks.of_json(values, one_a_line=one_a_line)
    keys = looks.keys_of(values)
    return known if ":" in known or not keys else f"{known}: the keys {looks.names(keys)}"


def _of_yaml(head: bytes) -> str:
    if _has_line(head, b"apiVersion:"):
        return "a Kubernetes manifest"
    if _has_line(head, b"openapi:") or _has_line(head, b"swagger:"):
        return "an OpenAPI description"
    if _has_line(head, b"services:"):
        return "a configuration of Docker Compose"
    return "a configuration file (YAML)"


def _has_line(head: bytes, start: bytes) -> bool:
    return head.startswith(start) or b"\n" + start in head
