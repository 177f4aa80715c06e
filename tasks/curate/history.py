"""What of the history of calls is read: all of it, or of a long one a sample with known chances.

Places (`[curate] max_calls`) are shared equally by the three kinds of calls (somebody wrote the
right answer; judged; neither), then among the tasks of a kind; what one cannot fill goes to the
others. So what people said and what is asked seldom is read whole, and the rest in part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tasks.curate.select import allocate
from tasks.model.logged_call import LoggedCall
from tasks.model.reading import EVERYTHING, KINDS, Group, Part, Reading
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.evals import history
from tasks.store.evals.logged_calls import read_drawn, read_questions

#: tasks that have places of their own; the others have theirs together
MAX_TASKS = 200


@dataclass(frozen=True, slots=True)
class History:
    """The calls that can be asked again, by id, and how they were read. `apart`: sessions of which
    single calls were read."""

    calls: list[LoggedCall]
    reading: Reading
    apart: Collection[str] = frozenset()


def read_history(store: Store, settings: Settings, seed: int, part: Part = EVERYTHING) -> History:
    with_sampling = settings.takes_logged_sampling
    num_calls = history.count_calls(store, part)
    if num_calls <= (settings.curate.max_calls or num_calls):
        calls = read_questions(store, part, with_sampling=with_sampling)
        return History(calls, Reading(num_calls, num_calls))
    declared = {suite.task or name for name, suite in settings.suites.items()}
    tasks = rarest_first(history.count_tasks(store, part), declared)
    with history.drawing(store):
        with history.divided(store, tasks, str(seed), part) as counts:
            drawn = history.draw(store, chances(counts, settings.curate.max_calls))
        calls = read_drawn(store, with_sampling=with_sampling)
        apart = history.sessions_apart(store)
    names = [task or "(none)" for task in tasks] + ["(others)"]
    groups = tuple(
        Group(KINDS[kind], names[task], counts[kind, task], num_read, chance)
        for (kind, task), (num_read, chance) in sorted(drawn.items())
    )
    num_read = sum(group.num_read for group in groups)
    return History(calls, Reading(num_calls, num_read, groups), apart)


def rarest_first(counts: Mapping[str, int], declared: Collection[str]) -> list[str]:
    """The tasks that have places of their own: those of suites before others, large before small;
    in the order of their calls."""
    ranked = sorted(counts, key=lambda task: (task not in declared, -counts[task], task))
    return sorted(ranked[:MAX_TASKS], key=lambda task: (counts[task], task))


def chances(counts: Mapping[history.Key, int], max_calls: int) -> dict[history.Key, float]:
    """Group → the chance of each of its calls to be read; none is 0, so that each group is stood
    for."""
    by_kind: dict[int, dict[int, int]] = {}
    for (kind, task), number in counts.items():
        by_kind.setdefault(kind, {})[task] = number
    sizes = {kind: sum(tasks.values()) for kind, tasks in by_kind.items()}
    places = allocate(max_calls, dict.fromkeys(sizes, 1), sizes)
    return {
        (kind, task): max(1, own) / by_kind[kind][task]
        for kind, tasks in by_kind.items()
        for task, own in allocate(places[kind], dict.fromkeys(tasks, 1), tasks).items()
    }
