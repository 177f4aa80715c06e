"""Replies of shards as files of a folder, written by whoever gave them before anybody is told.

A file is there whole or not at all, and is named by what was asked: written twice, it is once.
`places` are those of the list that was asked, which whoever made the folder knows (tasks/answering/
spool.py). For now a folder is one of a file system that the actors share; whoever has none leaves
the writing to the process that asked.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tasks.backends.base import Reply
from tasks.model.failure import Failure

_ENDING = ".jsonl"
_OWNER_ONLY = 0o600


def write_shard(folder: Path, name: str, places: Sequence[int], replies: Sequence[Reply]) -> bool:
    """Whether they were. What may not come again is not: it is asked once more."""
    lines = [
        json.dumps({"place": place, "reply": asdict(reply)})
        for place, reply in zip(places, replies, strict=True)
        if reply.failure is None or not reply.failure.is_transient
    ]
    partial = folder / f"{name}.{secrets.token_hex(4)}.partial"
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write("".join(f"{line}\n" for line in lines))
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(folder / f"{name}{_ENDING}")
    except OSError:  # another file system, or the folder was put away
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        return False
    return True


def read_shards(folder: Path) -> Iterator[tuple[int, Reply]]:
    """(place, reply) of every shard that is there; of the same place once or more, and the same."""
    for file in sorted(folder.glob(f"*{_ENDING}")):
        for line in file.read_text(encoding="ascii").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # what is damaged is computed anew
                value = json.loads(line)
                failure = value["reply"].pop("failure")
                told = None if failure is None else Failure(**failure)
                yield int(value["place"]), Reply(**value["reply"], failure=told)
