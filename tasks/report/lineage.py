"""Lineage as people read it: what a thing is called, the tree of what was found, and where a turn
comes from, step by step. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model.lineage import KINDS, Direction, Edge, Key, LeftOut, Lineage
from tasks.model.turn import Turn
from tasks.report import wording

#: of a digest, as many letters are shown
_DIGEST_CHARS = 12
#: relation → how it is told on the way down and on the way up, where the kinds do not tell it
_TOLD: Mapping[str, tuple[str, str]] = {
    "was replaced by": ("replaced by", "replaced"),
    "lent its scores to": ("decided again in", "decided on the scores of"),
    "fed the evidence of": ("evidence for", "evidence of"),
}
_MAX_FILES = 4


def label(key: Key, known: Mapping[str, Any]) -> str:
    """What a thing is, in a line. Texts of data are in it as they are."""
    parts = [f"{KINDS[key.kind][0]} {_called(key, known)}", *_said(key, known)]
    return " · ".join(part for part in parts if part)


def _called(key: Key, known: Mapping[str, Any]) -> str:
    if key.kind in ("log_file", "request", "arrival", "suite", "run"):
        return key.id
    if key.kind == "release" and known:
        return f"{known['name']} {key.id[:_DIGEST_CHARS]}"
    if key.kind == "model" and known:
        return f"{known['model']} {key.id[:_DIGEST_CHARS]}"
    if key.kind == "score" and known:
        return str(known["scorer"])
    if key.kind in ("completion", "score"):
        return ":".join(part[:_DIGEST_CHARS] for part in key.id.split(":"))
    return key.id[:_DIGEST_CHARS]


def _said(key: Key, known: Mapping[str, Any]) -> Iterator[str]:
    """What else is known of it; of what the store has no row any more, that."""
    if not known:
        yield "not in the store"
        return
    match key.kind:
        case "log_file":
            yield f"{str(known['digest'])[:_DIGEST_CHARS]}, {known['format']}"
            yield f"{known['rows_out']:,} rows taken in"
            if known["num_readings"] > 1:
                yield f"read {known['num_readings']:,} times"
        case "request" | "arrival":
            yield known["prompt_name"] or ""
            yield "" if known["started_at"] is None else f"{known['started_at']:%Y-%m-%d %H:%M}"
        case "held":
            yield f"{known['expectation']}, {known['state']}"
            yield known["request_id"] or ""
        case "dead_letter":
            yield f"{known['error'].strip()}, {known['state']}"
            if (known["num_records"] or 1) > 1:
                yield f"{known['num_records']:,} records"
        case "feedback":
            value = "" if known["value"] is None else f" {known['value']:g}"
            yield f"{known['kind']}{value}"
        case "suite":
            yield known.get("file") or ""
            yield f"owner {known['owner']}" if known.get("owner") else ""
            yield "" if known.get("is_declared", True) else "not declared any more"
        case "sample":
            must_pass = ", must pass" if known["must_pass"] else ""
            yield f"{known['suite']}, {known['origin']}{must_pass}"
        case "eval_set":
            yield f"{known['num_samples']:,} samples, {known['created_at']:%Y-%m-%d %H:%M}"
        case "prompt":
            yield ", ".join(known["tasks"])
        case "release":
            yield str(known["model"])
        case "completion":
            yield f"seed {known['seed']}, {known['finish_reason']}"
        case "score":
            yield _score(known)
        case "run":
            yield from _of_run(known)
        case "alias":
            yield f"{known['release']}, since {known['since']:%Y-%m-%d %H:%M}"


def _score(known: Mapping[str, Any]) -> str:
    if known["value"] is None:
        return f"unscored: {known['unscored_reason']}"
    return wording.percent(known["value"])


def _of_run(known: Mapping[str, Any]) -> Iterator[str]:
    yield wording.heading(known["verdict"]) if known["verdict"] else known["state"]
    challengers = ", ".join(known["challengers"] or ())
    if challengers or known["champion"]:
        yield f"{challengers or 'nobody'} against {known['champion'] or 'nobody'}"


def to_object(*found: Lineage) -> dict[str, Any]:
    """Nodes and edges of all, each once."""
    nodes: dict[Key, Mapping[str, Any]] = {}
    edges: dict[Edge, None] = {}
    for one in found:
        nodes |= one.nodes
        edges |= dict.fromkeys(one.edges)
    return {
        "nodes": [
            {"kind": key.kind, "id": key.id, "label": label(key, known), "attributes": known}
            for key, known in nodes.items()
        ],
        "edges": [
            {
                "from": {"kind": edge.source.kind, "id": edge.source.id},
                "to": {"kind": edge.target.kind, "id": edge.target.id},
                "relation": edge.relation,
                "note": edge.note,
            }
            for edge in edges
        ],
    }


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree and what hangs below it."""

    text: str
    branches: tuple[Branch, ...] = ()


