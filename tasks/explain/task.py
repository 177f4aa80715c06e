"""Explain: where the difference of a decided run comes from, part by part.

Reads a run's turn; writes the releases made of both (each once), their completions and scores,
under their own digests: a second explain computes nothing, and neither do the two releases
themselves. What is asked stands in tasks/explain/drawing.py, which releases in parts.py, how it is
split in shapley.py and estimate.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from tasks.answering import needs
from tasks.answering.compute import compute
from tasks.answering.judging import score_all
from tasks.errors import UsageError
from tasks.explain.drawing import Drawn, draw, is_known
from tasks.explain.estimate import clusters_of, difference_of, split
from tasks.explain.parts import Grid, change, grid
from tasks.explain.sentences import NO_FLIP, SAME_RELEASE, alone, sentences
from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.model.explanation import Cell, Explanation, Interaction, Part, Used
from tasks.model.turn import Turn
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.resolve import ResolvedRelease, resolve_declared
from tasks.run import Run
from tasks.scoring import Instrument, instrument
from tasks.scoring.effective import judged_samples
from tasks.scoring.judged import is_judged
from tasks.scoring.suites import LOGGED_SUITE, gate_rule, suite_instrument
from tasks.settings import ReleaseSettings, Settings
from tasks.store.evals import answers as table
from tasks.store.evals.releases import read_release, save_release

STAGE = "explain"
#: a whole difference smaller than that has no shares: half of the last digit shown
_NOTHING = 0.0005


def explain(run: Run, turn: Turn, names: Mapping[Role, str], suite: str, limit: int) -> Explanation:
    """Split the difference on all gating suites, or on one; at most `limit` samples whose score
    changed and as many others are asked. `turn` is of one challenger; `names`: what both releases
    are declared as. Raises UsageError where the suite is none of the run, and
    where a release or a scorer is not what it was in the run."""
    scorers = _scorers(turn, suite, run.settings)
    made = _grid(run, turn, names)
    items = [item for item in turn.judged
             if item.sample.suite in scorers and item.sample.is_counted]  # fmt: skip
    known = [item for item in items if is_known(item, ROLES)]
    if not known:
        raise UsageError(
            "there is nothing to explain: no sample that counts has a known score of both releases",
            received=", ".join(scorers),
            next="flywheel report, which says what became of the answers",
        )
    gate = gate_rule(run.settings)
    whole = difference_of(known, gate.look_alpha, gate.unseen_loss)
    num_flips = sum(item.is_flip for item in known)
    plain = Explanation(
        run_id=run.run_id,
        champion=made.cells[0].name,
        challenger=made.cells[-1].name,
        suites=tuple(scorers),
        confidence=1 - gate.look_alpha,
        difference=whole,
        estimate=whole,
        parts=(),
        interactions=(),
        cells=(),
        used=Used(num_flips, len(known) - num_flips, num_unknown=len(items) - len(known)),
        num_computed=0,
        num_cached=0,
        sentences=(SAME_RELEASE,),
    )
    declared = [run.settings.release(cell.name) for cell in (made.cells[0], made.cells[-1])]
    if not made.parts:
        return plain
    if len(made.parts) == 1:
        (name,) = made.parts
        part = Part(
            name, *change(name, *declared), whole, None if _is_nothing(whole.value) else 1.0
        )
        return replace(plain, parts=(part,), sentences=alone(name, whole))
    if not num_flips:
        return replace(plain, sentences=(NO_FLIP,))
    drawn = draw(known, limit)
    judged, num_computed, num_cached = _answered(run, turn, made, drawn.samples, scorers)
    counts = replace(
        plain.used, num_flips_drawn=len(drawn.flips), num_others_drawn=len(drawn.others)
    )
    plain = replace(plain, used=counts, num_computed=num_computed, num_cached=num_cached)
    return _split(plain, made, drawn, judged, declared, gate.look_alpha, gate.unseen_loss)


def _scorers(turn: Turn, suite: str, settings: Settings) -> dict[str, Instrument]:
    """Suite → its scorer, of those to explain: a version that is no more cannot judge the rest."""
    judged = {result.rule.name: result for result in turn.verdict.suites}
    if suite and suite not in judged:
        raise UsageError(
            "the run did not judge this suite",
            received=suite,
            allowed=", ".join(judged),
            next="flywheel explain --suite with one of them, or without it",
        )
    chosen = [judged[suite]] if suite else [one for one in judged.values() if one.rule.is_gating]
    scored = [one for one in chosen if not is_judged(one.rule.metric)]
    if chosen and not scored:
        raise UsageError(
            "a suite that a model judges cannot be explained: its answers are judged after all of "
            "them are there",
            received=", ".join(one.rule.name for one in chosen),
            allowed=", ".join(n for n, one in judged.items() if not is_judged(one.rule.metric)),
            next="flywheel explain --suite with one that a scorer scores",
        )
    chosen = scored
    if not chosen:
        raise UsageError(
            "no suite of the run gates",
            allowed=", ".join(judged),
            next="flywheel explain --suite with one of them",
        )
    scorers = {}
    for result in chosen:
        name = result.rule.name
        if name in settings.suites or name == LOGGED_SUITE:
            scorers[name] = suite_instrument(settings, name)
        else:  # no longer declared
            scorers[name] = instrument(result.rule.metric)
        today = scorers[name].version
        if result.num_samples and result.scorer != today:
            raise UsageError(
                f"the suite {name!r} was judged by a scorer that has changed since",
                received=result.scorer,
                allowed=today,
                next="flywheel run, then explain that run",
            )
    return scorers


def _grid(run: Run, turn: Turn, names: Mapping[Role, str]) -> Grid:
    memory = Memory(run.settings.home_path / MEMORY_FILE)
    champion, challenger = (names[role] for role in ROLES)

    def resolve(name: str, declared: ReleaseSettings) -> ResolvedRelease:
        return resolve_declared(name, declared, run.settings, memory)

    made = grid(
        (champion, run.settings.release(champion)),
        (challenger, run.settings.release(challenger)),
        resolve,
    )
    for role, now in zip(ROLES, (made.cells[0], made.cells[-1]), strict=True):
        then, today = turn.releases[role], now.record()
        if then.digest != today.digest:
            parts = ("model_digest", "prompt_digest", "sampling", "engine")
            changed = [part for part in parts if getattr(then, part) != getattr(today, part)]
            raise UsageError(
                f"the release {now.name!r} is not what it was in the run",
                received="changed since: "
                + ", ".join(part.removesuffix("_digest") for part in changed),
                next="flywheel run, then explain that run",
            )
    return made


def _answered(
    run: Run,
    turn: Turn,
    made: Grid,
    drawn: Sequence[JudgedSample],
    scorers: Mapping[str, Instrument],
) -> tuple[tuple[JudgedSample, ...], int, int]:
    """The samples with the answers of every cell, the cell's digest in the place of a role; how
    many completions were computed for it, and how many were there."""
    samples = [item.sample for item in drawn]
    wanted = needs.needs(made.between, samples, run.seeds)
    between = [release.digest for release in made.between]
    eval_set = turn.eval_set.digest
    with run.open_store() as store, store.transaction():
        known = table.completed_keys(store, eval_set, between, run.seeds)
        for release in made.between:
            # one that is there may be declared: it keeps its name
            if read_release(store, release.digest) is None:
                save_release(store, release.record(), run.clock())
    missing = needs.missing(wanted, known)
    work = compute(run, STAGE, missing)
    score_all(run, STAGE, eval_set, wanted, run.seeds, scorers, work)
    with run.open_store() as store:
        stored = {
            release.digest: table.read_answers(store, eval_set, release.digest, run.seeds)
            for release in made.cells
        }
    versions = {suite: scorer.version for suite, scorer in scorers.items()}
    judged = judged_samples(samples, stored, run.seeds, versions)
    return judged, len(missing), len(wanted) - len(missing)


def _split(
    plain: Explanation,
    made: Grid,
    drawn: Drawn,
    judged: Sequence[JudgedSample],
    declared: Sequence[ReleaseSettings],
    alpha: float,
    unseen_loss: float,
) -> Explanation:
    is_kept = np.array([is_known(item, item.answers) for item in judged], dtype=np.bool_)
    kept = [item for item, stays in zip(judged, is_kept, strict=True) if stays]
    if not kept:
        raise UsageError(
            "there is nothing to explain: no sample has a known answer of every combination",
            received=f"{len(judged)} samples",
            next="flywheel explain once more: what failed for the moment is asked again",
        )
    scores = np.array(
        [[item.score(cell.digest) for cell in made.cells] for item in kept], dtype=np.float64
    )
    found = split(scores, clusters_of(kept), drawn.weights(is_kept), alpha, unseen_loss)
    whole = found.difference
    parts = tuple(
        Part(
            name,
            *change(name, declared[0], declared[1]),
            amount,
            None if _is_nothing(whole.value) else amount.value / whole.value,
        )
        for name, amount in zip(made.parts, found.parts, strict=True)
    )
    interactions = tuple(
        Interaction(both, amount)
        for both, amount in zip(combinations(made.parts, 2), found.interactions, strict=True)
    )
    return replace(
        plain,
        estimate=whole,
        parts=parts,
        interactions=interactions,
        cells=tuple(
            Cell(made.names(number), cell.digest, found.means[number])
            for number, cell in enumerate(made.cells)
        ),
        used=replace(plain.used, num_lost=len(judged) - len(kept)),
        sentences=sentences(parts, interactions, whole),
    )


def _is_nothing(difference: float) -> bool:
    return abs(difference) < _NOTHING
