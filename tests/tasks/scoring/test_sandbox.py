"""What hostile code reaches, by programs that try: of the machine, and of its own verdict."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from tasks.scoring import sandbox
from tasks.scoring.sandbox import Ran
from tests.sandboxed import require_sandbox

MEMORY = 2**28


@pytest.fixture(autouse=True)
def _sandboxed() -> None:
    require_sandbox()


def _run(code: str, tests: str = "assert False", processor_s: int = 2) -> Ran:
    return sandbox.run(code, tests, processor_s, MEMORY)


#: each tries, and `reached` holds what it should not have had
REACHES = {
    "the users of the machine": 'reached = open("/etc/passwd").read()',
    "folders of the machine": """
import os, sys
own = [os.path.basename(sys.executable)]  # Debian's Python lies in /usr/bin, with nothing beside it
reached = [one for one in ("/home", "/etc", "/proc", "/sys", "/var", "/root/.ssh", "/usr/bin",
                           "/usr/sbin", "/dev/shm", "/run")
           if os.path.exists(one) and os.listdir(one) != own]
""",
    "the home folder": "import os\nreached = os.listdir(os.path.expanduser('~'))",
    "the environment": """
import os
reached = set(os.environ) - {"HOME", "LC_ALL", "PYTHONHASHSEED", "MALLOC_ARENA_MAX", "PWD",
                             "LD_LIBRARY_PATH"}
""",
    "packages": "import sysconfig, os\nreached = os.listdir(sysconfig.get_path('purelib'))",
    "this project": "import tasks\nreached = tasks",
    "a socket out": "import socket\nreached = socket.create_connection(('192.0.2.1', 80), 1)",
    "names of hosts": "import socket\nreached = socket.gethostbyname('example.org')",
    "other interfaces": "import socket\nreached = {n for _, n in socket.if_nameindex()} - {'lo'}",
    "another process": "import os\nreached = os.fork() or os._exit(0)",
    "a program": "import subprocess\nreached = subprocess.run(['/bin/sh', '-c', 'true'])",
    "another of it": "import subprocess, sys\nreached = subprocess.run([sys.executable])",
    "a fork bomb": """
import os
reached = 0
for _ in range(10_000):
    try:
        os.fork()
        reached += 1
    except PermissionError:
        pass
""",
    "its starter": "import os\nreached = os.getppid() > 1",
    "other processes": """
import os, threading
reached = []
for one in {*range(3, 3000)} - {threading.get_native_id()}:
    try:
        os.kill(one, 0)
        reached.append(one)
    except ProcessLookupError:
        pass
""",
    "rights": "import os\nos.setuid(0)\nreached = True",
    "more memory": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nreached = 1",
    "writing beside": """
import os, sys
reached = []
for folder in ("/", "/dev", "/usr/lib", os.path.dirname(os.__file__), "/worker.py/.."):
    try:
        open(os.path.join(folder, "mine"), "w").close()
        reached.append(folder)
    except OSError:
        pass
""",
    "its worker": "open('/worker.py', 'a')\nreached = True",
    "a full disk": """
reached = 0
try:
    for number in range(100):
        with open(f"/tmp/{number}", "wb") as file:
            for _ in range(16):
                reached += file.write(b"x" * 2**20)
except OSError:
    reached = max(0, reached - 16 * 2**20)
""",
    "memory nobody counts": "import os\nreached = os.memfd_create('x')",
    "the machine's name": "import socket\nreached = socket.gethostname() != 'sandbox'",
    "memory of others": "import ctypes\nreached = ctypes",
    "interpreters": "import _xxsubinterpreters\nreached = _xxsubinterpreters",
    "frames": "import sys\nreached = sys._getframe()",
    "frames of errors": """
try:
    1 / 0
except ZeroDivisionError as error:
    reached = error.__traceback__.tb_frame
""",
    "frames of all": "import sys\nreached = sys._current_frames()",
    "all objects": "import gc\nreached = gc.get_objects()",
    "tracing": "import sys\nreached = sys.settrace(lambda *_: None) or True",
    "a hook": """
import sys
reached = []
sys.addaudithook(lambda *seen: reached.append(seen))
open("/dev/null").close()
""",
    "the tests": """