def tree(found: Lineage) -> Branch:
    """What was found from its root. A thing that is reached on several ways is told whole where it
    is nearest to the root, and named elsewhere."""
    below: dict[Key, list[Edge | LeftOut]] = {}
    nearest: dict[Key, Edge] = {}
    for edge in found.edges:
        near, far = edge.ends(found.direction)
        below.setdefault(near, []).append(edge)
        if far != found.root:
            nearest.setdefault(far, edge)
    for one in found.left_out:
        of_link = [
            place
            for place, edge in enumerate(below[one.near])
            if isinstance(edge, Edge)
            and edge.relation == one.relation
            and edge.ends(found.direction)[1].kind == one.kind
        ]
        below[one.near].insert(of_link[-1] + 1, one)

    def branch(key: Key, text: str, is_whole: bool) -> Branch:
        hanging = below.get(key, [])
        if not is_whole:
            return Branch(f"{text} (told elsewhere)" if hanging else text)
        return Branch(text, tuple(map(of, hanging)))

    def of(hanging: Edge | LeftOut) -> Branch:
        if isinstance(hanging, LeftOut):
            one, several = KINDS[hanging.kind]
            name = one if hanging.number == 1 else several
            return Branch(f"… and {hanging.number:,} more {name}")
        far = hanging.ends(found.direction)[1]
        text = _edge_text(hanging, found.direction, label(far, found.nodes[far]))
        return branch(far, text, nearest.get(far) is hanging)

    return branch(found.root, label(found.root, found.nodes[found.root]), True)


def _edge_text(edge: Edge, direction: Direction, text: str) -> str:
    down, up = _TOLD.get(edge.relation, ("", ""))
    told = down if direction == "down" else up
    before = f"{told}: " if told else ""
    return f"{before}{text}{f' · {edge.note}' if edge.note else ''}"


@dataclass(frozen=True, slots=True)
class Step:
    """A station on the way to a verdict: what it is, and lines of a text and a digest each."""

    title: str
    lines: tuple[tuple[str, str], ...]
    num_more: int = 0


def steps(turn: Turn) -> tuple[Step, ...]:
    """Where a turn of one challenger comes from: logs, what was held back, set, releases, verdict.
    Of runs that others made there are results and releases."""
    files = turn.log_files
    logs = Step(
        "results" if turn.is_of_others else "log files",
        tuple((f"{file.path}: {wording.count(file.rows_out)} rows", file.digest)
              for file in files[:_MAX_FILES])
        or (("none: every sample comes from the suite files", ""),),
        max(0, len(files) - _MAX_FILES),
    )  # fmt: skip
    eval_set = turn.eval_set
    of_set = [(f"{wording.count(eval_set.num_samples)} samples", eval_set.digest)]
    if eval_set.parent_digest:
        of_set.append(("it replaced", eval_set.parent_digest))
    releases = [
        line
        for role in ("champion", "challenger")
        for release in [turn.releases[role]]
        for line in (
            (f"{role} {release.name}", release.digest),
            (f"model {release.model}", release.model_digest),
            ("prompts", release.prompt_digest),
        )
    ]
    decided = f"{wording.label(turn.verdict.verdict)}, {turn.verdict.decided_at:%Y-%m-%d %H:%M} UTC"
    return (
        logs,
        *([] if turn.is_of_others else [Step("held back", _held(turn))]),
        Step("eval set", tuple(of_set)),
        Step("releases", tuple(releases)),
        Step("verdict", ((decided, ""), (f"run {turn.run_id}", ""))),
    )


def _held(turn: Turn) -> tuple[tuple[str, str], ...]:
    dead = sum(receipt.dead_letters for receipt in turn.receipts)
    held = sum(receipt.quarantined for receipt in turn.receipts if receipt.stage == "validate")
    return (
        (f"dead letters: {wording.count(dead)}", ""),
        (f"quarantined calls: {wording.count(held)}", ""),
    )
