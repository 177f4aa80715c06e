"""A command that ends with whoever started it: `python tether.py COMMAND…`, in a group of its own.

The starter keeps the writing end of our standard input and never writes. When it is gone, ended or
killed, the pipe closes, and the command is ended with all that it started in the group. It is run
as a file, and imports nothing of ours, so that it starts in a moment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

_GRACE_S = 5.0


def main() -> int:
    # a handler, since what is ignored stays ignored in the command
    signal.signal(signal.SIGTERM, lambda *_: None)
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    return process.wait()


def _end_with_starter() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(os.getpgrp(), number)
        time.sleep(_GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
