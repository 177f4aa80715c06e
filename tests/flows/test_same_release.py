"""Two releases that do the same, whole stages, real engine, sampling on: seldom called better or
worse; and a release that does better is found, so that silence is not all there is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from flows.options import Options
from flows.turn import Outcome, request_from, turn
from tasks.gate.verdict import Verdict, decide
from tasks.settings import Settings, read_settings
from tests.flows.application import Application
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, samples
from tests.tiny_model import write_tiny_model

_SEEDS = 20
#: a correct gate breaks a bound of this file by chance once in so many runs of a test
_ONCE_IN = 10_000
_LETTERS = "abcd"
RELEASE = """
[releases.{name}]
model = "{model}"
[releases.{name}.sampling]
max_tokens = 1
temperature = 1.0
top_k = {top_k}
"""


def most(rounds: int, rate: float) -> int:
    """No more of the rounds than this, at a true rate of at most `rate`: binomial."""
    return int(stats.binom.isf(1 / _ONCE_IN, rounds, rate))


def least(rounds: int, rate: float) -> int:
    return int(stats.binom.ppf(1 / _ONCE_IN, rounds, rate))


def prepare(settings: Settings) -> None:
    turn(settings, request_from(settings, Options(), ("ingest", "validate", "redact")))


def compared(settings: Settings, challenger: str, seed: int) -> Outcome:
    options = Options(challenger=[challenger], seed=seed)
    return turn(settings, request_from(settings, options, ("curate", "evaluate", "gate")))


@pytest.mark.slow
def test_release_against_itself_is_never_better_or_worse_on_twenty_seeds(application: Application):
    """The same digest is computed once, so this holds that it is not compared with another draw."""
    settings = read_settings(str(application.folder / "flywheel.toml"), {})
    prepare(settings)
    verdicts = [compared(settings, "champion", seed).verdict for seed in range(_SEEDS)]
    assert set(verdicts) <= {"no_worse", "cannot_tell"}
    assert len(verdicts) == _SEEDS


@pytest.fixture
def letters(application: Application, tmp_path: Path) -> Settings:
    """Releases that say one of four letters. `champion` and `twin` draw each one time in four;
    their models number the letters in different orders, so that the same luck gives them different
    answers. `better` knows that the right one is among the first two.
    """
    path = application.folder / "flywheel.toml"
    text = path.read_text()
    kept = text[: text.index("[releases.champion]")], text[text.index("[suites.route]") :]
    releases = (("champion", "abcd", 4), ("twin", "cdba", 4), ("better", "abcd", 2))
    sections = [
        RELEASE.format(
            name=name, top_k=top_k,
            model=write_tiny_model(tmp_path / name, even=order),
        )
        for name, order, top_k in releases
    ]  # fmt: skip
    path.write_text("".join([kept[0], *sections, kept[1]]).replace('"challenger"', '"twin"'))
    words = ("quartz", "velvet", "saddle", "turnip", "magnet", "pollen", "walrus", "tunnel")
    suite = [
        {"input": " ".join(words[(n // 8**k) % 8] for k in range(3)) + f" {n}",
         "target": _LETTERS[n % 2], "task": "route"}
        for n in range(100)
    ]  # fmt: skip
    (application.folder / "suites" / "route.jsonl").write_text(
        "".join(json.dumps(sample) + "\n" for sample in suite)
    )
    return read_settings(str(path), {})


@pytest.mark.slow
def test_a_twin_is_not_told_apart_and_a_better_release_is(letters: Settings):
    prepare(letters)
    with_twin, with_better = (compared(letters, name, 0) for name in ("twin", "better"))
    # answers of its own, right and wrong ones: the comparison was between two computations
    (route,) = [suite for suite in with_twin.decided.suites if suite.rule.name == "route"]
    assert min(route.num_won or 0, route.num_lost or 0) >= 10, route
    # a draw of one: the rate over many is what the gate's own tests below bound
    assert with_twin.verdict in ("no_worse", "cannot_tell"), route
    # right one time in two against one in four, of more than 100 samples
    assert with_better.verdict == "better", with_better.decided.suites


def simulated(rounds: int, gain: float) -> list[Verdict]:
    """Verdicts on two suites of graded and right-or-wrong answers, each release with luck of its
    own; `gain` is what the challenger is truly better by.
    """
    draw = np.random.default_rng(12)
    verdicts = []
    for _ in range(rounds):
        hard = draw.normal(0, 0.1, 120)
        luck = draw.normal(0, 0.2, (2, 120))
        old, new = np.clip(0.5 + hard + luck + [[0.0], [gain]], 0, 1)
        right = [(draw.random(120) < 0.6 + move).astype(float) for move in (0, gain)]
        items = [*samples(right[0], right[1], "route"), *samples(old, new, "mood")]
        verdicts.append(decide(items, [PRIMARY, GUARD], GATE, is_same_release=False).verdict)
    return verdicts


@pytest.mark.slow
def test_the_gate_claims_a_difference_between_equals_no_oftener_than_alpha():
    rounds = 400
    verdicts = simulated(rounds, 0.0)
    # Holm's rule: of any mistake in the run, over its suites and both sides
    assert sum(v in ("better", "worse") for v in verdicts) <= most(rounds, GATE.alpha)


@pytest.mark.parametrize(("gain", "verdict"), [(0.25, "better"), (-0.25, "worse")])
def test_the_gate_finds_a_difference_that_is_there(gain: float, verdict: str):
    rounds = 100
    verdicts = simulated(rounds, gain)
    assert verdicts.count(verdict) >= least(rounds, 0.95)
    assert not {"better", "worse"} - {verdict} & set(verdicts)
