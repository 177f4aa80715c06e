"""The suites of data/ can be checked by hand, and their prompts exist in every version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.curate.suites import read_suite
from tasks.releases.prompts import load_prompts
from tasks.scoring import score
from tasks.settings import Settings, read_settings

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings(str(DATA / "flywheel.toml"), environ={})


def test_every_target_is_right_by_its_own_scorer(settings: Settings) -> None:
    for name, suite in settings.suites.items():
        for sample in read_suite(name, name, settings.path(suite.samples)):
            said = sample.target.partition("|")[0].strip()
            assert score(suite.scorer, said, sample.target).value == 1.0


def test_targets_of_orders_and_products_stand_in_their_texts(settings: Settings) -> None:
    for sample in read_suite("order", "order", settings.path("suites/order.jsonl")):
        assert json.loads(sample.target)["order"] in sample.conversation.messages[0]["content"]
    for sample in read_suite("product", "product", settings.path("suites/product.jsonl")):
        assert sample.target in sample.conversation.messages[0]["content"]


def test_suites_hold_no_text_the_prompts_were_tuned_on(settings: Settings) -> None:
    scope: dict[str, object] = {}
    exec((DATA / "texts.py").read_text(encoding="utf-8"), scope)  # our own file
    for name in ("ORDER", "PRODUCT", "MOOD"):
        bank = scope[name]
        assert isinstance(bank, dict)
        splits = {split: _sentences(bank[split]) for split in ("dev", "suite", "logs")}
        assert not splits["dev"] & splits["suite"]
        assert not splits["dev"] & splits["logs"]


def _sentences(value: object) -> set[str]:
    if isinstance(value, dict):
        return {sentence for group in value.values() for sentence in group}
    assert isinstance(value, tuple)
    return set(value)


@pytest.mark.parametrize("version", ["v1", "v2", "worse"])
def test_every_version_has_a_prompt_for_every_suite(settings: Settings, version: str) -> None:
    prompts = load_prompts(DATA / "prompts" / version, version)
    assert set(settings.suites) <= set(prompts.by_task)
    assert prompts.covers("anything else")


def test_scripts_write_the_suites_that_are_there() -> None:
    import subprocess
    import sys

    before = {file: file.read_bytes() for file in (DATA / "suites").glob("*.jsonl")}
    subprocess.run([sys.executable, "make_suites.py"], cwd=DATA, check=True, capture_output=True)
    assert {file: file.read_bytes() for file in (DATA / "suites").glob("*.jsonl")} == before
