"""The process that masks calls: `python -m tasks.redact.worker`, started by together.py.

It is told how to mask, then a table at a time, and answers each with the masked table and what was
masked in it. The key comes through the pipe: arguments are there for everyone to read.
"""

from __future__ import annotations

import os
import pickle

from tasks.processes import streams
from tasks.redact.masks import Masks


def main() -> None:
    source, sink = streams()
    try:
        masks: Masks = pickle.load(source)  # noqa: S301 - from the process that started this one
        while True:
            masked = masks.mask(pickle.load(source))  # noqa: S301
            pickle.dump(masked, sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # what nobody reads any more is not flushed


if __name__ == "__main__":
    main()