import os, select
reached = []
for one in range(3, 64):
    try:
        if select.select([one], [], [], 0)[0]:
            reached += os.read(one, 10_000)
    except OSError:
        pass
""",
}  # fmt: skip


@pytest.mark.parametrize("what", REACHES)
def test_it_does_not_reach(what: str) -> None:
    tried = "\n".join("    " + line for line in REACHES[what].splitlines())
    code = f"reached = None\ntry:\n{tried}\nexcept Exception as error:\n    why = error\n"
    ran = _run(code, "assert not reached, reached")
    assert ran.passed, (ran, "what it should not have")


def test_a_program_that_reaches_something_is_seen_by_that_test() -> None:
    assert not _run("import os\nreached = os.listdir('/')", "assert not reached, reached").passed


def test_loopback_is_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)"
        assert "ConnectionRefusedError" in _run(code).error


ENDS = {
    "memory": ("x = bytearray(2**30)", "MemoryError"),
    "memory of many": ("x = []\nwhile True: x.append(bytearray(2**20))", "MemoryError"),
    "time": ("while True: pass", "it took more than 1 s of processor time"),
    "time in a thread": (
        "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n"
        "while True: pass",
        "it took more than 1 s of processor time",
    ),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "a crash": ("import faulthandler\nfaulthandler._sigsegv()", "code 139"),
    "input": ("input()", "EOFError"),
    "a flood into every channel": (
        "import os\nfor n in range(3, 64):\n    try:\n        while True: os.write(n, b'x' * 2**20)"
        "\n    except OSError: pass",
        "channel of the result",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDS)
def test_what_runs_away_is_ended_and_told(what: str) -> None:
    code, told = ENDS[what]
    ran = _run(code, processor_s=1)
    assert not ran.passed
    assert told in ran.error, ran


def test_who_waits_for_ever_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "STANDS_STILL", 1)
    start = time.monotonic()
    ran = _run("import time\nwhile True: time.sleep(60)", processor_s=1)
    assert ran.error == "it was not done after 1 s"
    assert time.monotonic() - start < 10


def test_a_gigabyte_of_output_goes_nowhere() -> None:
    code = "import os, sys\nfor _ in range(1024): os.write(1, b'x' * 2**20)\nprint('passed ' * 9)"
    assert _run(code, "assert True").passed


def test_nothing_stays_behind() -> None:
    before = _children()
    _run("import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()", "0")
    _run("import signal, os\nos.kill(1, signal.SIGKILL)\nos.kill(-1, signal.SIGTERM)")
    assert _children() == before


def _children() -> set[str]:
    """Processes of ours by bwrap, or by the worker."""
    found = set()
    for one in Path("/proc").glob("[0-9]*"):
        try:
            command = (one / "cmdline").read_bytes()
            parent = (one / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"--unshare-user" in command and parent == str(os.getpid()):
            found.add(one.name)
    return found


#: each ends as if all were well, or takes the tests' tools away; `add` is wrong in all of them
FORGES = {
    "an exit at once": "import os\nos._exit(0)",
    "an exit with a message": "import sys\nprint('passed')\nsys.exit(0)",
    "an exit when called": "import sys\ndef add(a, b): sys.exit(0)",
    "a hard exit when called": "import os\ndef add(a, b): os._exit(0)",
    "another program": "import os, sys\ndef add(a, b): os.execv(sys.executable, ['p', '-c', ''])",
    "an exit at the end": "import atexit, os\natexit.register(os._exit, 0)\nadd = max",
    "builtins": """
import builtins
builtins.abs = lambda x: 0
builtins.exec = builtins.compile = lambda *_: None
builtins.AssertionError = builtins.BaseException = builtins.Exception = ValueError
builtins.len = lambda x: 1
builtins.isinstance = lambda *_: True
def add(a, b): return 7
""",
    "modules": """
import os, sys, _thread, json
os._exit = os.write = os.read = lambda *_: b""
_thread.start_new_thread = lambda *_: None
sys.modules["__main__"].main = sys.modules["__main__"]._told = lambda *_: b"passed"
def add(a, b): return 7
""",
    "a line into every channel": """
