"""What actors answered, written down where they are (tasks/backends/pool/spool.py), and how it
comes into the store where the process that asked was killed.

A folder a chunk: which completions its places are, and a file a shard. Once the chunk is kept, the
folder goes; what an earlier process left is folded in at the start of the next run, as with the
journal of what was paid for (journal.py). What is damaged is computed anew: it cost nothing.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.backends.base import Reply
from tasks.backends.pool.spool import read_shards
from tasks.model.answer import CompletionKey

#: of the state folder; `spool` is of logs that were piped in
SPOOL_FOLDER = "completions.spool"
_PLACES = "places.json"


def begin_spool(home: Path, run_id: str, keys: Sequence[CompletionKey], now: datetime) -> Path:
    """A folder for the replies of a chunk, `keys` in the order asked."""
    folder = home / SPOOL_FOLDER / uuid.uuid4().hex
    folder.mkdir(mode=0o700, parents=True)
    head = {"run_id": run_id, "created_at": now.isoformat(), "keys": [asdict(key) for key in keys]}
    # whole before anything is asked, so that no shard is without it
    (folder / _PLACES).write_text(json.dumps(head), encoding="ascii")
    return folder


def rows_left(home: Path) -> Iterator[dict[str, Any]]:
    """Rows of the completions table, of all folders that are there."""
    for folder in sorted((home / SPOOL_FOLDER).glob("*")):
        try:
            head = json.loads((folder / _PLACES).read_text(encoding="ascii"))
            created_at = datetime.fromisoformat(head["created_at"])
            keys = [CompletionKey(**key) for key in head["keys"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for place, reply in dict(read_shards(folder)).items():
            if 0 <= place < len(keys):
                yield completion_row(keys[place], reply, str(head["run_id"]), created_at)


def is_left(home: Path) -> bool:
    return (home / SPOOL_FOLDER).exists()


def put_away(folder: Path) -> None:
    """Of a chunk that is kept."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others are there
        folder.parent.rmdir()


def put_all_away(home: Path) -> None:
    shutil.rmtree(home / SPOOL_FOLDER, ignore_errors=True)


def completion_row(
    key: CompletionKey, reply: Reply, run_id: str, created_at: datetime
) -> dict[str, Any]:
    """A reply as the store keeps it."""
    return {
        **asdict(key),
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "cached_tokens": reply.cached_tokens,
        "output_tokens": reply.output_tokens,
        "error": reply.failure and reply.failure.message,
        "fault": reply.failure and reply.failure.fault,
        "run_id": run_id,
        "created_at": created_at,
        "ttft_s": reply.ttft_s,
        "latency_s": reply.latency_s,
        "served_by": reply.served_by,
    }
