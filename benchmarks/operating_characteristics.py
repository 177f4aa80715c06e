"""How often the gate is wrong, and how often it lets pass what should pass: by simulation.

    python -m benchmarks.operating_characteristics                2,000 runs of every case
    python -m benchmarks.operating_characteristics --runs 200 --only families missing

Every case makes answers of two releases whose true difference is known and asks `decide`, the very
function of the gate, for its verdict; nothing is computed here but which verdicts came out. The
error given is one standard error of the simulation. Prints a table with the bound that each share
must keep and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.results import FOLDER, header, write
from tasks.curate.assemble import assemble
from tasks.curate.targets import TargetResolver
from tasks.model.answer import MISSING, Answer, JudgedSample, challenger_role
from tasks.model.logged_call import Conversation, LoggedCall, Opinion
from tasks.model.sample import Sample
from tasks.model.verdict import SHIPS, Decision, GateRule, SuiteRule
from tasks.settings import CurateSettings

GATE = GateRule(
    alpha=0.05, early=0.0, max_missing_ratio=1.0, unseen_loss=0.25, must_pass_reliability=0.98
)
SUITE = SuiteRule("suite", "primary", 0.05, "exact_match")
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """`draw` makes the answers of one run; `asked`: what is looked for → the bound on its share,
    positive for "at least", negative for "at most"; of the bias, on either side."""

    name: str
    about: str
    draw: Callable[[Generator], tuple[list[JudgedSample], list[SuiteRule]]]
    asked: dict[str, float]
    truth: float = 0.0


def binary(draw: Generator, count: int, difference: float, discordance: float = 0.1) -> Scores:
    """[2, count]: right or wrong of champion and challenger, with so many pairs that differ."""
    won, lost = (discordance + difference) / 2, (discordance - difference) / 2
    kind = draw.random(count)
    both = (draw.random(count) < 0.8).astype(float)
    old = np.where(kind < won, 0.0, np.where(kind < won + lost, 1.0, both))
    new = np.where(kind < won, 1.0, np.where(kind < won + lost, 0.0, both))
    return np.array([old, new])


def graded(draw: Generator, clusters: int, size: int, difference: float) -> tuple[Scores, Any]:
    """[2, clusters · size] in 0 to 1, differences alike within a cluster; and the labels."""
    labels = np.repeat(np.arange(clusters), size)
    old = np.clip(draw.normal(0.6, 0.12, len(labels)), 0.2, 0.8)
    move = draw.normal(0, 0.05, clusters)[labels] + draw.normal(0, 0.15, len(labels))
    return np.array([old, np.clip(old + difference + move, 0, 1)]), labels


def judged(
    scores: Scores,
    suite: str = "suite",
    *,
    clusters: Any = None,
    slices: Callable[[int], dict[str, str]] = lambda _: {},
    lost: tuple[Any, Any] = ((), ()),
) -> list[JudgedSample]:
    """scores: [2, count] or, with repeats, [2, count, repeats]; `lost`: positions of answers that
    the harness lost, of champion and challenger."""
    gone = [set(np.flatnonzero(part).tolist()) if len(part) else set() for part in lost]
    items = []
    for number in range(scores.shape[1]):
        sample = Sample(
            sample_id=f"{suite}-{number}", suite=suite, task=suite, messages=(), system=None,
            target="", target_kind="gold", origin="suite", slices=slices(number),
            cluster_id=f"{suite} {number if clusters is None else clusters[number]}",
        )  # fmt: skip
        answers = {}
        for role, of_role, missing in zip(("champion", "challenger"), scores, gone, strict=True):
            values = np.atleast_1d(of_role[number])
            answers[role] = tuple(
                MISSING if number in missing else Answer(float(value)) for value in values
            )
        items.append(JudgedSample(sample, answers))
    return items


def one_suite(count: int, difference: float, discordance: float = 0.1, **more: Any) -> Any:
    return lambda draw: (judged(binary(draw, count, difference, discordance), **more), [SUITE])


def families(draw: Generator, losing: int) -> tuple[list[JudgedSample], list[SuiteRule]]:
    """Ten primary suites of 500; the first `losing` of them truly lose the margin."""
    rules = [replace(SUITE, name=f"s{n}") for n in range(10)]
    items = [
        item
        for n, rule in enumerate(rules)
        for item in judged(binary(draw, 500, -0.05 if n < losing else 0.0), rule.name)
    ]
    return items, rules


def repeated(draw: Generator, repeats: int, difference: float) -> Any:
    """2,000 samples, each right with a probability of its own, asked several times."""
    chance = draw.beta(4, 1, 2000)[:, None]
    shape = (2000, repeats)
    old = (draw.random(shape) < chance).astype(float)
    new = (draw.random(shape) < np.clip(chance + difference, 0, 1)).astype(float)
    return judged(np.array([old, new])), [SUITE]


def missing(draw: Generator, of_champion: bool, count: int = 2000) -> Any:
    lost = draw.random(count) < 0.1
    both = (lost, ()) if of_champion else ((), lost)
    return judged(binary(draw, count, -0.05), lost=both), [SUITE]


def clustered(draw: Generator, difference: float) -> Any:
    scores, labels = graded(draw, 40, 10, difference)
    return judged(scores, clusters=labels), [SUITE]


def sliced(draw: Generator, collapsed: bool) -> Any:
    """Twenty slices; where one collapses, it is 40 of 2,000 samples, of which 30 are lost."""
    scores = binary(draw, 2000, 0.0)
    if collapsed:
        scores[0, :40], scores[1, :40] = 1.0, (np.arange(40) >= 30).astype(float)
    return judged(
        scores, slices=lambda n: {"language": "pl" if n < 40 else f"l{n % 19}"}
    ), [SUITE]  # fmt: skip


def mined(draw: Generator, difference: float) -> tuple[list[JudgedSample], list[SuiteRule]]:
    """From calls to samples through curate: 1,000 calls, feedback on every one, of which 400 are
    drawn. Production answers a question right or wrong, always the same, four in five right; so
    does the champion. The challenger is right by a chance of its own."""
    right = draw.random(1000) < 0.8
    calls = [
        LoggedCall(
            f"call-{number}",
            Conversation(None, ({"role": "user", "content": f"what about order {number}?"},)),
            "answer",
            task="suite",
            opinion=Opinion(thumbs=1.0) if is_right else Opinion(corrected=f"right {number}"),
        )
        for number, is_right in enumerate(right)
    ]
    resolver = TargetResolver({"suite": "suite"}, [], use_logged=False)
    seed = int(draw.integers(2**31))
    made = assemble([], calls, resolver, CurateSettings(max_samples=400), seed, gating={"suite"})
    new = draw.random(1000) < 0.8 + difference
    items = []
    for sample in made.eval_set.samples:
        number = int(str(sample.request_id).removeprefix("call-"))
        answers = {"champion": (Answer(float(right[number])),),
                   "challenger": (Answer(float(new[number])),)}  # fmt: skip
        items.append(JudgedSample(sample, answers))
    return items, [SUITE]


def _world() -> tuple[Scores, Scores]:
    """[1000]: shares of the traffic by Zipf's law, the first question an eighth of it; and what
    each question's answer loses or wins, one in ten, the same in every run."""
    draw = np.random.default_rng(7)
    shares = 1 / np.arange(1.0, 1001.0)
    won = np.where(draw.random(1000) < 0.1, draw.choice([-1.0, -1.0, 1.0], 1000), 0.0)
    return shares / shares.sum(), won