import os
def add(a, b):
    for n in range(64):
        try: os.write(n, b"passed\\npassed 0\\n")
        except OSError: pass
    os._exit(0)
""",
    "the secret in a frame": """
import os, sys
def add(a, b):
    for frame in (sys._getframe(), *sys._current_frames().values()):
        while frame:
            for n in range(64 if "passed" in frame.f_locals else 0):
                try: os.write(n, b"passed " + frame.f_locals["passed"] + b"\\n")
                except OSError: pass
            frame = frame.f_back
""",
    "a reader that waits for the tests": """
import os, threading
def wait(source):
    try: seen = os.read(source, 10_000)
    except OSError: return
    for n in range(3, 64):
        for secret in (seen[:32], seen[8:40], seen[-32:]):
            try: os.write(n, b"passed " + secret + b"\\n")
            except OSError: pass
for source in range(3, 8):
    threading.Thread(target=wait, args=(source,), daemon=True).start()
import time; time.sleep(0.05)
""",
    "other tests in their place": """
import fcntl, os, stat, threading
def is_read(n):
    try: return stat.S_ISFIFO(os.fstat(n).st_mode) and not fcntl.fcntl(n, fcntl.F_GETFL) & 3
    except OSError: return False
ends = []
for n in [n for n in range(3, 64) if is_read(n)]:
    ours, theirs = os.pipe()
    ends.append((os.dup(n), theirs))
    os.dup2(ours, n)
assert ends
def change(kept, theirs):
    os.read(kept, 10_000)
    os.write(theirs, (4).to_bytes(8, "big") + b"pass")
for pair in ends:
    threading.Thread(target=change, args=pair, daemon=True).start()
def add(a, b): return 7
""",
    "its worker, by the classes there are": """
import sys
places = [one.find_spec.__globals__ for one in (*object.__subclasses__(), *map(type, sys.meta_path))
          if one.__name__ == "_WithoutFrames"]
assert places
for place in places:
    for value in list(place.values()):
        if hasattr(value, "__code__"):
            value.__code__ = (lambda *_: [None]).__code__
    place["_execute"] = place["_decipher"] = lambda *_: [None]
def add(a, b): return 7
""",
    "its threads": """
import _thread, threading
def add(a, b):
    for lock in list(threading._dangling): lock._tstate_lock = None
    _thread.interrupt_main()
    return 7
""",
    "the tests' frame by an error": """
def add(a, b):
    try: 1 / 0
    except ZeroDivisionError as error:
        frame = error.__traceback__.tb_frame.f_back
        frame.f_globals["abs"] = lambda x: 0
    return 7
""",
    "a lost thread": "import _thread\ndef add(a, b): _thread.exit()",
    "a signal to itself": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGKILL)",
    "a handler": """
import signal, os, time
def caught(number, frame): raise SystemExit(0)
signal.signal(signal.SIGALRM, caught)
signal.setitimer(signal.ITIMER_REAL, 0.01)
def add(a, b): time.sleep(1)
""",
    "a deleted object": """
import gc, sys
class Left:
    def __del__(self): sys._getframe().f_back.f_locals["outcome"][:] = [None]
def add(a, b):
    left = Left(); left.me = left; gc.enable(); gc.collect()
    return 7
""",
    "stolen asserts": """
class AssertionError(Exception):
    pass
def assertEqual(*_): pass
def add(a, b): raise AssertionError
""",
    "a swallowed error": "import sys\nsys.excepthook = print\ndef add(a, b): raise SystemExit",
}  # fmt: skip
TESTS = "assert abs(add(1, 2) - 3) < 1e-9\nassert abs(add(2, 2) - 4) < 1e-9"


@pytest.mark.parametrize("how", FORGES)
def test_no_pass_is_forged(how: str) -> None:
    ran = _run(FORGES[how], TESTS)
    assert not ran.passed, ran
    assert ran.error


def test_what_remains_is_an_object_that_claims_to_be_equal() -> None:
    """docs/scorers.md says so; a test that stops holding is a reason to correct it."""
    code = "class All:\n    __eq__ = lambda *_: True\ndef add(a, b): return All()"
    assert _run(code, "assert add(1, 2) == 3").passed
