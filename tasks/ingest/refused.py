"""Files among the logs that no format recognises: told by name with the reason, whatever else was
read, and the end of the run where that is all of them."""

from __future__ import annotations

from typing import Any

from tasks.errors import UsageError
from tasks.logs import formats
from tasks.logs.files.sources import LogFiles
from tasks.logs.reading.refusal import UNREAD
from tasks.run import Run
from tasks.store import Store
from tasks.store.intake import sources as readings

#: files of a kind that are named; of the others there is a number
MAX_TOLD = 20


class UnrecognisedError(UsageError):
    """None of the files is recognised. `counts`: the files, as the notes of a receipt have them."""

    def __init__(self, unread: dict[str, Any]) -> None:
        self.counts = {"unrecognised": unread}
        names = [
            f"{each['file'].rpartition('/')[2]} ({each['reason']})" for each in unread["files"]
        ]
        more = f" and {unread['num'] - len(names):,} more" if unread["num"] > len(names) else ""
        which = "any of the files" if unread["num"] > 1 else "the file"
        super().__init__(
            f"no log format recognises {which}",
            received="; ".join(names) + more,
            allowed=", ".join(formats.NAMES),
            next=f"{unread['next']} to force one",
        )


def unread_files(run: Run, store: Store, logs: LogFiles) -> dict[str, Any]:
    """Of all files of the run, those of earlier runs too: how many there are, how many of them the
    run met, and of the first file and reason; `next` is the command that reads one of them as what
    the user says it is. Empty where there are none.

    Raises UnrecognisedError where that is every file that has content: nothing was meant. Their
    dead letters are committed by now.
    """
    paths = [file.source for file in logs.files]
    found = readings.unrecognised(store, paths, run.run_id, formats.UNKNOWN, MAX_TOLD)
    if not found.num:
        return {}
    command = "ingest" if tuple(run.request.stages) == ("ingest",) else "run"
    unread = {
        "num": found.num,
        "num_new": found.num_new,
        "files": [
            {
                "file": path,
                "reason": why.removeprefix(UNREAD).lstrip(",: ") or "its dead letter is gone",
            }
            for path, why in found.first
        ],
        "next": f"flywheel {command} --format NAME",
    }
    if found.num == found.num_filled:
        raise UnrecognisedError(unread)
    return unread
