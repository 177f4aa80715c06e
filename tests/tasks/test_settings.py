from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError, UsageError
from tasks.settings import parse_settings, read_settings


def refused(values: dict[str, object]) -> str:
    with pytest.raises(UsageError) as caught:
        parse_settings(values, base=".")
    return caught.value.line()


@pytest.mark.parametrize(
    ("values", "nearest"),
    [
        ({"gaet": {}}, "'gate'"),
        ({"gate": {"margni": 0.1}}, "'margin'"),
        ({"releases": {"a": {"modl": "x"}}}, "'model'"),
        ({"releases": {"a": {"model": "x", "sampling": {"temprature": 1}}}}, "'temperature'"),
        ({"suites": {"route": {"scorrer": "x"}}}, "'scorer'"),
        ({"validate": {"max_clock_skew": 1.0}}, "'max_clock_skew_s'"),
    ],
)
def test_unknown_key_names_the_nearest_known_one(values, nearest):
    assert f"did you mean {nearest}" in refused(values)


@pytest.mark.parametrize(
    "values",
    [
        {"gate": {"margin": "wide"}},
        {"gate": {"alpha": 0.7}},
        {"curate": {"max_samples": 0}},
        {"releases": {"a": {}}},
        {"releases": "champion"},
        {"champion": 3},
        {"base": "/tmp"},
        {"guardrails": {"length": {"margin": 0.1}}},
        {"guardrails": {"length": {"measure": "perplexity"}}},
        {"guardrails": {"length": {"measure": "cost", "margin": 0.0}}},
    ],
)
def test_value_of_the_wrong_kind_is_one_line(values):
    line = refused(values)
    assert "\n" not in line
    assert "flywheel.toml" in line


def test_malformed_file_names_the_line(tmp_path: Path):
    path = tmp_path / "flywheel.toml"
    path.write_text("champion = 'a'\nchallenger = \n")
    with pytest.raises(UsageError, match="line 2"):
        read_settings(str(path), {})


def test_file_in_another_encoding_is_refused(tmp_path: Path):
    path = tmp_path / "flywheel.toml"
    path.write_bytes("champion = 'é'".encode("latin-1"))
    with pytest.raises(UsageError, match="not valid TOML"):
        read_settings(str(path), {})


def test_named_file_that_is_missing_is_an_error(tmp_path: Path):
    with pytest.raises(UsageError, match="does not exist"):
        read_settings(str(tmp_path / "none.toml"), {})


def test_nearest_file_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "flywheel.toml").write_text("champion = 'found'")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    settings = read_settings(None, {})
    assert settings.champion == "found"
    assert settings.home_path == tmp_path / ".flywheel"


def test_environment_overrides_any_value(tmp_path: Path):
    path = tmp_path / "flywheel.toml"
    path.write_text("[gate]\nmargin = 0.1\n[releases.a]\nmodel = 'x'\n")
    environ = {
        "FLYWHEEL_GATE__MARGIN": "0.02",
        "FLYWHEEL_CHAMPION": "a",
        "FLYWHEEL_LOGS": '["one", "two"]',
        "FLYWHEEL_VALIDATE__DATA_DOCS": "false",
        "FLYWHEEL_RELEASES__A__MODEL": "folder/7b",
        "FLYWHEEL_HOME": "elsewhere",
        "OTHER": "1",
    }
    settings = read_settings(str(path), environ)
    assert settings.gate.margin == 0.02
    assert settings.champion == "a"
    assert settings.logs == ("one", "two")
    assert settings.validation.data_docs is False
    assert settings.releases["a"].model == "folder/7b"


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [("FLYWHEEL_GATE__MARGN", "margin"), ("FLYWHEEL_CHALENGER", "challenger")],
)
def test_misspelt_environment_variable_is_an_error(tmp_path: Path, variable: str, nearest: str):
    path = tmp_path / "flywheel.toml"
    path.write_text("")
    with pytest.raises(UsageError, match=f"did you mean {nearest!r}"):
        read_settings(str(path), {variable: "0.02"})


def test_digest_changes_with_a_value_and_not_with_the_folder():
    one = parse_settings({"gate": {"margin": 0.1}}, base="/a")
    same = parse_settings({"gate": {"margin": 0.1}}, base="/b")
    other = parse_settings({"gate": {"margin": 0.2}}, base="/a")
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_unknown_release_names_those_there_are():
    settings = parse_settings({"releases": {"support-v1": {"model": "x"}}}, base=".")
    with pytest.raises(UsageError, match="did you mean 'support-v1'"):
        settings.release("support-v2")


def test_suite_margin_stands_before_the_common_one():
    settings = parse_settings({"suites": {"a": {"margin": 0.01}, "b": {}}}, base=".")
    assert settings.margin("a") == 0.01
    assert settings.margin("b") == settings.margin("logged") == 0.05


