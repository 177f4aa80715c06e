"""The conformance cases put to our gate and to its peers: who gives which right answer.

    python -m benchmarks.conformance                    all gates
    python -m benchmarks.conformance --gates ours nemo  some of them

The cases lie in tests/conformance/cases, their format and how a verdict is compared in the README
beside them. Every peer runs in a virtual environment of its own, made on first use under --cache,
through the adapter in peers/ that says how its words are read. A case for which a gate has no place
(weights, clusters, must-pass, ...) is not counted against it. A gate that ships only what is better
has no margin: where that is all that is wrong, it is counted apart. NeMo Evaluator needs
python3.12 on the path. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import environments, results
from benchmarks.environments import InstallError, Peer
from tests.conformance import ours
from tests.conformance.reading import Case, Question, load, to_json
from tests.conformance.replies import (
    Reply,
    failures,
    only_lacks_a_margin,
    questions,
    reply_of_json,
)

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("right", "wrong", "no margin", "cannot express")
_TIMEOUT_S = 900

GATES = {
    "ours": Peer("", "", (), ()),
    "NeMo Evaluator": Peer(
        "gate_nemo.py", "gate-nemo", ("nemo-evaluator[stats]==0.3.0",), (), interpreter="python3.12"
    ),
    "MLflow": Peer(
        "gate_mlflow.py",
        "gate-mlflow",
        # the parts that mlflow 3.18.0 asks for are not on every index
        ("mlflow==3.17.2",),
        (),
        alone=("mlflow==3.18.0",),
    ),
    "evalsig": Peer("gate_evalsig.py", "gate-evalsig", ("evalsig==0.1.2",), ()),
}
#: peers that cannot be asked, and why
ABSENT = {
    "veridict": "the version with a sequential test (0.19.7) is not on the package index; what has "
    "that name there, 0.3.0, checks an agent's claims against files and compares no scores",
    "dotnet/skills": "a workflow of that repository, no package; its public errors are cases",
}
_VERSIONS = {"gate-nemo": "nemo-evaluator", "gate-mlflow": "mlflow", "gate-evalsig": "evalsig"}

Replies = dict[str, dict[str, Reply]]  # case → variant → reply


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one gate on one case: one of KINDS, with what it said, and what is wrong or missing."""

    kind: str
    says: str
    texts: tuple[str, ...]


def ask_ours(cases: Sequence[Case]) -> Replies:
    return {
        case.id: {name: ours.reply(asked) for name, asked in questions(case).items()}
        for case in cases
    }


def ask_peer(peer: Peer, interpreter: Path, cases: Sequence[Case]) -> Replies:
    """Raises RuntimeError where its process fails."""
    asked: list[tuple[str, str, Question]] = [
        (case.id, name, question) for case in cases for name, question in questions(case).items()
    ]
    done = subprocess.run(
        [str(interpreter), str(ROOT / "benchmarks" / "peers" / peer.script)],
        input=json.dumps([to_json(question) for _, _, question in asked]),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env={**os.environ, "PYTHONPATH": "", "MLFLOW_DISABLE_TELEMETRY": "true"},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    replies: Replies = {}
    for (case_id, name, _), told in zip(asked, json.loads(done.stdout), strict=True):
        replies.setdefault(case_id, {})[name] = reply_of_json(told)
    return replies


def outcome(case: Case, replies: Replies) -> Outcome:
    told = replies[case.id]
    base = told["base"]
    missing = sorted({reply.cannot_express for reply in told.values()} - {""})
    if missing:
        return Outcome("cannot express", "", tuple(missing))
    wrong = failures(case, told, lambda other: replies[other]["base"])
    if not wrong:
        return Outcome("right", base.says, ())
    kind = "no margin" if only_lacks_a_margin(case, base, wrong) else "wrong"
    return Outcome(kind, base.says, tuple(wrong))


def version(peer: Peer, interpreter: Path) -> str:
    name = _VERSIONS[peer.environment]
    command = [str(interpreter), "-c",
               f"from importlib.metadata import version; print(version({name!r}))"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def table(outcomes: Mapping[str, Mapping[str, Outcome]], versions: Mapping[str, str]) -> str:
    lines = [
        "| gate | version | right | wrong | ships only what is better | cannot express | of |",
        "|---|---|---|---|---|---|---|",
    ]
    for gate, of_gate in outcomes.items():
        counts = Counter(told.kind for told in of_gate.values())
        cells = [str(counts[kind]) for kind in KINDS]
        cells = [gate, versions[gate], *cells, str(len(of_gate))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_files(cases: Sequence[Case], outcomes: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Of every file, right answers of those that the gate has a place for."""
    lines = ["| cases | " + " | ".join(outcomes) + " |", "|---|" + "---|" * len(outcomes)]
    for file in dict.fromkeys(case.file for case in cases):
        ids = [case.id for case in cases if case.file == file]
        cells = [f"{file.removesuffix('.toml')} ({len(ids)})"]
        for of_gate in outcomes.values():
            counts = Counter(of_gate[case_id].kind for case_id in ids)
            asked = len(ids) - counts["cannot express"]
            cells.append(f"{counts['right']} of {asked}" if asked else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_cases(cases: Sequence[Case], outcomes: Mapping[str, Mapping[str, Outcome]]) -> str:
    signs = {
        "right": "right",
        "wrong": "**wrong**",
        "no margin": "no margin",
        "cannot express": "–",
    }
    lines = [
        "| case | must be | " + " | ".join(outcomes) + " |",
        "|---|---|" + "---|" * len(outcomes),
    ]
    for case in cases:
        must = "refused" if case.told.get("refused") else " or ".join(case.told["verdict"])
        cells = [signs[of_gate[case.id].kind] for of_gate in outcomes.values()]
        lines.append(f"| {case.id} | {must} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    short = {name.split()[0].lower(): name for name in GATES}
    parser.add_argument("--gates", nargs="+", choices=short, default=list(short))
    parser.add_argument("--cache", type=Path, default=environments.CACHE)
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    options = parser.parse_args()
    cases = load()
    absent = dict(ABSENT)
    outcomes: dict[str, dict[str, Outcome]] = {}
    versions = {"ours": "this"}
    for name in (short[gate] for gate in options.gates):
        peer = GATES[name]
        try:
            if peer.packages:
                interpreter = environments.python(peer, options.cache)
                versions[name] = version(peer, interpreter)
                replies = ask_peer(peer, interpreter, cases)
            else:
                replies = ask_ours(cases)
        except (InstallError, RuntimeError, subprocess.SubprocessError) as error:
            absent[name] = str(error)
            continue
        outcomes[name] = {case.id: outcome(case, replies) for case in cases}
    print(table(outcomes, versions), "\n")
    print(table_of_files(cases, outcomes), "\n")
    print(table_of_cases(cases, outcomes), "\n")
    for gate, of_gate in outcomes.items():
        for case_id, told in of_gate.items():
            if told.kind == "wrong":
                print(f"{gate}, {case_id}: says {told.says}: {'; '.join(told.texts)}")
    for gate, why in absent.items():
        print(f"{gate} was not asked: {why}")
    report = {
        **results.header(),
        "versions": versions,
        "num_cases": len(cases),
        "outcomes": {
            gate: {
                case_id: {"kind": told.kind, "says": told.says, "texts": list(told.texts)}
                for case_id, told in of_gate.items()
            }
            for gate, of_gate in outcomes.items()
        },
        "not_asked": absent,
    }
    results.write(report, options.out, "conformance")


if __name__ == "__main__":
    main()
