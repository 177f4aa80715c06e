"""YAML of others, within limits: what it holds is plain values, and no more than it is long."""

from __future__ import annotations

import datetime
from typing import Any

import yaml

from tasks.model.canonical import writable
from tasks.referee.files import MAX_DEPTH, ResultFile

MAX_BYTES = 8 * 2**20
#: an alias stands for all that its anchor holds, so a short file may be a large value; where there
#: is none, a value takes at least a byte
_FEW_VALUES = 10_000


def read_yaml(file: ResultFile) -> Any:
    """Raises UsageError that names the line."""
    if len(file.data) > MAX_BYTES:
        raise file.refused(
            f"has {len(file.data):,} bytes", allowed=f"YAML of at most {MAX_BYTES:,}"
        )
    try:
        value = yaml.load(file.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise file.refused(
            f"is not YAML: {error.problem or error.context}",
            None if mark is None else mark.line + 1,
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        told = " ".join(str(error).split())[:120]
        raise file.refused(f"is not YAML that can be read: {told}") from None
    left = [max(_FEW_VALUES, len(file.data))]
    return writable(_plain(value, file, left, 0))


def _plain(value: Any, file: ResultFile, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise file.refused("its aliases or levels make it too large", allowed=f"{MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {str(key): _plain(one, file, left, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one, file, left, depth + 1) for one in value]
    if isinstance(value, datetime.date | datetime.datetime | bytes):
        return (
            value.isoformat() if not isinstance(value, bytes) else value.decode("utf-8", "replace")
        )
    return value
