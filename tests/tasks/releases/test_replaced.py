from __future__ import annotations

from tasks.model.sample import Asked
from tasks.releases.prompts import AS_LOGGED, PromptSet, Turn
from tasks.releases.replaced import replaced, sentences

BRIEF = (Turn("system", "Be brief."),)
ONE = PromptSet({"default": BRIEF}, "brief.md")


def _asked(*systems: str | None, suite: str = "s", task: str | None = "t") -> list[Asked]:
    return [Asked(suite, task, system) for system in systems]


def test_only_other_system_messages_are_replaced() -> None:
    asked = _asked("Be  brief.\n", None, "Be kind.", "Be kind.")
    (part,) = replaced(ONE, asked)
    assert (part.num_samples, part.num_replaced, part.num_kinds) == (4, 2, 1)
    assert not part.is_doubtful
    assert sentences("new", ONE, asked) == [
        "suite s: the prompt 'default' of release 'new' takes the place of the system message of "
        "2 of 4 samples"
    ]
    assert sentences("new", ONE, _asked("Be brief.", None)) == []


def test_one_prompt_for_several_system_messages_is_doubtful() -> None:
    (told,) = sentences("new", ONE, _asked("Be kind.", "Be rude.", "Be brief."))
    assert "place of 2 different system messages, in 2 of 3 samples" in told
    assert "give each task a prompt of its own" in told


def test_each_task_has_its_own_prompt_and_as_logged_replaces_nothing() -> None:
    prompts = PromptSet({"a": BRIEF, "b": None, "c": (Turn("user", "x"),)}, "prompts")
    asked = [
        *_asked("A", task="a"), *_asked("B", "B2", task="b"), *_asked("C", task="c"),
        *_asked("D", task="d"),
    ]  # fmt: skip
    assert [(part.prompt, part.num_kinds) for part in replaced(prompts, asked)] == [
        ("a", 1), ("c", 1),
    ]  # fmt: skip
    assert list(replaced(AS_LOGGED, asked)) == []
    # of one message, by the prompt that is named for its task: its next version
    assert sentences("new", prompts, asked) == []
    (told,) = sentences("new", prompts, _asked("A", "A2", task="a"))
    assert "place of 2 different system messages" in told