POPULARITY, MOVES = _world()
POPULAR_TRUTH = float(POPULARITY @ MOVES)


def popular(draw: Generator, moves: Scores, margin: float = 0.05) -> Any:
    """1,000 calls by people who often ask the same, 200 samples of them through curate."""
    asked = draw.choice(1000, 1000, p=POPULARITY)
    calls = [
        LoggedCall(
            f"call-{number}",
            Conversation(None, ({"role": "user", "content": f"what about order {order}?"},)),
            "answer",
            task="suite",
            opinion=Opinion(thumbs=1.0),
        )
        for number, order in enumerate(asked)
    ]
    resolver = TargetResolver({"suite": "suite"}, [], use_logged=False)
    seed = int(draw.integers(2**31))
    made = assemble([], calls, resolver, CurateSettings(max_samples=200), seed, gating={"suite"})
    items = []
    for sample in made.eval_set.samples:
        move = moves[asked[int(str(sample.request_id).removeprefix("call-"))]]
        answers = {"champion": (Answer(float(move <= 0)),),
                   "challenger": (Answer(float(move >= 0)),)}  # fmt: skip
        items.append(JudgedSample(sample, answers))
    return items, [replace(SUITE, margin=margin)]


def several(draw: Generator, losses: tuple[float, ...], count: int = 200) -> Any:
    """One champion, right four times in five, and challengers that truly lose so much each: every
    one changes a tenth of the answers, by luck of its own."""
    right = draw.random(count) < 0.8
    said = {"champion": right}
    for place, loss in enumerate(losses):
        chance = np.where(right, (0.1 + loss) / 2 / 0.8, (0.1 - loss) / 2 / 0.2)
        said[challenger_role(place)] = right ^ (draw.random(count) < chance)
    return [
        replace(item, answers={role: (Answer(float(v[n])),) for role, v in said.items()})
        for n, item in enumerate(judged(np.array([right, right], dtype=float)))
    ], [SUITE]


