"""What can be known before a run is known before it: every problem, by its key, at once."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigurationError
from tasks.model.run import RunRequest
from tasks.preflight import find_problems, require
from tasks.settings import Settings, parse_settings

_TURN = ("ingest", "validate", "redact", "curate", "evaluate", "gate", "record")
_GOOD_LINE = {"input": "where is my order?", "target": "order"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An application in which nothing is wrong."""
    for name in ("model", "suites", "prompts", "logs", "expectations"):
        (tmp_path / name).mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    (tmp_path / "prompts" / "one.md").write_text("Name the queue.")
    (tmp_path / "suites" / "order.jsonl").write_text(json.dumps(_GOOD_LINE) + "\n")
    (tmp_path / "logs" / "a.jsonl").write_text("{}\n")
    return tmp_path


def settings_of(folder: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "logs": ["logs/*.jsonl"],
        "champion": "now",
        "challenger": "next",
        "releases": {
            "now": {"model": "model", "prompt": "prompts/one.md"},
            "next": {"model": "model"},
        },
        "suites": {"order": {"samples": "suites/order.jsonl", "scorer": "exact_match"}},
        **changes,
    }
    return parse_settings(values, base=str(folder))


def problems(settings: Settings, *stages: str, every_release: bool = False) -> dict[str, str]:
    request = RunRequest(
        logs=tuple(str(settings.path(pattern)) for pattern in settings.logs),
        champion=settings.champion,
        challengers=settings.challengers,
        stages=stages or _TURN,
    )
    problems_found = find_problems(settings, request, every_release=every_release)
    assert len({problem.key for problem in problems_found}) == len(problems_found), (
        "keys in this test are distinct"
    )
    return {problem.key: problem.message for problem in problems_found}


def test_nothing_wrong_is_no_problem(folder: Path):
    assert problems(settings_of(folder), every_release=True) == {}


def test_every_problem_is_told_at_once_by_its_key(folder: Path):
    (folder / "expectations" / "own.toml").write_text('suite = "calls"\n[[rules]]\nid = "a"\n')
    wrong = settings_of(
        folder,
        logs=["none/*.jsonl"],
        challenger="nxt",
        redact={"kinds": ["secrets"]},
        mlflow={"tracking_uri": "file:///runs"},
        releases={
            "now": {"model": "gone/model.gguf", "prompt": "prompts/none.md"},
            "next": {"model": "logs"},
        },
        suites={
            "order": {"samples": "suites/none.jsonl", "scorer": "exact_mach"},
            "mood": {"scorer": "numerical"},
        },
    )
    messages = problems(wrong, every_release=True)
    parts = {
        "logs": "no log file matches",
        "validate.rules": "own.toml",
        "redact.kinds": "did you mean 'secret'",
        "suites.order.samples": "cannot be read",
        "suites.order.scorer": "did you mean 'exact_match'",
        "suites.mood.scorer": "did you mean 'numeric'",
        "challenger": "did you mean 'next'",
        "releases.now.model": "does not exist",
        "releases.now.prompt": "does not exist",
        "releases.next.model": "holds no weights",
        "mlflow.tracking_uri": "of a kind that cannot be used",
    }
    assert list(messages) == list(parts)
    for key, part in parts.items():
        assert part in messages[key]
    # a key is written as in the file, never by the name of a section that nobody has
    assert "[suites" not in "".join(messages.values())


