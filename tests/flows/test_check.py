"""Configuration mistakes are found before the first stage, by every command that needs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.flows.application import Application

#: what would have run before a mistake was met, or takes seconds to import
_HEAVY = ("torch", "great_expectations", "mlflow", "prefect", "pandas", "spacy", "transformers")


def change(application: Application, pattern: str, new: str) -> None:
    path = application.folder / "flywheel.toml"
    text, count = re.subn(pattern, new, path.read_text())
    assert count
    path.write_text(text)


def test_check_tells_all_and_is_quick(application: Application):
    good = application.call("check", "--json")
    assert (good.code, good.json) == (0, {"problems": [], "cautions": [], "success": True})
    assert application.call("check").out == "ok: nothing to fix\n"
    suite = application.folder / "suites" / "route.jsonl"
    before = suite.read_text()
    asked = [{"messages": [{"role": "system", "content": told}, {"role": "user", "content": "x"}],
              "target": "y"} for told in ("A", "B")]  # fmt: skip
    suite.write_text(before + "".join(json.dumps(line) + "\n" for line in asked))
    told = application.call("check")
    assert told.code == 0
    assert "caution: suite route: the prompt" in told.out
    assert "place of 2 different system messages" in told.out
    suite.write_text(before)
    suite.write_text(suite.read_text() + '{"input": "x"}\n{"input": "y", "target": 1, "tsk": 2}\n')
    change(application, 'scorer = "exact_match"', 'scorer = "exact_matsch"')
    change(application, 'model = ".*"', 'model = "./nowhere"')
    answer = application.call("check", "--json")
    assert answer.code == 2
    assert answer.json["success"] is False
    keys = [problem["key"] for problem in answer.json["problems"]]
    assert keys == [
        "suites.route.samples", "suites.route.samples", "suites.route.scorer",
        "releases.champion.model", "releases.challenger.model",
    ]  # fmt: skip
    text = application.call("check")
    assert text.code == 2
    assert f"suites.route.samples: a suite line has no target · received: input in {suite}:13" in (
        text.out
    )
    assert text.out.splitlines()[-1] == "5 to fix"


def test_check_imports_nothing_that_takes_long(application: Application):
    code = (
        "import sys, flows.commands.check as c\n"
        "assert c.check(config=None, as_json=True) == 0\n"
        f"print(sorted({set(_HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=application.folder, env=application.environment(),
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_mistakes_stop_a_command_before_its_first_stage(application: Application):
    change(application, 'scorer = "exact_match"', 'scorer = "exact_matsch"')
    for command in (("run",), ("run", "--inline"), ("eval",)):
        answer = application.here(*command, "--json")
        assert answer.code == 2, answer.err
        assert answer.json["problems"][0]["key"] == "suites.route.scorer"
        assert "suites.route.scorer: unknown scorer 'exact_matsch'" in answer.err
        assert "ingest" not in answer.err
    assert [path.name for path in application.home.iterdir()] == ["mlflow.db"]  # the fixture's
    # what it does not need does not stop it
    assert application.here("ingest", "--json").json["rows_out"] == 24


def test_all_wrong_keys_of_the_settings_are_told(application: Application):
    change(application, "max_tokens = 6", "max_token = 6")
    change(application, 'role = "primary"', 'role = "first"')
    keys = [problem["key"] for problem in application.here("check", "--json").json["problems"]]
    assert sorted(keys) == [
        "releases.challenger.sampling.max_token",
        "releases.champion.sampling.max_token",
        "suites.route.role",
    ]
    change(application, "role = ", "role = = ")
    (problem,) = application.here("check", "--json").json["problems"]
    assert "line" in problem["message"]


def test_doctor_tells_settings_from_stores_by_its_exit_code(application: Application):
    change(application, 'scorer = "exact_match"', 'scorer = "exact_matsch"')
    answer = application.here("doctor", "--json")
    assert answer.code == 2
    wrong = [finding for finding in json.loads(answer.out)["findings"] if finding["ok"] is False]
    assert [finding["subject"] for finding in wrong] == ["suites.route.scorer"]
    assert application.here("doctor", PREFECT_API_URL="http://127.0.0.1:1/api").code == 4
