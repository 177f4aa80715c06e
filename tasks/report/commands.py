"""Commands that look further into a turn, or decide it again. Pure.

What is quoted here is pasted into shells: every value is quoted for one.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tasks.model.turn import Turn


@dataclass(frozen=True, slots=True)
class Command:
    purpose: str
    line: str


def commands(turn: Turn, compare_url_path: str | None) -> tuple[Command, ...]:
    request = turn.request
    if turn.is_of_others:  # no store holds them
        judged = shlex.join(request["command"])
        return (
            Command("Judge the same runs again", judged),
            Command("See all samples as a spreadsheet", f"{judged} --csv"),
        )
    again = ["flywheel", "run"]
    for pattern in request.get("logs") or ():
        again += ["--logs", str(pattern)]
    if request.get("log_format", "auto") != "auto":
        again += ["--format", str(request["log_format"])]
    for name in ("since", "until", "config"):
        if request.get(name):
            again += [f"--{name}", str(request[name])]
    asked = request.get("challengers") or ()
    challengers = asked if len(asked) > 1 else [turn.releases["challenger"].name]
    again += ["--champion", turn.releases["champion"].name]
    for name in challengers:
        again += ["--challenger", str(name)]
    again += ["--seed", str(request.get("seed", 0))]
    digests = ", ".join(f"'{d}'" for d in sorted({r.digest for r in turn.releases.values()}))
    scores = (
        "select s.* from scores s join eval_set_samples e using (sample_id) where "
        f"e.eval_set_digest = '{turn.eval_set.digest}' and s.release_digest in ({digests})"
    )
    explain = ["flywheel", "explain", turn.run_id]
    if len(request.get("challengers") or ()) > 1:
        explain += ["--challenger", turn.releases["challenger"].name]
    show = ["flywheel", "show", turn.run_id, "--lost", *explain[3:]]
    found = [
        Command("Run the same turn again (cached completions are reused)", shlex.join(again)),
        Command("Read the scores of this eval set",
                shlex.join(["flywheel", "sql", scores])),
        Command("Look at the answers that lost, in the terminal", shlex.join(show)),
        Command("See which part of the releases the difference comes from",
                shlex.join(explain)),
        Command("Open MLflow", "flywheel ui"),
    ]  # fmt: skip
    if compare_url_path:
        found.append(Command("… then, side by side, after the address it prints", compare_url_path))
    return tuple(found)
