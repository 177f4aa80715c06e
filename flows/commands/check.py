"""`flywheel check`: everything about the configuration that can be known before a run."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.options import Options
from flows.stages import STAGES
from flows.terminal import print_json
from flows.turn import request_from
from tasks.champion import champion_as_far_as_known, champion_cautions
from tasks.curate.cautions import reviews_due
from tasks.errors import ConfigurationError, Problem, UsageError
from tasks.model.visible import one_line
from tasks.preflight import find_problems
from tasks.prompts_before import told_before
from tasks.settings import CONFIG_NAME, read_settings


def check(*, config: str | None, as_json: bool) -> int:
    problems = problems_of(config)
    cautions: list[str] = []
    if not problems:
        settings = read_settings(config)
        cautions = [
            *champion_cautions(settings),
            *told_before(settings),
            *reviews_due(settings.suites, datetime.now(UTC).date()),
        ]
    if as_json:
        objects = [problem.to_dict() for problem in problems]
        told = {"problems": objects, "cautions": cautions, "success": not problems}
        print_json(told)
    else:
        for problem in problems:
            print(one_line(f"{problem.key}: {problem.message}"))
        for caution in cautions:
            print(one_line(f"caution: {caution}"))
        print(f"{len(problems)} to fix" if problems else "ok: nothing to fix")
    return UsageError.exit_code if problems else 0


def problems_of(config: str | None) -> tuple[Problem, ...]:
    """Of the settings file, of what any command needs, and of every release declared in it."""
    try:
        settings = read_settings(config)
        every_stage = tuple(stage.name for stage in STAGES)
        request = request_from(
            settings, Options(config=config), every_stage, champion_of=champion_as_far_as_known
        )
    except ConfigurationError as error:
        return error.problems
    except UsageError as error:
        return (Problem(CONFIG_NAME, error),)
    return find_problems(settings, request, every_release=True)
