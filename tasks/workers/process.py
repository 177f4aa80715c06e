"""The process that works: `python -m tasks.workers.process`, started by here.py.

It is told its job, and answers a portion at a time, each as it is asked for. The job comes through
the pipe, since it may hold a key: arguments are there for everyone to read.
"""

from __future__ import annotations

import os
import pickle

from tasks.collecting import collect_seldom
from tasks.processes import streams
from tasks.workers.job import Job, Worker
from tasks.workers.turns import Portion


def main() -> None:
    source, sink = streams()
    collect_seldom()
    try:
        job: Job = pickle.load(source)  # noqa: S301 - from the process that started this one
        job.begin()
        worker = Worker(job)
        while True:
            asked = pickle.load(source)  # noqa: S301 - the same
            told: Portion | str | None
            try:
                told = worker.next(asked) if isinstance(asked, int) else worker.begin(*asked)
            except Exception as error:  # whoever gave the item meets it again
                told = f"{type(error).__name__}: {error}"
            pickle.dump(told, sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # what nobody reads any more is not flushed


if __name__ == "__main__":
    main()
