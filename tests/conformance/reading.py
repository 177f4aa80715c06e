"""The conformance cases: read from their files, checked, and laid out sample by sample. The format
is described in README.md beside this. Knows no gate.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "cases"
VERDICTS = ("better", "no_worse", "worse", "cannot_tell", "blocked")
SHIPS = frozenset(("better", "no_worse"))
ROLES = ("primary", "guard", "report")
FAULTS = ("release", "judge", "harness")
PROPERTIES = ("again", "order", "swap", "scale_weights", "raise")
SOURCES = ("paper", "enumeration", "arithmetic", "public error", "definition")
_CASE_KEYS = frozenset(
    ("id", "title", "why", "source", "alpha", "max_missing", "must_pass_reliability", "suites",
     "samples", "verdict", "suite_verdict", "difference", "zero_inside", "refused", "same_as",
     "swapped", "holds_under", "guardrails", "guardrail_verdict", "ratio")
)  # fmt: skip
_GROUP_KEYS = frozenset(
    ("n", "champion", "challenger", "suite", "cluster", "clusters", "clusters_of", "weight",
     "slices", "must_pass", "counted", "used")
)  # fmt: skip

#: a score in 0 to 1, or whose fault it is that there is none
Told = float | str


@dataclass(frozen=True, slots=True)
class Suite:
    """`slices`: guarded slice → margin."""

    name: str
    role: str = "primary"
    margin: float = 0.05
    slices: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """The challenger may use `margin` times what the champion uses more than that."""

    name: str
    margin: float


@dataclass(frozen=True, slots=True)
class Item:
    """One sample; `champion` and `challenger` hold one answer a repeat. `used`: guardrail → what
    champion and challenger use for one answer."""

    id: str
    suite: str
    champion: tuple[Told, ...]
    challenger: tuple[Told, ...]
    cluster: str
    weight: float = 1.0
    slices: Mapping[str, str] = field(default_factory=dict)
    must_pass: bool = False
    counted: bool = True
    used: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate is asked: everything it may know. `max_missing` None: nothing is declared."""

    suites: tuple[Suite, ...]
    items: tuple[Item, ...]
    alpha: float = 0.05
    max_missing: float | None = None
    must_pass_reliability: float = 0.98
    guardrails: tuple[Guardrail, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it stands in its file, and the file."""

    id: str
    file: str
    told: Mapping[str, Any]
    question: Question

    @property
    def verdicts(self) -> frozenset[str]:
        return frozenset(self.told.get("verdict", ()))

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(self.told.get("holds_under", ()))


def load(folder: Path = FOLDER) -> list[Case]:
    """All cases, by file and place. Raises ValueError where a file is not as README.md says."""
    cases: list[Case] = []
    for path in sorted(folder.glob("*.toml")):
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["case"]
        cases += [Case(entry["id"], path.name, entry, _question(entry)) for entry in entries]
    ids = [case.id for case in cases]
    for case in cases:
        problems = list(_problems(case, ids))
        if problems:
            raise ValueError(f"{case.file}, case {case.id}: {'; '.join(problems)}")
    return cases


def to_json(question: Question) -> dict[str, Any]:
    """For a gate in another process. NaN and infinity are written as Python's json does."""
    return {
        "alpha": question.alpha,
        "max_missing": question.max_missing,
        "suites": [
            {"name": s.name, "role": s.role, "margin": s.margin, "slices": dict(s.slices)}
            for s in question.suites
        ],
        "guardrails": [{"name": g.name, "margin": g.margin} for g in question.guardrails],
        "samples": [
            {
                "id": i.id,
                "suite": i.suite,
                "champion": list(i.champion),
                "challenger": list(i.challenger),
                "cluster": i.cluster,
                "weight": i.weight,
                "slices": dict(i.slices),
                "must_pass": i.must_pass,
                "counted": i.counted,
                "used": {name: list(both) for name, both in i.used.items()},
            }
            for i in question.items
        ],
    }


def _question(entry: Mapping[str, Any]) -> Question:
    suites = tuple(Suite(**told) for told in entry.get("suites", [{"name": "main"}]))
    items: list[Item] = []
    for number, group in enumerate(entry["samples"]):
        names = group.get("suite", suites[0].name)
        for name in [names] if isinstance(names, str) else names:
            items += [_item(group, f"{name}-{number}", name, k) for k in range(group["n"])]
    declared = {key: entry[key] for key in ("alpha", "max_missing", "must_pass_reliability")
                if key in entry}  # fmt: skip
    guardrails = tuple(Guardrail(**told) for told in entry.get("guardrails", ()))
    return Question(suites, tuple(items), guardrails=guardrails, **declared)


def _item(group: Mapping[str, Any], prefix: str, suite: str, number: int) -> Item:
    if "cluster" in group:
        cluster = f"{suite}:{group['cluster']}"
    elif "clusters" in group:
        cluster = f"{suite}:{number % group['clusters']}"
    else:
        cluster = f"{prefix}:{number // group.get('clusters_of', 1)}"
    slices = group.get("slices", {})
    return Item(
        id=f"{prefix}-{number}",
        suite=suite,
        champion=_answers(group["champion"]),
        challenger=_answers(group["challenger"]),
        cluster=cluster,
        weight=float(group.get("weight", 1)),
        slices={k: str(number % v) if isinstance(v, int) else v for k, v in slices.items()},
        must_pass=group.get("must_pass", False),
        counted=group.get("counted", True),
        used={name: (float(a), float(b)) for name, (a, b) in group.get("used", {}).items()},
    )


def _answers(told: Any) -> tuple[Told, ...]:
    values = told if isinstance(told, list) else [told]
    return tuple(value if isinstance(value, str) else float(value) for value in values)


def _problems(case: Case, ids: Sequence[str]) -> list[str]:
    told, names = case.told, {suite.name for suite in case.question.suites}
    problems = [f"unknown key {key}" for key in told.keys() - _CASE_KEYS]
    problems += [
        f"unknown key {key} of samples" for g in told["samples"] for key in g.keys() - _GROUP_KEYS
    ]
    problems += [f"no {key}" for key in ("title", "why", "source") if not told.get(key)]
    kinds = [part.split(":", 1)[0].strip() for part in str(told.get("source", "")).split(";")]
    if kinds[0] not in SOURCES:
        problems.append(f"source begins with {kinds[0]!r}, not one of {', '.join(SOURCES)}")
    if ids.count(case.id) > 1:
        problems.append("id is not unique")
    if bool(told.get("verdict")) == bool(told.get("refused")):
        problems.append("either a verdict or refused")
    said = [*case.verdicts, *told.get("swapped", ())]
    for key in ("suite_verdict", "guardrail_verdict"):
        said += [v for values in told.get(key, {}).values() for v in values]
    problems += [f"unknown verdict {verdict}" for verdict in said if verdict not in VERDICTS]
    problems += [f"unknown property {p}" for p in case.properties if p not in PROPERTIES]
    problems += [f"unknown role {s.role}" for s in case.question.suites if s.role not in ROLES]
    asked = [*told.get("difference", ()), *told.get("zero_inside", ()),
             *told.get("suite_verdict", ())]  # fmt: skip
    problems += [f"unknown suite {name}" for name in asked if name not in names]
    guarded = {guardrail.name for guardrail in case.question.guardrails}
    asked = [*told.get("ratio", ()), *told.get("guardrail_verdict", ())]
    problems += [f"unknown guardrail {name}" for name in asked if name not in guarded]
    if any(item.used.keys() != guarded for item in case.question.items):
        problems.append("used is not of the guardrails")
    answers = (a for item in case.question.items for a in (*item.champion, *item.challenger))
    strange = {a for a in answers if isinstance(a, str)} - set(FAULTS)
    problems += [f"unknown fault {fault}" for fault in sorted(strange)]
    if "same_as" in told and told["same_as"] not in ids:
        problems.append(f"same_as names no case: {told['same_as']}")
    return problems
