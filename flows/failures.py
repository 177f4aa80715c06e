"""An error on its way to a person: one line, an exit code, and the traceback in a file."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from flows.terminal import print_json
from tasks.errors import FlywheelError
from tasks.exhausted import exhausted


def exit_code_of(error: Exception, *, as_json: bool) -> int:
    """Tell the error on standard error (or as the one JSON object) and return the exit code."""
    known = error if isinstance(error, FlywheelError) else _unexpected(error)
    if as_json:
        print_json(
            {
                **known.counts,
                "error": known.what,
                "received": known.received,
                "allowed": known.allowed,
                "next": known.next,
                "exit_code": known.exit_code,
            }
        )
    print(f"flywheel: {known.line()}", file=sys.stderr)
    return known.exit_code


def _unexpected(error: Exception) -> FlywheelError:
    """A bug of ours or of the machine: the traceback goes to a file, the line names it."""
    of_the_machine = exhausted(error)
    if of_the_machine is not None:
        return of_the_machine
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, OSError) and error.strerror:
        return FlywheelError(error.strerror.lower(), received=str(error.filename or ""))
    with tempfile.NamedTemporaryFile(
        "w", prefix="flywheel-", suffix=".traceback", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    return FlywheelError(
        f"unexpected error: {what}",
        next=f"report it with {Path(file.name)}",
    )
