"""The process that runs one scoring function, started by process.py and run as a file: one JSON
object a line in, one out, until its input ends.

The function may be anybody's: its memory and its processor time are limited here, by the kernel.
What breaks a limit ends this process and nothing else.
"""

import faulthandler
import json
import math
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from tasks import process_limits

_KEYS = {"value", "answer", "explanation", "unscored_reason"}


def main() -> None:
    limits = json.loads(sys.argv[1])
    process_limits.ignore_the_keyboard()
    output = process_limits.own_output()
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    process_limits.limit_memory(process_limits.address_space_bytes() + limits["memory_bytes"])
    _allow(limits["load_s"])
    function: Callable[..., Any] | None = None
    reply: dict[str, Any]
    for line in source:
        try:
            asked = json.loads(line)
            if function is None:
                function = _load(asked)
                reply = {}
            else:
                _allow(limits["processor_s"])
                given = function(asked["text"], asked["target"], **asked["parameters"])
                reply = _reply(given)
        except MemoryError:
            reply = {"error": f"it takes more than {limits['memory_bytes']} bytes of memory"}
        except BaseException as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        faulthandler.cancel_dump_traceback_later()
        output.write(json.dumps(reply).encode() + b"\n")
        output.flush()
        asked, given, line = {}, None, b""  # must not starve the next


def _allow(seconds: int) -> None:
    """Of the processor from now on; and by the clock, should nobody be there any more to end it."""
    process_limits.allow_processor_s(seconds)
    faulthandler.dump_traceback_later(seconds * process_limits.STANDS_STILL + 1, exit=True)


def _load(asked: dict[str, Any]) -> Callable[..., Any]:
    """The function of the source that was sent: what is run is what was digested."""
    module = types.ModuleType(asked["name"])
    module.__file__ = asked["path"]
    sys.modules[asked["name"]] = module
    exec(compile(asked["source"], asked["path"], "exec"), module.__dict__)  # noqa: S102 - asked for
    function: Callable[..., Any] = getattr(module, asked["function"])
    return function


def _reply(given: Any) -> dict[str, Any]:
    said = given if isinstance(given, dict) else {"value": given}
    if unknown := set(said) - _KEYS:
        raise TypeError(f"it gave {sorted(map(str, unknown))}, known are {sorted(_KEYS)}")
    texts = {key: None if said.get(key) is None else str(said[key])[:100_000] for key in _KEYS}
    value = said.get("value")
    if value is None and texts["unscored_reason"]:
        return {**texts, "value": None}
    if value is None or isinstance(value, str | bytes):
        raise TypeError(f"it gave {value!r:.100}, not a value from 0 to 1")
    number = float(value)
    if not (math.isfinite(number) and 0 <= number <= 1):
        raise ValueError(f"it gave {number}, not a value from 0 to 1")
    return {**texts, "value": number, "unscored_reason": None}


if __name__ == "__main__":
    main()