def test_every_wrong_line_of_a_suite_is_told_with_its_place(folder: Path):
    path = folder / "suites" / "order.jsonl"
    lines = ['{"input": "a", "taget": "b"}', json.dumps(_GOOD_LINE), "{cut", '{"input": "c"}',
             json.dumps(_GOOD_LINE)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    request = RunRequest(champion="now", challengers=("now",), stages=("curate",))
    problems_found = find_problems(settings_of(folder), request, every_release=False)
    assert {problem.key for problem in problems_found} == {"suites.order.samples"}
    messages = [problem.message for problem in problems_found]
    for number, part in ((1, "did you mean 'target'"), (3, "not JSON"), (4, "no target"),
                         (5, "line 5 repeats line 2")):  # fmt: skip
        assert sum(f"{path}:{number}" in line and part in line for line in messages) == 1, messages
    assert len(messages) == 4


def test_a_prompt_folder_without_a_prompt_for_a_task_of_a_suite(folder: Path):
    (folder / "prompts" / "folder").mkdir()
    (folder / "prompts" / "folder" / "mood.md").write_text("Name the mood.")
    releases = {"now": {"model": "model", "prompt": "prompts/folder"}, "next": {"model": "model"}}
    messages = problems(settings_of(folder, releases=releases))
    assert list(messages) == ["releases.now.prompt"]
    assert "no prompt for the task 'order' of suite 'order'" in messages["releases.now.prompt"]


def test_logged_answers_that_shall_gate_are_told_before_anything(folder: Path):
    wrong = settings_of(folder, suites={"logged": {"role": "primary"}})
    assert set(problems(wrong, "curate")) == {"suites.logged.role"}


def test_a_guardrail_that_cannot_be_judged_is_told_before_anything(folder: Path):
    guardrails = {
        "length": {"measure": "output_tokens"},
        "money": {"measure": "cost"},
        "typo": {"measure": "input_tokens", "suites": ["ordre"]},
    }
    known = {"input": 1, "output": 2.5}
    told = problems(settings_of(folder, guardrails=guardrails))
    assert told.keys() == {"guardrails.money", "guardrails.typo"}
    assert "what release 'now' costs is not known" in told["guardrails.money"]
    assert "did you mean 'order'" in told["guardrails.typo"]

    def priced(**of_next: Any) -> dict[str, str]:
        releases = {
            "now": {"model": "model", "price": known},
            "next": {"model": "model", "price": {**known, **of_next}},
        }
        money = {"money": guardrails["money"]}
        return problems(settings_of(folder, releases=releases, guardrails=money))

    assert priced() == {}
    assert priced(input=0.0, output=0.0).keys() == {"guardrails.money"}
    assert "two currencies" in priced(currency="EUR")["guardrails.money"]


def test_what_a_judge_cannot_do_is_told_before_anything(folder: Path):
    judge = {"release": "now", "rubric": "Be right.", "kind": "pairwise"}
    releases = {name: {"model": "model"} for name in ("now", "next", "other")}
    releases["other"] = {"model": "model", "sampling": {"temperature": 1.0}}  # type: ignore[dict-item]
    values: dict[str, Any] = {
        "releases": releases,
        "suites": {"order": {"samples": "suites/order.jsonl", "scorer": {"judge": "fair"}}},
        "judges": {"fair": judge, "crowd": {"panel": ["fair", "fiar"], "kind": "pairwise"}},
    }
    told = problems(settings_of(folder, **values), every_release=True)
    assert told.keys() == {"judges.crowd"}
    assert "'fiar' of the panel 'crowd' is not declared" in told["judges.crowd"]
    assert problems(settings_of(folder, **values)) == {}
    many = problems(settings_of(folder, **values, challenger=["next", "other"]))
    assert "compares two releases" in many["challenger"]
    early = problems(settings_of(folder, **values, evaluate={"stop_when_decided": True}))
    assert "asked after all answers are there" in early["evaluate.stop_when_decided"]
    for scorer, message in (
        ({"judge": "fiar"}, "did you mean 'fair'"),
        ({"judge": "fair", "scale": 5}, "has no parameter 'scale'"),
        ({"judge": 3}, "does not declare"),
    ):
        suites = {"order": {"samples": "suites/order.jsonl", "scorer": scorer}}
        wrong = problems(settings_of(folder, **{**values, "suites": suites}))
        assert message in wrong["suites.order.scorer"]


def test_only_what_the_stages_need_is_asked_for(folder: Path):
    (folder / "suites" / "order.jsonl").unlink()
    (folder / "expectations" / "own.toml").write_text("[[")
    wrong = settings_of(
        folder,
        releases={"now": {"model": "gone.gguf"}, "next": {"model": "model"}, "x": {"model": "no"}},
        suites={"order": {"samples": "suites/order.jsonl", "scorer": "none"}},
        redact={"kinds": ["none"]},
    )
    assert set(problems(wrong, "ingest")) == set()
    assert set(problems(wrong, "validate")) == {"validate.rules"}
    assert set(problems(wrong, "redact")) == {"redact.kinds"}
    assert set(problems(wrong, "curate")) == {"validate.rules", "suites.order.samples"}
    assert set(problems(wrong, "gate")) == {"suites.order.scorer"}
    # the model of a release that nobody asked for is of no concern, unless all are looked at
    assert "releases.now.model" in problems(wrong, "evaluate")
    assert "releases.x.model" not in problems(wrong, "evaluate")
    assert "releases.x.model" in problems(wrong, "evaluate", every_release=True)


def test_a_hub_id_is_not_looked_up(folder: Path):
    releases = {"now": {"model": "owner/name"}, "next": {"model": "model"}}
    assert problems(settings_of(folder, releases=releases)) == {}


def test_actors_without_ray_are_told_with_what_to_install(folder: Path):
    is_installed = find_spec("ray") is not None
    found = problems(settings_of(folder, evaluate={"on": "ray"}), *_TURN)
    assert list(found) == ([] if is_installed else ["evaluate.on"])
    assert is_installed or "pip install 'llm-flywheel[ray]'" in found["evaluate.on"]
    assert problems(settings_of(folder, evaluate={"on": "ray"}), "ingest") == {}
    read = problems(settings_of(folder, ingest={"on": "ray"}), "ingest", "redact")
    assert is_installed or "pip install 'llm-flywheel[ray]'" in read["ingest.on"]


def test_no_release_and_none_named_are_told(folder: Path):
    assert list(problems(settings_of(folder, releases={}, champion="", challenger=""))) == [
        "releases"
    ]
    unnamed = settings_of(folder, champion="", challenger="")
    assert list(problems(unnamed)) == ["champion"]
    assert problems(unnamed, every_release=True) == {}


def test_several_challengers_are_different_releases_with_a_champion(folder: Path):
    releases = {name: {"model": "model", "prompt": "prompts/one.md"} for name in ("now", "twin")}
    releases |= {"next": {"model": "model"}, "later": {"model": "model", "sampling": {"top_k": 3}}}

    def told(*challengers: str, champion: str = "now") -> dict[str, str]:
        return problems(settings_of(
            folder, releases=releases, champion=champion, challenger=challengers
        ))  # fmt: skip

    assert told("next", "later") == {}
    assert told("now", "next") == {}, "against itself, as a single one may be"
    assert "challenger 'next' is named twice" in told("next", "later", "next")["challenger"]
    assert "'now' is the same release as 'twin'" in told("now", "twin")["challenger"]
    assert "none is named" in told("next", "later", champion="")["champion"]
    assert "did you mean 'later'" in told("next", "latr")["challenger"]


def test_the_line_of_the_error_tells_the_first_and_how_many_there_are(folder: Path):
    suites = {"order": {"scorer": "none"}, "mood": {"scorer": "neither"}}
    request = RunRequest(champion="now", challengers=("next",), stages=("gate",))
    with pytest.raises(ConfigurationError) as refused:
        require(settings_of(folder, suites=suites), request)
    line = refused.value.line()
    assert line.startswith("suites.order.scorer: unknown scorer 'none'")
    assert line.endswith("next: flywheel check, which tells all 2 problems")
    assert refused.value.exit_code == 2
    assert [problem.key for problem in refused.value.problems] == [
        "suites.order.scorer", "suites.mood.scorer",
    ]  # fmt: skip


def _hosted(**keys: Any) -> dict[str, Any]:
    return {"model": "big", "api": "openai", "api_key_env": "THE_KEY", **keys}


@pytest.mark.parametrize(
    ("release", "budget", "key", "says"),
    [
        ({}, {}, "api", "the environment variable THE_KEY of release 'now' is not set"),
        ({"api_key_env": ""}, {}, "api", "names no variable with a key"),
        ({"api_key_env": "ODD_KEY"}, {}, "api", "holds characters that no key has"),
        (
            {"api_key_env": "SET_KEY", "endpoint": "responses", "sampling": {"stop": ["x"]}},
            {}, "api", "sampling.stop of release 'now' has no name in this API",
        ),
        ({"api_key_env": "SET_KEY"}, {"max_cost": 1.0}, "price", "needs the price"),
        ({"api_key_env": "SET_KEY", "prompt": "none.md"}, {}, "prompt", "does not exist"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_hosted_release_is_told_without_a_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch, release: Any, budget: Any, key: str, says: str
) -> None:
    monkeypatch.delenv("THE_KEY", raising=False)
    monkeypatch.setenv("SET_KEY", "sk-1")
    monkeypatch.setenv("ODD_KEY", "kéy\n")
    releases = {"now": _hosted(**release), "next": {"model": "model"}}
    told = problems(settings_of(folder, releases=releases, evaluate={"budget": budget}))
    assert list(told) == [f"releases.now.{key}"]
    assert says in told[f"releases.now.{key}"]


def test_hosted_releases_that_can_be_asked_have_no_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-1")
    price = {"input": 1.0, "output": 2.0}
    releases = {
        "now": _hosted(price=price),
        "next": _hosted(base_url="http://127.0.0.1:1/v1", api_key_env="", price=price),
    }
    budget = {"evaluate": {"budget": {"max_cost": 1.0}}}
    assert problems(settings_of(folder, releases=releases, **budget)) == {}
    releases["next"]["price"] = {**price, "currency": "EUR"}
    told = problems(settings_of(folder, releases=releases, **budget))
    assert list(told) == ["evaluate.budget.max_cost"]


def test_a_key_that_no_receipt_can_be_signed_with_is_told_before_the_run(folder: Path):
    for name, content in (("absent.pem", None), ("other.pem", b"no key")):
        if content is not None:
            (folder / name).write_bytes(content)
        found = problems(settings_of(folder, receipts={"key_file": name}))
        assert list(found) == ["receipts.key_file"]
    assert not (folder / ".flywheel").exists()
