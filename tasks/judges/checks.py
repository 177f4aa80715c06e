"""What can be known of judges before a run, each problem by its key: nothing is computed or
called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tasks.errors import Problem, UsageError
from tasks.judges.labels import label_lines
from tasks.judges.resolve import declared_judge, rubric_of
from tasks.judges.scoring import refuse_many
from tasks.scoring.judged import judge_of
from tasks.settings import Settings


def judges_asked(settings: Settings, *, every_judge: bool) -> list[str]:
    """Those of the suites with the members of their panels, or all; each once, declared ones."""
    named = _of_suites(settings)
    panels = [one for name in named for one in settings.judges[name].panel]
    asked = settings.judges if every_judge else [*named, *panels]
    return [name for name in dict.fromkeys(asked) if name in settings.judges]


def problems_of_run(settings: Settings, num_challengers: int) -> Iterator[Problem]:
    """What a run cannot do together with a judge."""
    named = _of_suites(settings)
    if named and settings.evaluate.stop_when_decided:
        error = UsageError(
            "a run cannot stop when it is decided where a model judges: it is asked after all "
            "answers are there",
            received=f"judge {named[0]}",
            next="set [evaluate] stop_when_decided = false",
        )
        yield Problem("evaluate.stop_when_decided", error)
    for name in named:
        if settings.judges[name].kind == "pairwise":
            yield from _told("challenger", partial(refuse_many, name, num_challengers))


def judge_problems(name: str, settings: Settings, *, with_labels: bool = True) -> Iterator[Problem]:
    """Panel, release, rubric, and every line of the labels."""
    declared = settings.judges[name]
    yield from _told(f"judges.{name}", lambda: declared_judge(name, settings))
    if declared.labels and with_labels:
        first = settings.judges.get(declared.panel[0]) if declared.panel else declared
        scale = (first or declared).scale
        for line in label_lines(settings.path(declared.labels), name, declared.kind, scale):
            if isinstance(line, UsageError):
                yield Problem(f"judges.{name}.labels", line)
    if not declared.panel:
        yield from _told(f"judges.{name}.rubric", lambda: rubric_of(name, declared, settings))
        yield from _told(f"judges.{name}.release", lambda: settings.release(declared.release))


def _of_suites(settings: Settings) -> list[str]:
    named = (judge_of(settings, suite) for suite in settings.suites)
    return [name for name in dict.fromkeys(named) if name is not None and name in settings.judges]


def _told(key: str, check: Callable[[], object]) -> Iterator[Problem]:
    try:
        check()
    except UsageError as error:
        yield Problem(key, error)