CASES = (
    Case("mined", "400 of 1,000 calls, no difference", lambda draw: mined(draw, 0.0),
         {"bias, points": 0.5, "worse": -0.025, "interval holds the truth": 0.94}, 0.0),
    Case("mined", "400 of 1,000 calls, 5.6 points better", lambda draw: mined(draw, 0.056),
         {"bias, points": 0.5, "ships": 0.95, "interval holds the truth": 0.94}, 0.056),
    Case("popular", "200 questions of 1,000 calls by Zipf's law, identical answers",
         lambda draw: popular(draw, 0 * MOVES), {"ships": 0.99}),
    Case("popular", "the same, one in ten answers changes",
         lambda draw: popular(draw, MOVES),
         {"bias, points": 0.5, "interval holds the truth": 0.94}, POPULAR_TRUTH),
    Case("popular", "the same, truly loses the margin",
         lambda draw: popular(draw, MOVES, -POPULAR_TRUTH), {"ships": -0.026}, POPULAR_TRUTH),
    Case("families", "ten suites of 500, no difference", lambda draw: families(draw, 0),
         {"any suite worse": -0.027, "any suite better": -0.027, "ships": 0.48}),
    Case("families", "ten suites of 500, one truly loses the margin",
         lambda draw: families(draw, 1), {"ships": -0.026}),
    Case("one look", "n = 345, no difference", one_suite(345, 0.0),
         {"ships": 0.78, "worse": -0.027}),
    Case("one look", "n = 345, truly loses the margin", one_suite(345, -0.05), {"ships": -0.026}),
    Case("one look", "n = 160, identical answers", one_suite(160, 0.0, 0.0), {"ships": 1.0}),
    Case("one look", "n = 160, loses the margin, nothing won", one_suite(160, -0.05, 0.05),
         {"ships": -0.026}),
    Case("one look", "n = 80, loses the margin, nothing won", one_suite(80, -0.05, 0.05),
         {"ships": -0.026}),
    Case("challengers", "five that truly lose the margin", lambda draw: several(draw, (0.05,) * 5),
         {"any ships": -0.026}),
    Case("challengers", "one truly loses the margin, four twice as much",
         lambda draw: several(draw, (0.05, *(0.1,) * 4)), {"any ships": -0.026}),
    Case("challengers", "five, no difference", lambda draw: several(draw, (0.0,) * 5),
         {"any worse": -0.027, "all ranks hold": 0.95}, 0.0),
    Case("repeats", "n = 2,000, no difference, 1 repeat", lambda draw: repeated(draw, 1, 0.0),
         {"ships": 0.95}),
    Case("repeats", "n = 2,000, no difference, 4 repeats", lambda draw: repeated(draw, 4, 0.0),
         {"ships": 0.95}),
    Case("repeats", "n = 2,000, loses 10 points, 4 repeats",
         lambda draw: repeated(draw, 4, -0.1), {"worse": 0.99}),
    Case("missing", "loses the margin, 10% of the champion's answers lost",
         lambda draw: missing(draw, True), {"ships": -0.026}),
    Case("missing", "loses the margin, 10% of the challenger's answers lost",
         lambda draw: missing(draw, False), {"ships": -0.026}),
    Case("clusters", "40 clusters of 10 graded, no difference",
         lambda draw: clustered(draw, 0.0), {"ships": 0.85, "worse": -0.027}),
    Case("clusters", "40 clusters of 10 graded, truly loses the margin",
         lambda draw: clustered(draw, -0.05), {"ships": -0.026}),
    Case("slices", "twenty slices, no difference", lambda draw: sliced(draw, False),
         {"any alarm": -0.05}),
    Case("slices", "one slice of 40 collapses among 1,960", lambda draw: sliced(draw, True),
         {"the slice is named": 0.99, "ships": -0.01}),
)  # fmt: skip


