"""A verdict as JUnit XML, which CI servers read: what may hold a release is a test case. Pure.

A test suite a suite of the gate, with its decision, its guarded slices and those that alarm, and
its samples that must pass; one of the guardrails; and one of the whole verdict, so that a server
that looks at tests alone holds what the exit code holds. Failures carry the numbers. A suite that
only reports is skipped, never failed. By Jenkins' schema for JUnit results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.model.guardrail import GuardrailResult
from tasks.model.verdict import SHIPS, RecordedVerdict, SliceResult, SuiteResult
from tasks.model.visible import visible
from tasks.report import wording

#: what XML 1.0 cannot hold, not even as a reference
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """`failure`: what kind of failure it is and its text; None: it passed. `skipped`: why it tells
    nothing."""

    name: str
    failure: tuple[str, str] | None = None
    skipped: str = ""
    out: str = ""


def junit(
    verdicts: Mapping[Role, RecordedVerdict],
    names: Mapping[Role, str],
    judged: Sequence[JudgedSample],
    *,
    seconds: float = 0.0,
) -> bytes:
    """The document, in UTF-8. `names`: role → release. `judged`: the samples of the run, of which
    those that must pass are told one by one; may be none."""
    root = Element("testsuites", {"name": "flywheel"})
    totals = [0, 0, 0]
    for role, decided in verdicts.items():
        prefix = f"{names.get(role, role)}: " if len(verdicts) > 1 else ""
        of_role = [item.pair(role) for item in judged if item.sample.must_pass]
        for name, cases in _suites(decided, of_role):
            counts = _add(root, prefix + name, cases, decided.decided_at.isoformat()[:19])
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
    for key, total in zip(("tests", "failures", "skipped"), totals, strict=True):
        root.set(key, str(total))
    root.set("errors", "0")
    root.set("time", f"{seconds:.3f}")
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suites(
    decided: RecordedVerdict, judged: Sequence[JudgedSample]
) -> Iterator[tuple[str, list[Case]]]:
    for suite in decided.suites:
        name = suite.rule.name
        slices = [part for part in decided.slices if part.suite == name]
        demanded = [item for item in judged if item.sample.suite == name]
        yield (
            f"suite {name}",
            [
                _decision(suite),
                *_slices(slices),
                *(_must_pass(item, ships=decided.verdict in SHIPS) for item in demanded),
            ],
        )
    if decided.guardrails:
        yield "guardrails", [_guardrail(part) for part in decided.guardrails]
    text = "\n".join(decided.reasons)
    failure = None if decided.verdict in SHIPS else (decided.verdict, text)
    yield "verdict", [Case("the challenger may ship", failure, out=text)]


def _decision(suite: SuiteResult) -> Case:
    told = _told(suite)
    name = f"no worse than the champion, margin {wording.margin(suite.rule.margin)} points"
    if not suite.rule.is_gating:
        return Case(name, skipped=f"role report: it informs and does not gate. {told}", out=told)
    return Case(name, None if suite.verdict in SHIPS else (suite.verdict, told), out=told)


def _told(suite: SuiteResult) -> str:
    old, new = (wording.percent(suite.releases[role].mean) for role in ROLES)
    text = f"{suite.verdict}: {suite.rule.metric}, challenger {new} against champion {old} on "
    text += f"{suite.num_samples:,} samples, {suite.num_clusters:,} clusters"
    if suite.interval is not None:
        text += f"; difference {wording.points(suite.difference)} points "
        text += f"({wording.interval(suite.interval, signed=True)})"
    text += f", margin {wording.margin(suite.rule.margin)}"
    return text + ("; too many answers are not known" if suite.too_many_missing else "")


def _slices(parts: Iterable[SliceResult]) -> Iterator[Case]:
    for part in parts:
        if part.role != "guarded" and not part.is_alarm:
            continue
        text = (
            f"{'worse' if part.is_alarm else part.verdict}: challenger "
            f"{wording.percent(part.challenger)} against champion {wording.percent(part.champion)} "
            f"on {part.num_samples:,} samples; difference {wording.points(part.difference)} points "
            f"({wording.interval(part.interval, signed=True)}), margin "
            f"{wording.margin(part.margin)}"
        )
        kind = "worse" if part.is_alarm else part.verdict
        yield Case(f"slice {part.slice}={part.value}", (kind, text) if part.holds else None)


def _must_pass(item: JudgedSample, *, ships: bool) -> Case:
    """Failed where an answer of the challenger does not pass; of several repeats the gate may
    forgive one, as it has done where the challenger `ships`."""
    answers = item.answers["challenger"]
    name = f"must pass: {item.sample.sample_id[:16]}"
    bad = next((answer for answer in answers if answer.counted is not None and answer.counted < 1),
               None)  # fmt: skip
    asked = wording.question(item.sample, 300)[0]
    if bad is not None and not ships:
        why = bad.explanation or wording.without_score(bad) or f"score {bad.counted}"
        text = f"question: {asked}\ntarget: {item.sample.target}\nanswer: {bad.text}\n{why}"
        return Case(name, ("must_pass", text))
    if any(answer.counted is None for answer in answers):
        return Case(name, skipped="what the challenger answered is not known")
    return Case(name)


def _guardrail(part: GuardrailResult) -> Case:
    rule = part.rule
    text = (
        f"{part.verdict}: challenger {wording.measured(part.challenger, rule)} against champion "
        f"{wording.measured(part.champion, rule)}: {wording.relative(part.ratio)} "
        f"({wording.relative_interval(part.interval)}), {100 * rule.margin:g}% allowed"
    )
    return Case(f"{rule.name}: {rule.measure}", (part.verdict, text) if part.holds else None, "",
                text)  # fmt: skip


def _add(root: Element, name: str, cases: Sequence[Case], at: str) -> tuple[int, int, int]:
    failures = sum(case.failure is not None for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    suite = SubElement(
        root,
        "testsuite",
        {"name": _text(name), "tests": str(len(cases)), "failures": str(failures), "errors": "0",
         "skipped": str(skipped), "time": "0", "timestamp": at},
    )  # fmt: skip
    for case in cases:
        element = SubElement(
            suite,
            "testcase",
            {"name": _text(case.name), "classname": _text(f"flywheel.{name}"), "time": "0"},
        )
        if case.skipped:
            SubElement(element, "skipped", {"message": _text(case.skipped)})
        if case.failure is not None:
            kind, text = case.failure
            failure = SubElement(
                element, "failure", {"type": _text(kind), "message": _text(text.split("\n")[0])}
            )
            failure.text = _text(text)
        elif case.out:
            SubElement(element, "system-out").text = _text(case.out)
    return len(cases), failures, skipped


def _text(text: str) -> str:
    """Without what XML cannot hold or a terminal would obey."""
    return _NO_XML.sub("\ufffd", visible(text))
