"""Two ingests of a folder in this process, which somebody gave limits: `python -m … FOLDER`.

Imports nothing of the tests that it need not: what they hold would count against the limits.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from tasks.ingest.task import ingest
from tests.tasks.logs.builders import make_run, query

COLUMNS = {"request_id": "id", "messages": "question", "response": "answer"}


def two_ingests(folder: Path) -> dict[str, Any]:
    limits = {"columns": COLUMNS, "max_parser_s": 2}
    run = make_run(folder, folder / "logs", ingest=limits)
    receipt = ingest(run)
    again = ingest(make_run(folder, folder / "logs", run_id="run-2", ingest=limits))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "processor_s": sum(each.ru_utime + each.ru_stime for each in used),
        "refused": receipt.notes.get("unreadable_files", []),
        "adds_up": receipt.rows_in == receipt.rows_out + receipt.duplicates + receipt.dead_letters,
        "dead": query(run, "SELECT source, error FROM dead_letters"),
        "landed": [name for (name,) in query(run, "SELECT request_id FROM landing")],
        "torch": "torch" in sys.modules,
        "new_again": again.notes["new_files"],
    }


if __name__ == "__main__":
    print(json.dumps(two_ingests(Path(sys.argv[1]))))
