"""`flywheel release`, `prompt diff` and `export` as they are typed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import flows.moved
from tests.flows.application import Application
from tests.flows.promoting import decide, write_application


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setattr(flows.moved, "_bring_in_line", lambda settings: "")
    return write_application(tmp_path)


def listed(application: Application) -> dict[tuple[str, str], dict[str, str]]:
    found = application.here("release", "list", "--json").json["releases"]
    return {(row["release"], row["state"]): row for row in found}


def test_list_has_what_is_declared_and_what_was_compared(made: Application):
    before = listed(made)
    assert list(before) == [("now", "declared"), ("next", "declared"), ("other", "declared")]
    assert all(row["at"] is None and row["digest"] for row in before.values())
    run_id = decide(made)
    made.here("promote")
    after = listed(made)
    old, new = after["now", "declared"], after["next", "declared"]
    assert (old["alias"], new["alias"]) == ("previous", "champion")
    assert (old["verdict"], new["verdict"], new["run_id"]) == ("", "better", run_id)
    assert new["digest"] == before["next", "declared"]["digest"]
    (made.folder / "next.md").write_text("Changed.")
    changed = listed(made)
    assert changed["next", "changed"]["digest"] != new["digest"]
    assert changed["next", "earlier"]["digest"] == new["digest"]
    assert changed["next", "earlier"]["alias"] == "champion"
    text = made.here("release", "list").out
    for told in (new["digest"][:12], "never run", "better", "caution: release 'next' changed"):
        assert told in text


def test_list_reads_no_model_and_loads_no_torch(made: Application):
    (made.folder / "model").mkdir()
    (made.folder / "model" / "model.safetensors").write_bytes(b"weights, which nobody reads")
    settings = made.folder / "flywheel.toml"
    models = {"own": "./model", "gone": "./nowhere", "hub": "a/b"}
    more = [f'\n[releases.{name}]\nmodel = "{model}"\n' for name, model in models.items()]
    settings.write_text(settings.read_text() + "".join(more))
    code = (
        "import sys, flows.commands.release as r\n"
        "r.list_releases(config=None, as_json=True)\n"
        "print(sorted({'torch', 'mlflow', 'prefect', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made.folder, env=made.environment(), check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    found = listed(made)
    for name in models:
        assert found[name, "declared"]["digest"] == ""
    assert "not known yet" in made.here("release", "list").out


def test_show_tells_all_that_the_digest_fixes(made: Application):
    decide(made)
    made.here("promote")
    told = made.here("release", "show", "next", "--json").json
    assert (told["name"], told["alias"], told["model"]) == ("next", "champion", "gpt")
    assert told["prompts"]["default"][0]["content"] == "You sort tickets for next people."
    assert told["verdicts"][0]["verdict"] == "better"
    text = made.here("release", "show", "next").out
    for word in (told["digest"], "max_tokens 64", "base_url http://127.0.0.1:1/v1",
                 "better, against now", "[system] You sort tickets for next people."):  # fmt: skip
        assert word in text
    # by its digest what it was, whatever is declared by now
    (made.folder / "next.md").write_text("Changed.")
    was = made.here("release", "show", told["digest"][:12], "--json").json
    assert was["prompts"] == told["prompts"]
    assert made.here("release", "show", "next", "--json").json["digest"] != told["digest"]
    unknown = made.here("release", "show", "nxt")
    assert (unknown.code, "did you mean 'next'?" in unknown.err) == (2, True)


def test_diff_says_in_how_many_factors_two_releases_differ(made: Application):
    told = made.here("release", "diff", "now", "next", "--json").json
    assert told["sentence"] == "they differ in one factor: prompt"
    assert {one["factor"]: one["is_same"] for one in told["factors"]} == {
        "model": True, "prompt": False, "sampling": True, "engine": True,
    }  # fmt: skip
    text = made.here("release", "diff", "now", "next").out
    assert "they differ in one factor: prompt" in text
    assert "You sort tickets for [-now -]people." in text
    assert "You sort tickets for {+next +}people." in text
    assert made.here(
        "release", "add", "warm", "--model", "gpt", "--api", "openai", "--base-url",
        "http://127.0.0.1:1/v1", "--prompt", "next.md", "--temperature", "0.7",
    ).code == 0  # fmt: skip
    assert "they differ in 2 factors: prompt, sampling" in made.here(
        "release", "diff", "now", "warm"
    ).out  # fmt: skip
    sampling = made.here("release", "diff", "next", "warm").out
    assert "they differ in one factor: sampling" in sampling
    assert "temperature" in sampling
    assert "they are the same release" in made.here("release", "diff", "now", "now").out


def test_add_writes_a_table_and_leaves_all_else_as_it_was(made: Application):
    path = made.folder / "flywheel.toml"
    before = path.read_bytes()
    said = ("--model", "gpt-5", "--api", "openai", "--base-url", "http://127.0.0.1:1/v1",
            "--prompt", "now.md", "--max-tokens", "9", "--temperature", "0.5")  # fmt: skip
    told = made.here("release", "add", "a.b", *said, "--json")
    assert told.code == 0, told.err
    after = path.read_bytes()
    assert after.startswith(before)
    assert tomllib.loads(after.decode())["releases"]["a.b"] == {
        "model": "gpt-5", "api": "openai", "base_url": "http://127.0.0.1:1/v1",
        "prompt": "now.md", "sampling": {"max_tokens": 9, "temperature": 0.5},
    }  # fmt: skip
    assert after[len(before) + 1 :].decode() == told.json["toml"]
    for arguments, word in (
        (("now", *said), "declared already"),
        (("x y", *said), "cannot have this name"),
        (("x", "--model", "./nowhere"), "does not exist"),
        (("x", *said[:-1], "-1"), "--temperature"),
        (("x", "--model", "gpt", "--base-url", "http://a.example"), "needs `api`"),
        (("x", *said, "--prompt", "none.md"), "none.md"),
    ):
        refused = made.here("release", "add", *arguments)
        assert (refused.code, word in refused.err) == (2, True), refused.err
        assert path.read_bytes() == after
    assert {one.name for one in made.folder.iterdir()} == {
        "flywheel.toml", "now.md", "next.md", "other.md",
    }  # fmt: skip


def test_add_keeps_line_ends_modes_and_files_without_one_at_their_end(made: Application):
    path = made.folder / "flywheel.toml"
    before = b'# caf\xc3\xa9\r\nchampion = "x"\r\n[gate]\r\nmargin = 0.1'
    path.write_bytes(before)
    path.chmod(0o640)
    (made.folder / "prompts").mkdir()
    (made.folder / "prompts" / "default.md").write_text("Hello.")
    below = Application(made.folder / "prompts")
    told = below.here("release", "add", "x", "--model", "gpt", "--api", "openai", "--base-url",
                      "http://127.0.0.1:1/v1", "--prompt", ".")  # fmt: skip
    assert told.code == 0, told.err
    after = path.read_bytes()
    assert after.startswith(before + b"\r\n\r\n[releases.x]\r\n")
    assert after.count(b"\n") == after.count(b"\r\n")
    assert tomllib.loads(after.decode())["releases"]["x"]["prompt"] == "prompts"
    assert path.stat().st_mode & 0o777 == 0o640
    inline = b'releases = { a = { model = "./x" } }\n'
    path.write_bytes(inline)
    refused = made.here("release", "add", "x", "--model", "gpt", "--api", "openai")
    assert (refused.code, "takes no table at its end" in refused.err) == (2, True)
    assert path.read_bytes() == inline


def test_prompts_are_compared_task_by_task(made: Application):
    folder = made.folder / "v2"
    folder.mkdir()
    (folder / "default.md").write_text("You sort tickets for now people.")
    (folder / "mood.toml").write_text(
        '[[messages]]\nrole = "system"\ncontent = "You sort moods for now people."\n'
        '[[messages]]\nrole = "user"\ncontent = "\\u001b[31mhm"\n'
    )
    told = made.here("prompt", "diff", "now", "v2", "--json").json
    assert {task["task"]: task["is_same"] for task in told["tasks"]} == {
        "default": True, "mood": False,
    }  # fmt: skip
    mood = told["tasks"][1]
    assert mood["old"] == "[system] You sort tickets for now people."  # the default answers for it
    assert mood["removed"] == ["tickets "]
    assert mood["added"][0] == "moods "
    text = made.here("prompt", "diff", "now.md", "v2").out
    assert "1 of 2 prompts differ, 1 the same" in text
    assert "You sort [-tickets -]for now people." in text
    assert "\x1b" not in text
    decide(made)
    digest = made.here("release", "show", "now", "--json").json["digest"]
    (made.folder / "now.md").write_text("Anything.")
    by_digest = made.here("prompt", "diff", digest[:10], "now", "--json").json
    assert by_digest["tasks"][0]["old"] == "[system] You sort tickets for now people."
    assert by_digest["tasks"][0]["new"] == "[system] Anything."
    for name in ("none.md", "nobody"):
        assert made.here("prompt", "diff", "now", name).code == 2


def test_the_champion_is_exported_and_nothing_that_was_not_promoted(made: Application):
    def champion() -> str:
        answer = made.here("export", "--format", "litellm")
        assert answer.code == 0, answer.err
        (entry,) = yaml.safe_load(answer.out)["model_list"]
        return str(entry["model_info"]["release"])

    assert champion() == "now"
    decide(made)
    made.here("promote")
    assert champion() == "next"
    assert made.here("export", "--format", "env", "--out", "champion.env").code == 0
    assert "CHAMPION_RELEASE=next\n" in (made.folder / "champion.env").read_text()
    (made.folder / "next.md").write_text("Changed.")
    held = made.here("export", "--format", "litellm", "--out", "other.yaml")
    assert held.code == 1
    assert "is not what was promoted" in held.err
    assert "changed: prompt" in held.err
    assert not (made.folder / "other.yaml").exists()
    made.here("rollback")
    assert champion() == "now"
    for arguments in (("--format", "helm"), ("--format", "vllm")):
        assert made.here("export", *arguments).code == 2
