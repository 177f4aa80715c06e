"""Runs an answer's code and then the tests on it, inside the sandbox and as its only process.

Started by sandbox.py as a file, with the standard library alone. Reads two frames (8 bytes of
length, big-endian, then the bytes). The first: a line of limits; a line of two secrets, the digest
of the tests and the length of the code; the code; the tests, enciphered. The second, sent when the
code has been run: the key (a one-time pad). Writes lines: `ready`, the first secret, and at last
`passed SECRET` with the second or `failed PHASE LINE WHAT`.

The code shares this process with the tests, so that it forges a pass can be made hard, not
impossible:

- the tests cannot be read while the code is loaded, and who gets at the pipes can neither read nor
  change them, nor say that they passed;
- code and tests run in threads of their own; secrets lie in the main thread's frame, where nothing
  of the answer is called;
- an audit hook, which cannot be removed, refuses what shows the frames of others, tracing, the
  collector's lists of objects, ctypes and other interpreters;
- the tests have builtins of their own; what is needed here is looked up before the code runs, and
  this module's names are gone by then.
"""

from __future__ import annotations

import _blake2
import _thread
import builtins
import os
import resource
import sys
import types  # looks at a frame as it is loaded, so it has to be there before that is refused

TYPE_CHECKING = False  # what typing calls so, whose import would take a third of the start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_STACK_BYTES = 16 * 2**20
_MAX_OPEN_FILES = 64
#: beside the address space and seccomp, which allow threads alone
_MAX_THREADS = 64
_MAX_SAID = 500
#: address space of a Python that has done nothing yet
_IDLE_BYTES = 32 * 2**20
_REFUSED_EVENTS = frozenset((
    "sys._getframe", "sys._current_frames", "sys._current_exceptions",
    "sys.settrace", "sys.setprofile", "sys.addaudithook", "sys.monitoring.register_callback",
    "gc.get_objects", "gc.get_referrers", "gc.get_referents",
))  # fmt: skip
_REFUSED_ATTRIBUTES = frozenset(("tb_frame", "gi_frame", "cr_frame", "ag_frame"))
_REFUSED_MODULES = frozenset((
    "_ctypes", "_ctypes_test", "_interpreters", "_testcapi", "_testinternalcapi",
    "_xxsubinterpreters",
))  # fmt: skip


def main() -> None:
    source, out = os.dup(0), os.dup(1)
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    limits, header, rest = _frame(source).split(b"\n", 2)
    loaded, passed, digest, length = header.split()
    code, enciphered = rest[: int(length)], rest[int(length) :]
    _limit(*map(int, limits.split()))
    answer = types.ModuleType("answer")
    sys.modules["answer"] = sys.modules["__main__"] = answer
    # found now: whatever the code puts in their places, these are what they were
    read, execute, told, decipher = _frame, _execute, _told, _decipher
    write, leave, own = os.write, os._exit, dict(builtins.__dict__)
    allowed: list[bool] = []
    sys.meta_path.insert(0, _WithoutFrames(sys.meta_path[-1]))
    sys.addaudithook(_hook(allowed))
    globals().clear()
    write(out, b"ready\n")

    outcome = execute(code, "<answer>", answer.__dict__)
    if outcome != [None]:
        passed = b""  # before frames are looked at
        allowed.append(True)
        write(out, told(b"answer", outcome))
        leave(0)
    write(out, loaded + b"\n")

    names = {**answer.__dict__, "__name__": "tests", "__builtins__": own}
    outcome = execute(decipher(enciphered, read(source), digest), "<tests>", names)
    if outcome == [None]:
        write(out, b"passed " + passed + b"\n")
        leave(0)
    passed = b""
    allowed.append(True)
    write(out, told(b"tests", outcome))
    leave(0)


def _run(
    source: bytes,
    name: str,
    names: dict[str, Any],
    outcome: list[BaseException | None],
    done: Any,
    compiled: Callable[..., Any] = compile,
    execute: Callable[..., Any] = exec,
    anything: type[BaseException] = BaseException,
) -> None:
    try:
        execute(compiled(source, name, "exec"), names)
        outcome.append(None)
    except anything as error:
        outcome.append(error)
    done.release()


