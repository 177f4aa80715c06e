"""Entry point of the console script: every error is one line and an exit code, and so is a signal,
from the first moment that Python lets us hear one.

The command line is imported only after signals are listened to: that import takes a tenth of a
second, and Python would answer an interrupt in it with a traceback.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130  # what typer makes of an interrupt


def main() -> None:
    stopped_by = [signal.SIGINT]
    has_begun = False

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(signal.Signals(number))
        if not has_begun:  # nothing is open yet, and an import may swallow what is raised in it
            _say_interrupted()
            os._exit(128 + number)
        interrupt_queries()
        raise KeyboardInterrupt

    # a supervisor and a closed terminal stop us as Ctrl-C does
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)
    try:
        from flows.cli import app
        from flows.failures import exit_code_of
        from tasks.collecting import collect_seldom
        from tasks.interrupts import interrupt_queries

        has_begun = True
    except (MemoryError, OSError, ImportError, SystemError) as error:
        sys.exit(_not_begun(error))
    collect_seldom()
    try:
        app()
    except Exception as error:
        sys.exit(exit_code_of(error, as_json="--json" in sys.argv))
    except (KeyboardInterrupt, SystemExit) as ended:
        # typer makes an exit code of an interrupt, without a word
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        _say_interrupted()
        sys.exit(128 + stopped_by[-1])


def _say_interrupted() -> None:
    os.write(2, b"interrupted \xc2\xb7 next: the same command goes on where it stopped\n")


def _not_begun(error: Exception) -> int:
    """A machine without memory or descriptors for the import, or a broken installation."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    what, then = "the command line cannot be loaded", ""
    if other := _package_of_others():
        what = "another package has the name of one of ours, so the command line cannot be loaded"
        said, then = other, " · next: install the flywheel in a virtual environment of its own"
    print(f"flywheel: {what} · received: {said}{then}", file=sys.stderr)
    return 4


def _package_of_others() -> str:
    """Where Python finds a package that is called as one of ours and does not lie beside this one;
    empty where there is none."""
    from importlib.util import find_spec

    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name in ("tasks", "expectations", "engine"):
        spec = find_spec(name)
        found = "nowhere" if spec is None else spec.origin or "a folder without __init__.py"
        if os.path.dirname(os.path.dirname(os.path.abspath(found))) != here:
            return f"{name}: {found}"
    return ""


if __name__ == "__main__":
    main()