def decisions(items: list[JudgedSample], rules: list[SuiteRule]) -> list[Decision]:
    """Of every challenger, as the gate's stage asks for them."""
    from tasks.gate.verdict import decide

    roles = [role for role in items[0].answers if role != "champion"]
    gate = replace(GATE, alpha=GATE.alpha / len(roles))
    return [
        decide([item.pair(role) for item in items], rules, gate, is_same_release=False)
        for role in roles
    ]


def outcomes(decision: Decision, truth: float) -> dict[str, float]:
    verdicts = [suite.verdict for suite in decision.suites]
    alarms = [part.value for part in decision.slices if part.is_alarm]
    first = decision.suites[0].comparison
    assert first is not None
    return {
        "bias, points": 100 * (first.difference - truth),
        "interval holds the truth": first.interval.low <= truth <= first.interval.high,
        "ships": decision.verdict in SHIPS,
        "worse": decision.verdict == "worse",
        "any suite worse": "worse" in verdicts,
        "any suite better": "better" in verdicts,
        "any alarm": bool(alarms),
        "the slice is named": alarms == ["pl"],
    }


def simulate(task: tuple[int, int, int]) -> dict[str, list[float]]:
    """What came out in a stretch of the runs of one case, by its number and seeds."""
    from tasks.gate.ranking import ranking

    number, first, last = task
    case = CASES[number]
    values: dict[str, list[float]] = {name: [] for name in case.asked}
    for run in range(first, last):
        items, rules = case.draw(np.random.default_rng([number, run]))
        decided = decisions(items, rules)
        outcome = outcomes(decided[0], case.truth) | {
            "any ships": any(one.verdict in SHIPS for one in decided),
            "any worse": any(one.verdict == "worse" for one in decided),
        }
        if "all ranks hold" in values:  # of equal releases: nothing is certain
            ranked = ranking(items, rules, GATE.alpha, GATE.unseen_loss)
            size = len(decided) + 1
            outcome["all ranks hold"] = all((r.low, r.high) == (1, size) for r in ranked)
        for name, seen in values.items():
            seen.append(float(outcome[name]))
    return values


def lines(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    step = max(1, options.runs // 20)
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        for number, case in enumerate(CASES):
            if options.only and case.name not in options.only:
                continue
            stretches = [(number, first, min(options.runs, first + step))
                         for first in range(0, options.runs, step)]  # fmt: skip
            parts = list(pool.imap_unordered(simulate, stretches))
            for name, bound in case.asked.items():
                values = [value for part in parts for value in part[name]]
                error = float(np.std(values)) / math.sqrt(len(values))
                yield {
                    "case": case.name, "about": case.about, "what": name,
                    "measured": float(np.mean(values)), "error": error, "bound": bound,
                    "runs": len(values),
                }  # fmt: skip


def row(line: dict[str, Any]) -> str:
    bound, measured = line["bound"], line["measured"]
    if line["what"].startswith("bias"):
        target, met = f"± {bound:g}", abs(measured) <= bound
    elif bound >= 0:
        target, met = f"≥ {bound:g}", measured >= bound
    else:
        target, met = f"≤ {-bound:g}", measured <= -bound
    return (f"| {line['case']} | {line['about']} | {line['what']} "
            f"| {measured:.4f} ± {line['error']:.4f} | {target} "
            f"| {'yes' if met else 'NO'} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=[], help="names of cases")
    parser.add_argument("--out", type=Path, default=FOLDER / "operating_characteristics.json")
    options = parser.parse_args()
    done = []
    print("| case | | what, share of runs | measured | bound | met |\n|---|---|---|---|---|---|")
    for line in lines(options):
        done.append(line)
        print(row(line), flush=True)
    write({**header(), "lines": done}, options.out, "operating_characteristics")


if __name__ == "__main__":
    main()
