from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from flows.options import Options
from flows.stages import stages_of
from flows.turn import request_from
from tasks.model.run import RunRequest
from tasks.preflight import find_problems
from tasks.releases.retirement import calendar_of, due
from tasks.settings import Settings, parse_settings

_API = {"model": "m-1", "api": "openai", "api_key_env": "KEY"}


def _settings(*, days: int = 60, on: str = "2026-12-31", **current: Any) -> Settings:
    return parse_settings(
        {
            "champion": "current",
            "retirement_days": days,
            "releases": {
                "current": {**_API, "successor": "next", **current},
                "next": {**_API, "model": "m-2"},
            },
            "calendar": [{"model": "m-1", "retires_on": on, "successor": "m-2", "source": "s"}],
        },
        base=".",
    )


@pytest.mark.parametrize(
    ("today", "days"),
    [("2026-10-31", None), ("2026-11-01", 60), ("2026-12-31", 0), ("2027-01-05", -5)],
)
def test_due_from_so_many_days_before_the_end_on(today: str, days: int | None):
    found = due(_settings(), "current", date.fromisoformat(today))
    assert (None if found is None else found.days) == days


@pytest.mark.parametrize(
    "current",
    [{"model": "m-9"}, {"api": "anthropic"}, {"base_url": "https://mine.example/v1"}],
)
def test_other_models_and_those_of_ones_own_servers_do_not_end(current: dict[str, str]):
    assert due(_settings(**current), "current", date(2026, 12, 30)) is None


def test_sentences_tell_when_and_what_to_do():
    told = due(_settings(), "current", date(2026, 12, 30))
    assert told is not None
    assert told.sentence == (
        "release current: its provider ends m-1 on 2026-12-31, in 1 day; its successor next is "
        "judged"
    )
    alone = due(_settings(successor=""), "current", date(2027, 1, 2))
    assert alone is not None
    assert alone.sentence == (
        "release current: its provider ended m-1 on 2026-12-31, 2 days ago; name a release that "
        "takes its place, such as one of m-2: releases.current.successor"
    )


def _challengers(settings: Settings, *said: str) -> tuple[str, ...]:
    return request_from(settings, Options(challenger=list(said)), stages_of("run")).challengers


def test_the_successor_is_one_more_challenger_of_a_run():
    near, far = _settings(on="2026-01-01"), _settings(on="2999-01-01")
    assert _challengers(near) == ("next",)
    assert _challengers(near, "other") == ("other",)
    assert _challengers(far) == ("current",)  # one release alone is compared with itself
    both = near.model_copy(update={"challenger": "other"})
    assert _challengers(both) == ("other", "next")
    assert _challengers(near.model_copy(update={"challenger": "next"})) == ("next",)


def test_it_is_in_no_digest_what_it_adds_is_in_the_request():
    assert _settings().digest == _settings(days=3, on="2030-01-01", successor="").digest


def test_a_successor_that_is_not_declared_is_a_problem_of_its_key():
    problems = find_problems(
        _settings(successor="nxt"), RunRequest(stages=("evaluate",)), every_release=True
    )
    (told,) = [problem for problem in problems if problem.key == "releases.current.successor"]
    assert "did you mean" in told.message


def test_what_comes_with_the_package_has_sources_and_is_overruled():
    text = files("tasks.releases").joinpath("retirements.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["model"]
    assert all(entry["source"].startswith("https://") for entry in entries)
    names = [(entry["api"], model) for entry in entries for model in entry["models"]]
    assert len(set(names)) == len(names)
    own = parse_settings(
        {
            "releases": {"old": {**_API, "model": "gpt-3.5-turbo"}},
            "calendar": [{"model": "gpt-3.5-turbo", "retires_on": "2030-05-05"}],
        },
        base=".",
    )
    assert [e.on for e in calendar_of(own) if e.model == "gpt-3.5-turbo"] == [
        date(2030, 5, 5), date(2026, 10, 23),
    ]  # fmt: skip
    assert due(own, "old", date(2026, 10, 20)) is None
