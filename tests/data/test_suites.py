"""The suites of data/ can be checked by hand, and their prompts exist in every version."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.curate.dedup import near_duplicate_groups
from tasks.curate.evalset import Draft
from tasks.curate.normalize import normalize
from tasks.curate.suites import read_suite
from tasks.releases.prompts import load_prompts
from tasks.scoring import instrument
from tasks.settings import Settings, read_settings
from tasks.statistics.paired import Pairs, compare

DATA = Path(__file__).resolve().parents[2] / "data"
SUITES = ("order", "product", "mood")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings(str(DATA / "flywheel.toml"), environ={})


@pytest.fixture(scope="module")
def suites(settings: Settings) -> dict[str, tuple[Draft, ...]]:
    return {
        name: read_suite(name, name, settings.path(suite.samples))
        for name, suite in settings.suites.items()
    }


@pytest.fixture(scope="module")
def texts() -> Mapping[str, Any]:
    scope: dict[str, Any] = {}
    exec((DATA / "texts.py").read_text(encoding="utf-8"), scope)  # our own file
    return scope


def _text(sample: Draft) -> str:
    return str(sample.conversation.messages[0]["content"])


def _sentences(value: Any) -> list[str]:
    """All sentences of a bank, however it is nested."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value
    return [sentence for part in parts for sentence in _sentences(part)]


def test_every_target_is_right_by_its_own_scorer(
    settings: Settings, suites: dict[str, tuple[Draft, ...]]
) -> None:
    for name, samples in suites.items():
        for sample in samples:
            said = sample.target.partition("|")[0].strip()
            scorer = instrument(settings.suites[name].scorer)
            assert scorer.score(said, sample.target).value == 1.0


def test_orders_name_one_order_and_it_is_the_target(suites: dict[str, tuple[Draft, ...]]) -> None:
    for sample in suites["order"]:
        assert re.findall(r"FW-\d{5}", _text(sample)) == [json.loads(sample.target)["order"]]


def test_products_name_one_product_and_it_is_the_target(
    suites: dict[str, tuple[Draft, ...]], texts: Mapping[str, Any]
) -> None:
    for sample in suites["product"]:
        named = [item for item in texts["PRODUCTS"] if re.search(rf"\b{item}s?\b", _text(sample))]
        assert named == [sample.target]
    assert {sample.target for sample in suites["product"]} == set(texts["PRODUCTS"])


def test_no_two_samples_are_alike_nor_like_what_prompts_and_logs_were_written_from(
    suites: dict[str, tuple[Draft, ...]], texts: Mapping[str, Any]
) -> None:
    samples = [(_text(sample), name) for name in SUITES for sample in suites[name]]
    others = [
        (sentence.format(item=item, order="FW-10101"), name)
        for name in SUITES
        for split in ("dev", "logs")
        for sentence in _sentences(texts[name.upper()][split])
        for item in ("tent", "picnic rug")
    ]
    for version in ("v1", "v2"):
        prompts = load_prompts(DATA / "prompts" / version, version)
        for name in SUITES:
            others += [(turn.content, name) for turn in prompts.prompt(name) or ()]
    # without numbers, which alone would keep two texts apart
    asked = [re.sub(r"\d+", " ", normalize(text)) for text, _ in (*samples, *others)]
    groups = near_duplicate_groups(asked, 0.8)
    of_samples = groups[: len(samples)]
    assert len(set(of_samples)) == len(samples)
    assert not set(of_samples) & set(groups[len(samples) :])


def test_an_equal_release_passes_all_suites_four_times_in_five(
    settings: Settings, suites: dict[str, tuple[Draft, ...]]
) -> None:
    """Where one answer in ten differs."""
    shares = [_passed(settings, name, len(suites[name])) for name in SUITES]
    assert math.prod(shares) > 0.8


def _passed(settings: Settings, name: str, count: int) -> float:
    rng = np.random.default_rng(11)
    margin = settings.margin(name)
    outcomes: dict[tuple[int, int], bool] = {}
    drawn = rng.multinomial(count, [0.05, 0.05, 0.9], size=4000)[:, :2].tolist()
    for won, lost in {(won, lost) for won, lost in drawn}:
        first, second = np.zeros(count), np.zeros(count)
        second[:won], first[won : won + lost] = 1.0, 1.0
        pairs = Pairs(second - first, np.arange(count), np.ones(count), True)
        alpha = settings.gate.alpha * (1 - settings.gate.early)
        interval = compare(pairs, alpha, settings.gate.unseen_loss).interval
        outcomes[won, lost] = interval.low > -margin
    return float(np.mean([outcomes[won, lost] for won, lost in drawn]))


def test_slices_are_large_enough_to_look_at(suites: dict[str, tuple[Draft, ...]]) -> None:
    for name, samples in suites.items():
        assert len(samples) >= 160
        of_value: dict[tuple[str, str], int] = {}
        for sample in samples:
            for key in sample.slices.items():
                of_value[key] = of_value.get(key, 0) + 1
        assert min(of_value.values()) >= 9, (name, of_value)


def test_two_orders_must_pass(suites: dict[str, tuple[Draft, ...]]) -> None:
    marked = [sample.suite for samples in suites.values() for sample in samples if sample.must_pass]
    assert marked == ["order", "order"]


@pytest.mark.parametrize("version", ["v1", "v2", "worse"])
def test_every_version_has_a_prompt_for_every_suite(settings: Settings, version: str) -> None:
    prompts = load_prompts(DATA / "prompts" / version, version)
    assert set(settings.suites) <= set(prompts.by_task)
    assert prompts.covers("anything else")


def test_script_writes_the_suites_that_are_there() -> None:
    before = {file: file.read_bytes() for file in (DATA / "suites").glob("*.jsonl")}
    subprocess.run([sys.executable, "make_suites.py"], cwd=DATA, check=True, capture_output=True)
    assert {file: file.read_bytes() for file in (DATA / "suites").glob("*.jsonl")} == before
