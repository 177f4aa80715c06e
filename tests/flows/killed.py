"""The command line, in a process that kills itself (SIGKILL) at one exact moment of one stage.

    python -m tests.flows.killed STAGE before|after|chunk|chunk2 ARGUMENTS…

With STOP_WITH=SIGINT in the environment it is interrupted as by Ctrl-C instead. With
STOP_WITH=SERVER another run is tried at that moment, then Prefect's server is killed, and this
process goes on. With STOP_WITH=/PATH it goes on when there is a file of this path, and makes
/PATH.here before.

`before`: the stage's rows are written, its transaction is not yet committed. `after`: it is
committed, the next stage has not begun. `chunk`: the first completions are written, not yet
committed; `chunk2`: the second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from flows.__main__ import main
from flows.processes import process_started_at
from tasks.model.receipt import Receipt
from tasks.store import Store
from tasks.store.control import ledger
from tests.flows.processes import servers_of


def die() -> None:
    how = os.environ.get("STOP_WITH", "SIGKILL")
    if how.startswith("/"):
        Path(f"{how}.here").touch()
        while not Path(how).exists():
            time.sleep(0.1)
        return
    if how != "SERVER":
        os.kill(os.getpid(), signal.Signals[how])
        return
    (server,) = servers_of(os.getpid())
    command = [sys.executable, "-W", "ignore", "-m", "flows", "run"]
    other = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    print(f"the other: {other.returncode} {other.stderr}", file=sys.stderr)
    assert process_started_at(server) is not None, "the other run ended this one's server"
    os.killpg(server, signal.SIGKILL)


def arm(stage: str, moment: str) -> None:
    if moment.startswith("chunk"):
        import tasks.store.evals.answers as completions

        store_chunk = completions.save_completions
        left = int(moment.removeprefix("chunk") or 1)

        def store_and_die(*arguments: object, **keywords: object) -> object:
            nonlocal left
            result = store_chunk(*arguments, **keywords)  # type: ignore[arg-type]
            left -= 1
            if not left:
                die()
            return result

        completions.save_completions = store_and_die  # type: ignore[assignment]
        return
    name = "finish_stage" if moment == "before" else "set_stage_seconds"
    original = getattr(ledger, name)

    def fatal(store: Store, run_id: str, receipt: Receipt, *rest: object) -> None:
        original(store, run_id, receipt, *rest)
        if receipt.stage == stage:
            die()

    setattr(ledger, name, fatal)


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2])
    sys.argv = ["flywheel", *sys.argv[3:]]
    main()