def _execute(
    source: bytes,
    name: str,
    names: dict[str, Any],
    run: Callable[..., None] = _run,
    start: Callable[..., Any] = _thread.start_new_thread,
    lock: Callable[[], Any] = _thread.allocate_lock,
) -> list[BaseException | None]:
    """[None], or what it raised, by a thread whose frames lead to none but its own."""
    outcome: list[BaseException | None] = []
    done = lock()
    done.acquire()
    start(run, (source, name, names, outcome, done))
    done.acquire()
    return outcome


def _decipher(
    enciphered: bytes,
    key: bytes,
    digest: bytes,
    number: Callable[..., int] = int.from_bytes,
    length: Callable[[bytes], int] = len,
    hashed: Callable[[bytes], Any] = _blake2.blake2b,
    leave: Callable[[int], Any] = os._exit,
) -> bytes:
    """Ends the process where what comes out is not what was sent."""
    tests = (number(enciphered, "big") ^ number(key, "big")).to_bytes(length(enciphered), "big")
    if hashed(tests).hexdigest().encode() != digest:
        leave(1)
    return tests


def _told(phase: bytes, outcome: list[BaseException | None], max_said: int = _MAX_SAID) -> bytes:
    """failed PHASE LINE WHAT: the last line of the phase's own text that led to it, 0 for none."""
    error, line, what = outcome[0] if outcome else None, 0, "ended its thread"
    try:
        if isinstance(error, SyntaxError) and error.filename == f"<{phase.decode()}>":
            line = error.lineno or 0
        trace = None if error is None else error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == f"<{phase.decode()}>":
                line = trace.tb_lineno
            trace = trace.tb_next
        if error is not None:
            what = type(error).__name__
            what = f"{what}: {error}".removesuffix(": ")
    except BaseException:  # a text that it makes of itself
        what += " (that cannot be shown)"
    one_line = " ".join(what.split())[:max_said]
    return b"failed %s %d %s\n" % (phase, line, one_line.encode("utf-8", "replace"))


def _hook(allowed: list[bool]) -> Callable[[str, tuple[Any, ...]], None]:
    refusals = (_REFUSED_EVENTS, _REFUSED_ATTRIBUTES, _REFUSED_MODULES)

    def hook(
        event: str,
        arguments: tuple[Any, ...],
        error: type[Exception] = ValueError,  # which namedtuple, enum and logging make do with
        missing: type[Exception] = ImportError,
    ) -> None:
        events, attributes, modules = refusals
        if event in events:
            raise error("not in this sandbox")
        if event == "object.__getattr__":
            if arguments[1] in attributes and not allowed:
                raise error("not in this sandbox")
        elif event == "import" and arguments[0].rpartition(".")[2] in modules:
            raise missing("not in this sandbox")

    return hook


class _WithoutFrames:
    """Finds `traceback` and has it show errors without the frames that led to them, so that code
    which prints an error gets no other. Not imported in advance: that would double the start."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "traceback":
            return None
        spec = self._finder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def load_and_change(module: Any) -> None:
            load(module)
            module.walk_tb = module._walk_tb_with_full_positions = lambda trace: iter(())

        spec.loader.exec_module = load_and_change
        return spec


def _frame(
    source: int,
    read: Callable[[int, int], bytes] = os.read,
    leave: Callable[[int], Any] = os._exit,
    length: Callable[[bytes], int] = len,
    number: Callable[..., int] = int.from_bytes,
) -> bytes:
    """The next of them; ends the process where there is none."""
    data, missing, is_header = b"", 8, True
    while missing:
        piece = read(source, missing)
        if not piece:
            leave(1)
        data += piece
        missing -= length(piece)
        if not missing and is_header:
            data, missing, is_header = b"", number(data, "big"), False
    return data


def _limit(memory_bytes: int, processor_s: int, file_bytes: int) -> None:
    """Hard limits, which nothing in here can raise again."""
    _thread.stack_size(_STACK_BYTES)
    # there is no /proc that would tell what is taken: by an idle Python, and two stacks of ours
    memory_bytes += _IDLE_BYTES + 2 * _STACK_BYTES
    for kind, soft, more in (
        (resource.RLIMIT_AS, memory_bytes, 0),
        (resource.RLIMIT_CPU, processor_s, 1),  # SIGXCPU, then SIGKILL
        (resource.RLIMIT_FSIZE, file_bytes, 0),
        (resource.RLIMIT_NPROC, _MAX_THREADS, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        hard = soft + more if most == resource.RLIM_INFINITY else min(soft + more, most)
        resource.setrlimit(kind, (min(soft, hard), hard))


if __name__ == "__main__":
    main()
