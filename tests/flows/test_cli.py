"""The command line as a person or a script meets it, in its own process."""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli import app
from flows.commands.init import config_text, settings_markdown
from flows.commands.scorers import scorers_markdown
from tasks.settings import parse_settings
from tests.conftest import REPOSITORY
from tests.flows.application import Application, call_record

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_help_answers_within_a_second():
    """Processor time, so that whoever else is at work on the machine does not count."""
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "flows", "--help"],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 1  # 0.58 on two slow cores


# the command line as it is imported, up to the moment when typer is: then `happens`
AT_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            {happens}

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # whoever started the tests may ignore some
sys.meta_path.insert(0, Finder())
from flows.__main__ import main
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_command_line_is_imported_ends_it_in_one_line(name: str):
    happens = f"os.kill(os.getpid(), signal.{name})"
    done = subprocess.run(
        [sys.executable, "-c", AT_IMPORT.format(happens=happens)],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 128 + signal.Signals[name]
    assert done.stderr.startswith("interrupted · next: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_machine_without_memory_for_the_import_is_told_in_one_line():
    done = subprocess.run(
        [sys.executable, "-c", AT_IMPORT.format(happens="raise MemoryError")],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "MemoryError" in done.stderr


def test_another_package_of_the_name_of_ours_is_told_in_one_line(tmp_path: Path):
    """As where a project has a tasks.py of its own beside the script that is started."""
    (tmp_path / "tasks.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "from flows.__main__ import main; main()"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"},
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert f"tasks: {tmp_path / 'tasks.py'}" in done.stderr
    assert "virtual environment of its own" in done.stderr


def test_help_imports_none_of_the_heavy_libraries():
    code = (
        "import sys, flows.cli\n"
        "heavy = {'torch','duckdb','pandas','mlflow','prefect','great_expectations','pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str):
    text = (REPOSITORY / "docs" / "commands.md").read_text()
    assert f"`flywheel {command}" in text


def test_init_writes_every_key_and_what_it_writes_is_valid(tmp_path: Path):
    text = config_text()
    parse_settings(tomllib.loads(text), base=str(tmp_path))
    spelled_out = re.sub(
        r"^# (\[(suites|guardrails)\.NAME\]|[a-z_]+ = )", r"\1", text, flags=re.MULTILINE
    )
    # what a judge has besides hangs on whether it is a panel
    values = tomllib.loads(spelled_out.partition("# [judges.NAME]")[0])
    settings = parse_settings(values, base=str(tmp_path))
    dumped = settings.model_dump(mode="json", by_alias=True)
    for section in (
        "ingest",
        "validate",
        "redact",
        "drift",
        "curate",
        "evaluate",
        "noise",
        "gate",
        "mlflow",
        "retention",
        "promotion",
    ):
        assert values[section].keys() == dumped[section].keys()
    assert values["releases"]["next"].keys() == dumped["releases"]["next"].keys()
    assert values["suites"]["NAME"].keys() == dumped["suites"]["NAME"].keys()
    assert values["guardrails"]["NAME"].keys() == dumped["guardrails"]["NAME"].keys()


def test_settings_and_scorers_pages_are_what_the_code_declares():
    assert (REPOSITORY / "docs" / "settings.md").read_text() == settings_markdown()
    assert (REPOSITORY / "docs" / "scorers.md").read_text() == scorers_markdown()


def test_init_does_not_replace_a_file_unasked(tmp_path: Path):
    application = Application(tmp_path)
    assert application.here("init").code == 0
    again = application.here("init")
    assert again.code == 2
    assert "exists already" in again.err
    assert application.here("init", "--force").code == 0


@pytest.mark.slow
def test_whole_turn_inline_then_nothing_new(application: Application):
    first = application.call("run", "--inline", "--json")
    result = first.json
    assert first.code in (0, 1), first.err
    assert result["verdict"] in ("better", "no_worse", "worse", "cannot_tell")
    stages = {stage["stage"]: stage for stage in result["stages"]}
    assert list(stages) == [
        "ingest",
        "validate",
        "redact",
        "curate",
        "plan",
        "evaluate",
        "gate",
        "record",
    ]
    assert stages["ingest"]["rows_in"] == 24
    assert Path(result["report"]).is_file()
    assert result["mlflow_run_id"]
    for suite in result["suites"]:
        assert suite["ci_low"] <= suite["difference"] <= suite["ci_high"]

    second = application.call("run", "--inline", "--json").json
    stages = {stage["stage"]: stage for stage in second["stages"]}
    assert stages["ingest"]["rows_in"] == 0
    assert stages["evaluate"]["notes"]["computed"] == 0
    assert second["verdict"] == result["verdict"]
    assert second["suites"] == result["suites"]

    text = application.call("report")
    assert text.code == 0
    assert "flywheel ui" in text.out
    answer = application.call("sql", "select count(*) n from requests", "--json").json
    assert answer == {"columns": ["n"], "rows": [[24]]}


def test_single_stages_print_the_promised_keys(application: Application):
    ingested = application.here("ingest", "--logs", "logs/*.jsonl", "--json").json
    for key in (
        "files",
        "rows_in",
        "rows_out",
        "duplicates",
        "dead_letters",
        "by_format",
        "input_tokens",
        "output_tokens",
    ):
        assert key in ingested
    assert ingested["by_format"] == {"canonical": 24}
    assert ingested["input_tokens"] == 24 * 12
    validated = application.here("validate", "--json").json
    assert validated["rows_in"] == validated["rows_out"] == 24
    assert validated["by_reason"] == {}
    assert validated["success"] is True
    replayed = application.here("replay", "--json").json
    assert replayed["letters"] == replayed["held"] == replayed["rows_in"] == 0
    curated = application.here("curate", "--json").json
    assert curated["num_samples"] > 12


def test_log_files_are_named_with_or_without_the_option(application: Application):
    application.log("more.jsonl", [call_record(n) for n in range(24, 30)])
    answer = application.here("ingest", "logs/calls.jsonl", "--logs", "logs/more.jsonl", "--json")
    assert (answer.json["files"], answer.json["rows_out"]) == (2, 30)


def test_version_is_the_one_installed():
    done = subprocess.run(
        [sys.executable, "-m", "flows", "--version"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"flywheel {version('llm-flywheel')}\n"


def test_a_shell_completes_commands_and_options(tmp_path: Path):
    """The answer to what bash asks after `flywheel ev` and `flywheel run --cha`."""
    code = "import sys, flows.__main__ as it; sys.argv[0] = 'flywheel'; it.main()"
    for line, expected in (("flywheel ev", "eval"), ("flywheel run --cha", "--challenger")):
        environment = {
            "_FLYWHEEL_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        assert expected in done.stdout.split(), done.stderr


BAD_CALLS = {
    "missing log file": (("run", "--inline", "--logs", "none/*.jsonl"), 2, "none"),
    "unknown release": (("run", "--inline", "--challenger", "chalenger"), 2, "challenger"),
    "unknown format": (("ingest", "--logs", "logs", "--format", "xml"), 2, "canonical"),
    "unknown option": (("run", "--fast"), 2, "fast"),
    "settings that are not there": (("run", "--config", "none.toml"), 2, "none.toml"),
    "unknown run": (("report", "nothing"), 2, "no such run"),
    "unknown run to compare": (("drift", "nothing"), 2, "no such run"),
    "no run was compared": (("drift",), 2, "no run compared"),
    "nothing to replay by that name": (("replay", "nonsense"), 2, "nonsense"),
    "query that writes": (("sql", "drop table runs"), 2, "drop table"),
    "query that reads a file": (("sql", "select * from read_text('flywheel.toml')"), 2, "file"),
    "no server to deploy to": (("deploy",), 2, "PREFECT_API_URL"),
}


def test_bad_calls_are_one_clear_line_with_the_right_exit_code(application: Application):
    application.here("ingest", "--logs", "logs/*.jsonl")
    for name, (arguments, code, word) in BAD_CALLS.items():
        answer = application.here(*arguments)
        assert answer.code == code, (name, answer.err)
        assert word in answer.err, name
        assert "Traceback" not in answer.err, name


def test_taken_port_is_one_clear_line(application: Application):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = application.call("ui", "--port", str(port))
    assert answer.code == 4
    assert f"port {port} cannot be used" in answer.err


@pytest.mark.slow
def test_unreadable_settings_and_models_are_one_clear_line(application: Application):
    path = application.folder / "flywheel.toml"
    good = path.read_text()
    for text, word in (
        ("champion = \n", "line 1"),
        (good.replace("max_tokens = 6", "max_token = 6"), "max_tokens"),
        (re.sub(r'model = ".*"', 'model = "nowhere/model.gguf"', good), "nowhere"),
        (good.replace("prompts/one.md", "prompts/none.md"), "none.md"),
        (good.replace("suites/route.jsonl", "suites/none.jsonl"), "none.jsonl"),
    ):
        path.write_text(text)
        answer = application.here("run", "--inline")
        assert answer.code == 2, answer.err
        assert word in answer.err
        assert "Traceback" not in answer.err
    path.write_text(good)
    assert application.here("run", "--inline").code in (0, 1)


def test_error_under_json_is_one_object_too(application: Application):
    answer = application.here("run", "--inline", "--json", "--challenger", "none")
    assert answer.code == 2
    assert json.loads(answer.out)["exit_code"] == 2


def test_store_held_by_another_process_is_named_and_nothing_is_lost(application: Application):
    application.here("ingest", "--logs", "logs/*.jsonl")
    script = (
        "import sys, duckdb\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(application.home / "flywheel.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        answer = application.here("validate")
        assert answer.code == 4
        assert f"held by process {holder.pid}" in answer.err
        # who only reads does not wait
        read = application.here("sql", "select count(*) from landing", "--json")
        assert read.json["rows"] == [[24]]
        holder.communicate("")
    assert application.here("validate", "--json").json["rows_out"] == 24


def test_doctor_says_what_is_there_and_what_is_not(application: Application):
    before = application.here("doctor", "--json").json
    subjects = {finding["subject"]: finding for finding in before["findings"]}
    assert before["healthy"]
    assert subjects["store"]["ok"] is None
    assert subjects["release champion"]["ok"]
    application.here("ingest", "--logs", "logs/*.jsonl")
    text = application.here("doctor")
    assert text.code == 0
    assert "torch" in text.out
    assert "ray" not in subjects
    on_ray = application.here("doctor", "--json", FLYWHEEL_EVALUATE__ON="ray")
    told = {finding["subject"]: finding for finding in on_ray.json["findings"]}["ray"]
    assert told["ok"] == (find_spec("ray") is not None)
    assert ("on this machine: " if told["ok"] else "llm-flywheel[ray]") in told["detail"]
    path = application.folder / "flywheel.toml"
    path.write_text(re.sub(r'model = ".*"', 'model = "./nowhere"', path.read_text()))
    answer = application.here("doctor")
    assert answer.code == 2
    assert "NOT OK" in answer.out


def test_no_message_asks_to_mend():
    """People fix things. Docstrings are for us."""
    for package in ("flows", "tasks", "expectations", "engine"):
        for path in (REPOSITORY / package).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
            for node in nodes:
                if isinstance(node, ast.Constant) and node not in docstrings:
                    assert not re.search(r"\bmend\b", str(node.value)), (path, node.value)
