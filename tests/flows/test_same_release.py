"""A release against itself, whole stages, real engine, sampling on: never better, never worse."""

from __future__ import annotations

import pytest

from flows.options import Options
from flows.turn import request_from, turn
from tasks.settings import read_settings
from tests.flows.application import Application

_SEEDS = 20


@pytest.mark.slow
def test_release_against_itself_is_never_better_or_worse_on_twenty_seeds(application: Application):
    settings = read_settings(str(application.folder / "flywheel.toml"), {})
    turn(settings, request_from(settings, Options(), ("ingest", "validate", "redact")))
    verdicts = []
    for seed in range(_SEEDS):
        request = request_from(
            settings,
            Options(challenger="champion", seed=seed),
            ("curate", "evaluate", "gate"),
        )
        verdicts.append(turn(settings, request).verdict)
    assert set(verdicts) <= {"no_worse", "cannot_tell"}
    assert len(verdicts) == _SEEDS
