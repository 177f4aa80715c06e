"""`flywheel items`: the health of an eval set, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flows.commands.decided import last_decided
from flows.terminal import Table, console, print_json, print_table
from tasks.model.health import SampleHealth, SetHealth, SuiteHealth
from tasks.model.turn import Turn
from tasks.model.visible import one_line
from tasks.report.wording import FLAGS, OTHER_REPEATS, percent, question, repeats
from tasks.scoring.repeats import answer_noise
from tasks.settings import read_settings
from tasks.statistics.repeats import Noise

_MAX_SHOWN = 20
_MAX_QUESTION = 60
_SUITES = (
    "suite", "samples", "releases", "scores differ", "all right", "all wrong", "flaky", "negative",
)  # fmt: skip
_SAMPLES = ("sample", "suite", "what", "mean score", "answers", "question")


def show_items(run_id: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    run, turn = last_decided(
        settings,
        run_id,
        undecided="the run has no verdict, which says by which scorers its eval set is judged",
    )
    found = run.run_id
    health, noise = turn.health, list(_noise_of(turn))
    if as_json:
        told = {"run_id": found, "eval_set": turn.eval_set.digest, **_to_object(health)}
        told["repeats"] = [
            {"challenger": name, "suite": suite, **_noise(part)} for name, suite, part in noise
        ]
        print_json(told)
        return 0
    eval_set = (
        f"eval set of {found}: {len(health.samples):,} samples, answered by "
        f"{len(health.releases)} releases ({', '.join(health.releases)})"
    )
    print(one_line(eval_set))
    print_table(console(), Table(_SUITES, [_suite(suite) for suite in health.suites], ("suite",)))
    _print_samples(health)
    for name, suite, part in noise:
        print(one_line(f"{name}, {repeats(suite, part)}"))
    return 0


def _noise_of(turn: Turn) -> Iterator[tuple[str, str, Noise]]:
    """Challenger, suite, and what repeats have brought to their comparison with the champion."""
    for role in turn.verdicts:
        pair = turn.pair(role)
        for suite, part in answer_noise(pair.judged, pair.releases).items():
            yield pair.releases["challenger"].name, suite, part


def _print_samples(health: SetHealth) -> None:
    to_look_at = health.worst(len(health.samples))
    if not to_look_at:
        print("no sample to look at")
        return
    rows = [_row(sample) for sample in to_look_at[:_MAX_SHOWN]]
    print_table(console(), Table(_SAMPLES, rows, texts=("sample", "suite", "what", "question")))
    if len(to_look_at) > _MAX_SHOWN:
        print(f"{len(to_look_at) - _MAX_SHOWN:,} more: --json")


def _suite(suite: SuiteHealth) -> tuple[str, ...]:
    return (
        suite.suite,
        f"{suite.num_samples:,}",
        f"{suite.num_releases}",
        f"{suite.num_differing:,} of {suite.num_known:,}",
        f"{suite.num_always_right:,} of {suite.num_enough:,}",
        f"{suite.num_always_wrong:,} of {suite.num_enough:,}",
        f"{suite.num_flaky:,} of {suite.num_repeated:,}",
        f"{suite.num_negative:,} of {suite.num_tested:,}",
    )


def _row(item: SampleHealth) -> tuple[str, ...]:
    text, left_out = question(item.sample, _MAX_QUESTION)
    return (
        item.sample.sample_id[:12],
        item.sample.suite,
        ", ".join(FLAGS[flag] for flag in item.flags),
        percent(item.mean),
        f"{item.num_answers:,}",
        f"{text}…" if left_out else text,
    )


def _noise(part: Noise) -> dict[str, Any]:
    return {
        **asdict(part),
        "share_of_answers": part.share,
        "enough_repeats": part.enough_repeats,
        "samples_asked_once": part.samples_asked_once,
        "standard_errors": {str(number): part.standard_error(number) for number in OTHER_REPEATS},
        "lowest_standard_error": part.standard_error(math.inf),
    }


def _to_object(health: SetHealth) -> dict[str, Any]:
    samples = []
    for item in health.samples:
        values = asdict(item)
        del values["sample"]
        asked = {"sample_id": item.sample.sample_id, "suite": item.sample.suite}
        samples.append({**asked, "question": question(item.sample, _MAX_QUESTION)[0], **values})
    suites = [asdict(suite) for suite in health.suites]
    return {"releases": health.releases, "suites": suites, "samples": samples}
