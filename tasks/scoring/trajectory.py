"""What the steps of a recorded session come to: where a release first departs from it, and how much
of the two is the same.

Every step is asked with what was recorded before it, so up to the first departure this is what a
replay with recorded answers of tools would see. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from engine.reading.reasoning import answer_in
from tasks.model.answer import JudgedSample, Role
from tasks.scoring.step import recorded_calls, same_calls
from tasks.scoring.tool_call import Call, calls_of


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A session as one release went through it, over the steps that are in the set.

    `departure`: the first step whose score is not full. None of the others is an opinion of a
    scorer: the same tools in number, the same in their order, with the same arguments, and ended
    where the recorded one did. `goal`: the last step has its full score.
    """

    suite: str
    session: str
    role: Role
    num_steps: int
    departure: int | None
    why: str
    tools: bool
    order: bool
    arguments: bool
    length: bool
    goal: bool


def trajectories(judged: Iterable[JudgedSample]) -> list[Trajectory]:
    """One a session, release and repeat, of the samples that are steps; none of a session with an
    answer that nobody knows."""
    sessions: dict[tuple[str, str], list[JudgedSample]] = {}
    for item in judged:
        if item.sample.session is not None:
            sessions.setdefault((item.sample.suite, item.sample.session), []).append(item)
    found = []
    for (suite, session), items in sorted(sessions.items()):
        items.sort(key=lambda item: item.sample.step or 0)
        for role in items[0].answers:
            for repeat in range(len(items[0].answers[role])):
                one = _trajectory(suite, session, role, items, repeat)
                found += [] if one is None else [one]
    return found


def _trajectory(
    suite: str, session: str, role: Role, items: Sequence[JudgedSample], repeat: int
) -> Trajectory | None:
    answers = [item.answers[role][repeat] for item in items]
    values = [answer.counted for answer in answers]
    if any(value is None for value in values):
        return None
    wanted = [recorded_calls(item.sample.target) for item in items]
    given = [calls_of(answer_in(answer.text or "")) for answer in answers]
    names = [[[name for name, _ in calls] for calls in side] for side in (given, wanted)]
    first = next((place for place, value in enumerate(values) if value != 1.0), None)
    return Trajectory(
        suite=suite,
        session=session,
        role=role,
        num_steps=len(items),
        departure=None if first is None else items[first].sample.step,
        why="" if first is None else _kind(given[first], wanted[first]),
        tools=Counter(chain(*names[0])) == Counter(chain(*names[1])),
        order=names[0] == names[1],
        arguments=all(map(same_calls, given, wanted)),
        length=[bool(calls) for calls in given] == [bool(calls) for calls in wanted],
        goal=values[-1] == 1.0,
    )


def _kind(given: Sequence[Call], wanted: Sequence[Call]) -> str:
    """What a departure is, without what differs from session to session."""
    names = [" and ".join(sorted(name for name, _ in calls)) for calls in (given, wanted)]
    if not wanted:
        return f"{names[0]} is called instead of an answer" if given else "the answer is not right"
    if not given:
        return f"{names[1]} is not called"
    if names[0] == names[1]:
        return f"{names[1]} is called with other arguments"
    return f"{names[0]} is called instead of {names[1]}"


def summary(found: Sequence[Trajectory]) -> dict[str, dict[Role, dict[str, Any]]]:
    """Suite → role → how many sessions, in how many each holds, and step → first departures."""
    told: dict[str, dict[Role, dict[str, Any]]] = {}
    for one in found:
        of_role = told.setdefault(one.suite, {}).setdefault(
            one.role, {"num_sessions": 0, "departed": 0, "departures": {}, "tools": 0, "order": 0,
                       "arguments": 0, "length": 0, "goal": 0},
        )  # fmt: skip
        of_role["num_sessions"] += 1
        for name in ("tools", "order", "arguments", "length", "goal"):
            of_role[name] += getattr(one, name)
        if one.departure is not None:
            of_role["departed"] += 1
            step_name = str(one.departure)
            of_role["departures"][step_name] = of_role["departures"].get(step_name, 0) + 1
    return told


def departures(found: Sequence[Trajectory], role: Role) -> list[str]:
    """Suite by suite, where the challenger in `role` departs and the champion does not: how often,
    at which step most often, and what it does there."""
    before = {
        (one.suite, one.session): one.departure for one in found if one.role == "champion"
    }  # of the last repeat
    own: dict[str, list[Trajectory]] = {}
    for one in found:
        if one.role == role and (one.suite, one.session) in before:
            own.setdefault(one.suite, []).append(one)
    told = []
    for suite, of_suite in own.items():
        new = [one for one in of_suite if _is_earlier(one.departure, before[suite, one.session])]
        if not new:
            continue
        ((place, number),) = Counter(one.departure for one in new).most_common(1)
        ((why, _),) = Counter(one.why for one in new if one.departure == place).most_common(1)
        told.append(
            f"Suite {suite}: in {len(new):,} of {len(of_suite):,} sessions the challenger departs "
            f"from what was recorded before the champion does, in {number:,} of them at step "
            f"{place}: {why}."
        )
    return told


def _is_earlier(departure: int | None, other: int | None) -> bool:
    return departure is not None and (other is None or departure < other)