def test_a_challenger_is_a_name_or_a_list_of_names(tmp_path):
    def challengers(value):
        return parse_settings({"challenger": value}, base=str(tmp_path)).challengers

    assert (challengers("a"), challengers(["a", "b"])) == (("a",), ("a", "b"))
    assert (challengers(""), challengers([])) == ((), ())
    for wrong in (3, ["a", 3]):
        with pytest.raises(ConfigurationError, match=r"challenger in .*: .*or a list") as refused:
            challengers(wrong)
        assert [problem.key for problem in refused.value.problems] == ["challenger"]
    said = {"FLYWHEEL_CHALLENGER": '["a", "b"]'}
    assert read_settings(None, said).challengers == ("a", "b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("logs = " + "[" * 100_000 + "]" * 100_000, "too deep"),
        ("x = " + "{a = " * 100_000 + "1" + "}" * 100_000, "too deep"),
        (".".join(["a"] * 100_000) + " = 1", "more than 100 parts"),
        ("[" + ".".join(["'a'"] * 100_000) + "]", "more than 100 parts"),
    ],
)
def test_toml_of_any_depth_is_refused_in_one_line(tmp_path: Path, text: str, why: str):
    path = tmp_path / "flywheel.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        read_settings(str(path), environ={})
    assert len(caught.value.line()) < 1000
    with pytest.raises(UsageError):
        read_settings(str(path), environ={"FLYWHEEL_LOGS": text.partition(" = ")[2]})


@pytest.mark.parametrize(
    "keys",
    [
        {"base_url": "https://user:SECRET@host/v1"},
        {"base_url": "https://host/v1?key=SECRET"},
        {"base_url": "https://host/v1#SECRET"},
        {"base_url": "SECRET"},
        {"base_url": "https://host:99999/SECRET"},
        {"base_url": "https://ho st/SECRET"},
        {"api_key_env": "sk-SECRET"},
        {"api_key_env": "aizaSECRET"},
        {"api_key": "SECRET"},
        {"api": "", "api_key_env": "A_SECRET"},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_shown(keys: dict[str, str]):
    assert "SECRET" not in refused({"releases": {"a": {"model": "m", "api": "openai", **keys}}})


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"api": "openai", "engine": {"device": "cpu"}}, "`engine` has no meaning"),
        ({"base_url": "https://host"}, "`base_url` needs `api`"),
        ({"omit": ["seed"]}, "`omit` needs `api`"),
        ({"api": "gemini", "endpoint": "responses"}, "`endpoint` needs api = 'openai'"),
        ({"api": "opnai"}, "'openai'"),
        ({"api": "openai", "body": {"stream": False}}, "`stream` is not a parameter to set"),
        ({"api": "openai", "body": {"a": [float("nan")]}}, "what json has not"),
        ({"api": "openai", "body": {"a": date(2026, 1, 1)}}, "what json has not"),
    ],
)
def test_keys_of_an_api_and_of_the_engine_do_not_meet(keys: dict[str, object], says: str):
    assert says in refused({"releases": {"a": {"model": "m", **keys}}})


def test_a_run_is_the_same_under_another_budget_and_other_limits():
    def digest(**release: object) -> str:
        values = {"model": "m", "api": "openai", **release}
        budget = {"max_requests": len(release)}
        return parse_settings(
            {"releases": {"a": values}, "evaluate": {"budget": budget}}, base="."
        ).digest

    assert digest() == digest(requests={"timeout_s": 3.0}, api_key_env="KEY")
    assert digest() != digest(endpoint="responses")


def test_where_logs_are_read_changes_no_digest():
    here = parse_settings({}, base="")
    there = parse_settings({"ingest": {"on": "ray://h:1", "max_workers": 3}}, base="")
    assert here.digest == there.digest
    assert (there.rows_run.on, there.rows_run.max_actors, here.rows_run.is_here) == (
        "ray://h:1", 3, True,
    )  # fmt: skip
    assert (there.placed("ray").ingest.on, here.placed("ray").evaluate.on) == ("ray", "ray")
    for wrong in ("cluster", "ray://user@host:1"):
        with pytest.raises(UsageError, match=r"here, ray, or the address"):
            parse_settings({"ingest": {"on": wrong}}, base="")


def test_where_engines_answer_changes_no_digest():
    def settings(**evaluate: object):
        return parse_settings({"evaluate": evaluate}, base="")

    here, there = settings(), settings(on="ray://10.0.0.5:10001", cores_per_actor=1, max_actors=2)
    assert here.digest == there.digest == here.placed("ray").digest
    assert (here.placed("ray").evaluate.on, there.placed("here").evaluate.on) == ("ray", "here")
    for wrong in ("cluster", "ray://", "ray://user@host:1", "ray://host", "http://host:1", ""):
        with pytest.raises(UsageError, match=r"here, ray, or the address"):
            settings(on=wrong)
        with pytest.raises(UsageError, match=r"here, ray, or the address"):
            here.placed(wrong)


def test_what_a_suite_is_for_changes_no_digest():
    def digest(**suite: object) -> str:
        return parse_settings({"suites": {"order": suite}}, base="").digest

    assert digest() == digest(purpose="orders are found", review_by=date(2027, 1, 1))
    assert digest() != digest(owner="support")
    with pytest.raises(UsageError, match="review_by"):
        digest(review_by="soon")
