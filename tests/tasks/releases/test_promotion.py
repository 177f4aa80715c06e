"""What may become champion, and what stands against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.model.alias import Alias
from tasks.model.audit import AuditRow, chained
from tasks.model.release import Release
from tasks.model.reuse import PairVerdict
from tasks.releases.promotion import (
    Decision,
    Judged,
    Move,
    Now,
    Override,
    cautions,
    champion_of,
    decide,
    misplaced,
    override_in_force,
    rolled_back,
    waiting,
)
from tasks.settings import parse_settings
from tests.tasks.releases.made import local

T0 = datetime(2026, 11, 30, 8)  # noqa: DTZ001 - as the store keeps it
AT = T0 + timedelta(days=1)
OLD, NEW, THIRD = (local(name, prompt=f"{name}.") for name in ("old", "new", "third"))
OVERRIDE = Override("the old one leaks", date(2026, 12, 31))


def verdict(word: str = "better", *, run_id: str = "run-1", hours: int = 0,
            champion: Release = OLD, challenger: Release = NEW) -> PairVerdict:  # fmt: skip
    at = T0 + timedelta(hours=hours)
    return PairVerdict(run_id, word, champion.digest, challenger.digest, at)


def judged(word: str = "better", champion: Release = OLD, challenger: Release = NEW,
           **of: Any) -> Judged:  # fmt: skip
    told = verdict(word, champion=champion, challenger=challenger, **of)
    return Judged(told, challenger.name, champion, challenger)


def before(**changed: Any) -> Now:
    """Nothing was promoted; flywheel.toml names `old`."""
    values: dict[str, Any] = {
        "aliases": {}, "champion_name": "old", "champion": OLD, "previous": None, "declared": NEW,
        "verdicts": [], "audit": [],
    }  # fmt: skip
    return Now(**{**values, **changed})


def written(*moves: Move | tuple[str, str]) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for n, move in enumerate(moves):
        is_move = isinstance(move, Move)
        rows.append(
            chained(
                rows[-1] if rows else None,
                at=AT + timedelta(minutes=n),
                by="ada",
                action=move.action if is_move else move[0],
                subject=move.champion.release if is_move else move[1],
                details=move.details if is_move else {},
            )
        )
    return rows


def promoted(override: Override | None = None, word: str = "better") -> Move:
    move = decide(judged(word), before(), override, AT).move
    assert move is not None
    return move


def after(move: Move, **changed: Any) -> Now:
    """That move was made."""
    releases = {release.digest: release for release in (OLD, NEW, THIRD)}
    assert move.previous is not None
    values: dict[str, Any] = {
        "aliases": {"champion": move.champion, "previous": move.previous},
        "champion_name": move.champion.release,
        "champion": releases[move.champion.digest],
        "previous": releases[move.previous.digest],
        "declared": THIRD,
        "audit": written(move),
    }
    return before(**{**values, **changed})


def held(decision: Decision) -> list[str]:
    assert decision.move is None
    return [objection.what for objection in decision.objections]


@pytest.mark.parametrize("word", ["better", "no_worse"])
def test_a_verdict_that_ships_moves_both_aliases(word: str):
    move = promoted(word=word)
    assert move.champion == Alias("champion", "new", NEW.digest, "run-1", AT)
    assert move.previous == Alias("previous", "old", OLD.digest, None, AT)
    assert move.details["champion"] == {"release": "new", "digest": NEW.digest}
    assert move.details["previous"] == {"release": "old", "digest": OLD.digest}
    assert (move.details["run_id"], move.details["verdict"]) == ("run-1", word)
    assert "override" not in move.details


@pytest.mark.parametrize("word", ["worse", "cannot_tell", "blocked"])
def test_any_other_verdict_is_held_unless_it_is_overridden(word: str):
    (told,) = held(decide(judged(word), before(), None, AT))
    assert f"the verdict is {word.replace('_', ' ')}" in told
    move = decide(judged(word), before(), OVERRIDE, AT).move
    assert move is not None
    assert move.details["override"] == {
        "reason": "the old one leaks", "expires": "2026-12-31", "against": [told],
    }  # fmt: skip


def test_an_override_that_nothing_needs_is_not_kept():
    assert "override" not in promoted(OVERRIDE).details


def test_a_verdict_about_another_champion_is_held_whatever_is_said():
    now = after(promoted())
    for override in (None, OVERRIDE):
        (told,) = held(decide(judged(challenger=THIRD), now, override, AT))
        assert "about another champion" in told
        assert "'old'" in told
        assert "'new'" in told
    against_new = judged(champion=NEW, challenger=THIRD)
    move = decide(against_new, now, None, AT).move
    assert move is not None
    assert (move.champion.release, move.previous) == (
        "third", Alias("previous", "new", NEW.digest, "run-1", AT)
    )  # fmt: skip


def test_a_release_that_changed_or_went_since_it_was_judged_is_held_whatever_is_said():
    for declared, told in (
        (replace(local("new", prompt="new!"), name="new"), "prompt changed since"),
        (local("new", prompt="new.", model="n"), "model changed since"),
        (None, "declares no release 'new' any more"),
    ):
        for override in (None, OVERRIDE):
            (what,) = held(decide(judged(), before(declared=declared), override, AT))
            assert told in what


def test_the_same_release_on_another_build_is_the_one_that_was_judged():
    build = {"versions": {"torch": "2.14.0"}}
    now = before(champion=local("old", prompt="old.", **build),
                 declared=local("new", prompt="new.", **build))  # fmt: skip
    move = decide(judged(), now, None, AT).move
    assert move is not None
    assert move.champion.digest == NEW.digest


def test_a_later_verdict_on_the_same_two_counts():
    later = [
        verdict("no_worse", run_id="run-2", hours=1),
        verdict("worse", run_id="run-3", hours=2),
    ]
    (told,) = held(decide(judged(), before(verdicts=later), None, AT))
    assert "run-3 judged the same two releases later: worse" in told
    assert decide(judged(), before(verdicts=later), OVERRIDE, AT).move is not None
    mended = [*later, verdict(run_id="run-4", hours=3)]
    assert decide(judged(), before(verdicts=mended), None, AT).move is not None
    others = [verdict("worse", run_id="run-5", hours=9, challenger=THIRD),
              verdict("worse", run_id="run-0", hours=-1)]  # fmt: skip
    assert decide(judged(), before(verdicts=others), None, AT).move is not None


def test_what_is_champion_already_is_not_moved():
    assert decide(judged(), after(promoted()), None, AT) == Decision(None)
    assert decide(judged("worse"), after(promoted()), OVERRIDE, AT) == Decision(None)
    itself = judged("no_worse", champion=OLD, challenger=OLD)
    assert decide(itself, before(), None, AT) == Decision(None)


def test_an_override_is_confirmed_by_a_verdict_or_prolonged():
    now = after(promoted(OVERRIDE, "worse"))
    assert decide(judged("worse"), now, None, AT) == Decision(None)
    confirmed = decide(judged(run_id="run-9"), now, OVERRIDE, AT).move
    assert confirmed is not None
    assert "override" not in confirmed.details
    assert (confirmed.champion.run_id, confirmed.previous) == ("run-9", now.aliases["previous"])
    prolonged = decide(judged("worse"), now, Override("still", date(2027, 1, 31)), AT).move
    assert prolonged is not None
    assert prolonged.details["override"]["expires"] == "2027-01-31"
    about_others = judged(champion=THIRD, run_id="run-9")
    assert decide(about_others, now, None, AT) == Decision(None)


def test_an_override_comes_back_with_its_release():
    first = promoted(OVERRIDE, "worse")
    now = after(first)
    back = rolled_back(now.aliases, AT, "")
    assert override_in_force(written(first, back)) is None
    forth = rolled_back({"champion": back.champion, "previous": back.previous}, AT, "")
    standing = override_in_force(written(first, back, forth))
    assert standing is not None
    assert (standing["reason"], standing["by"]) == ("the old one leaks", "ada")
    assert override_in_force(written(promoted())) is None
    assert override_in_force([]) is None


def test_a_rollback_changes_places_and_back():
    now = after(promoted())
    move = rolled_back(now.aliases, AT, "it leaks")
    assert move.champion == Alias("champion", "old", OLD.digest, None, AT)
    assert move.previous == Alias("previous", "new", NEW.digest, "run-1", AT)
    assert move.details["why"] == "it leaks"
    again = rolled_back({"champion": move.champion, "previous": move.previous}, AT, "")
    assert again.champion.release == "new"
    for aliases in ({}, {"champion": move.champion}):
        with pytest.raises(UsageError, match="no release to go back to"):
            rolled_back(aliases, AT, "")


def test_what_was_rolled_back_is_judged_again_before_it_comes_back():
    first = promoted()
    back = rolled_back({"champion": first.champion, "previous": first.previous}, AT, "it leaks")
    audit = written(first, back)
    now = after(back, declared=NEW, audit=audit)
    (told,) = held(decide(judged(), now, None, AT))
    assert "rolled back after that verdict, by ada" in told
    assert told.endswith("it leaks")
    assert decide(judged(), now, OVERRIDE, AT).move is not None
    later = judged(run_id="run-2", hours=48)
    assert decide(later, now, None, AT).move is not None


def settings(**values: Any) -> Any:
    named = {name: {"model": "m"} for name in ("old", "new")}
    return parse_settings({"champion": "old", "releases": named, **values}, base=".")


def test_champion_is_what_was_promoted_and_before_that_what_is_named():
    aliases = after(promoted()).aliases
    assert champion_of(settings(), {}) == "old"
    assert champion_of(settings(champion=""), {}) == ""
    assert champion_of(settings(), aliases) == "new"
    gone = settings(releases={"newer": {"model": "m"}}, champion="newer")
    with pytest.raises(UsageError) as caught:
        champion_of(gone, aliases)
    line = caught.value.line()
    for told in ("'new' was promoted", "did you mean 'newer'", NEW.digest[:12], "--champion"):
        assert told in line


def test_cautions_name_what_settings_and_store_disagree_on():
    move = promoted(OVERRIDE, "worse")
    now = after(move)
    day = date(2026, 12, 31)

    def told(made: Any, resolved: Release | None, today: date) -> list[str]:
        return list(cautions(made, now.aliases, now.audit, NEW, resolved, today))

    right = settings(champion="new")
    assert told(right, NEW, day) == []
    assert told(right, None, day) == []
    assert told(right, local("new", prompt="new.", versions={"torch": "3"}), day) == []
    assert list(cautions(settings(), {}, [], None, OLD, day)) == []
    (named,) = told(settings(), NEW, day)
    assert "names champion 'old'" in named
    (challenger,) = told(settings(champion="", challenger="new"), NEW, day)
    assert "held against itself" in challenger
    (changed,) = told(right, local("new", prompt="new!"), day)
    assert "changed without promotion: prompt" in changed
    (ended,) = told(right, NEW, day + timedelta(days=1))
    assert "override of ada that ended on 2026-12-31 (the old one leaks)" in ended


def test_whoever_has_not_heard_of_the_last_move_waits():
    everybody = ("mlflow", "webhook")
    assert waiting([], everybody) == []
    first, back = promoted(), rolled_back(after(promoted()).aliases, AT, "")
    told, untold = ("told", "mlflow"), ("untold", "webhook")
    assert waiting(written(first), everybody) == ["mlflow", "webhook"]
    assert waiting(written(first, told, untold), everybody) == ["webhook"]
    assert waiting(written(first, told, untold, ("told", "webhook")), everybody) == []
    assert waiting(written(first, told, back), everybody) == ["mlflow", "webhook"]


def test_aliases_that_nobody_moved_by_a_command_are_told():
    move = promoted()
    now = after(move)
    assert misplaced(now.aliases, now.audit) == ""
    assert misplaced({}, []) == ""
    assert "no row tells of it" in misplaced(now.aliases, [])
    other = {**now.aliases, "champion": replace(move.champion, digest=THIRD.digest)}
    assert "the alias champion is not what row 1" in misplaced(other, now.audit)
    assert "the alias previous" in misplaced({"champion": move.champion}, now.audit)
