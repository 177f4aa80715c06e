"""The pages told true: what they show as typed is typed, what they show as read is read."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from typer.main import get_command

from engine.__main__ import _parser as engine_parser
from expectations import contracts
from expectations.contracts import TableContract
from flows.cli import app
from tasks.curate.modes import GENERATE, Mode
from tasks.curate.suites import parse_suite
from tasks.errors import FlywheelError
from tasks.judges.labels import read_labels
from tasks.logs.formats import canonical
from tasks.logs.shapes.records import Dead
from tasks.rules import in_force
from tasks.scoring.registry import KINDS
from tasks.scoring.suites import also_instruments, suite_instrument
from tasks.settings import Settings, read_settings
from tests.conftest import REPOSITORY
from tests.documented import write_documented
from tests.flows.application import Application
from tests.markdown import Block, Page, commands, json_values, written_out

PAGES = [
    Page(path, str(path.relative_to(REPOSITORY)))
    for path in [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")),
        *sorted((REPOSITORY / "docs").glob("*.md")),
    ]
]
#: others that link to the pages and are linked by them
LINKED = [*PAGES, *(
    Page(REPOSITORY / name, name)
    for name in ("CHANGELOG.md", "benchmarks/README.md", "data/README.md",
                 "tests/conformance/README.md", "tasks/privacy/rules/README.md")
)]  # fmt: skip
COMMANDS = get_command(app)
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
OURS = ("flows", "tasks", "engine", "expectations", "benchmarks", "data", "tests", "docs")

#: pages whose commands are typed by a test of their own
TYPED_ELSEWHERE = {
    "docs/first-verdict.md": "tests/flows/test_first_verdict.py",
    "docs/kubernetes.md": "tests/deploy, as far as there is no cluster here",
    "docs/scale.md": "tests/flows/test_shared_turn.py",
}
#: pages made from the code, whose examples are run by a test of their own
MADE = {"docs/scorers.md": "tests/tasks/scoring/test_instrument.py"}
#: commands that are not run here, and why; ours are held to the parser all the same
NOT_RUN = {
    "$EDITOR flywheel.toml": "an editor is anybody's",
    "flywheel run --challenger A --challenger B": "a second turn (tests/flows/test_many.py)",
    "flywheel review": "takes keys of a terminal (tests/flows/test_review.py)",
    "flywheel review --web": "serves a page until it is stopped (tests/flows/test_review.py)",
    "python -m engine.integrations.lm_eval run --model engine --model_args model=model.gguf "
    "--device auto --tasks arc_easy": "lm-eval fetches its task",
}
#: exit codes that the pages promise where it is not 0 alone (docs/commands.md#exit-codes)
PROMISED = {
    "run": {0, 1}, "judge-runs": {0, 1}, "judge": {1}, "suite leaks": {1},
    "promote": {0, 1}, "rollback": {0, 2},  # as the verdict is, and whether anything was promoted
}  # fmt: skip
#: commands that have commands
GROUPS = ("suite", "release", "prompt", "audit", "store")
#: options of other programs that the pages speak of
OF_OTHERS = {
    "--log_samples": "lm-eval", "--enable-log-requests": "vLLM", "--enable-log-outputs": "vLLM",
    "--max-log-len": "vLLM", "--log-requests": "SGLang", "--log-requests-level": "SGLang",
    "--log-requests-format": "SGLang", "--json-output": "TGI", "--secret": "docker",
}  # fmt: skip
#: calls in Python that are not run, and why
NOT_CALLED = {
    "lm_eval.simple_evaluate": "lm-eval fetches its task",
    "Envelope.from_dict": "of a receipt elsewhere (tests/tasks/receipts/test_receipt.py)",
}
#: blocks that are shown and neither typed nor read, by how they begin, and what they are
SHOWN = {
    "stage      rows in": "the end of a run",
    "flows/ ": "a tree of folders",
    "message,mood": "a table to import (TYPED_ELSEWHERE)",
    "rid,kind": "a table with a mapping (tests/tasks/logs/formats/test_mappings.py)",
    "caution: suite route": "what check says",
    "not read ": "what ingest says of files of others",
    "worse: the challenger loses": "reasons of a verdict",
    "suites.": "what check says of a suite",
}

#: the first line of a block that is a file of this name
NAMED = r"# (\S+\.\w+)\n"


def _of_kind(kind: str) -> list[Block]:
    return [
        block
        for page in PAGES
        if page.name not in TYPED_ELSEWHERE or kind != "shell"
        for block in page.blocks()
        if block.kind == kind
    ]


def _told(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_block_is_of_a_kind_that_is_read():
    unknown = [
        f"{block.place}: what is this? {block.text.splitlines()[0]!r}"
        for block in _of_kind("text")
        if not block.text.strip().startswith(tuple(SHOWN))
    ]
    _told(unknown)
    found = {kind: len(_of_kind(kind)) for kind in ("shell", "toml", "json", "python", "drawing")}
    assert found["shell"] > 15
    assert all(found.values()), found


# what is typed


@pytest.mark.slow
def test_every_command_of_a_block_is_run(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    typed = {
        form: block.place
        for block in _of_kind("shell")
        for command in commands(block.text)
        for form in written_out(command)
    }
    queries = {code: page.name for page in PAGES for code in page.code()
               if code.startswith("flywheel sql ")}  # fmt: skip
    queries |= {f"flywheel sql {shlex.quote(block.text)}": block.place for block in _of_kind("sql")}
    named = " ".join(typed)
    folder = write_documented(tmp_path / "application", tiny_model, named)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(folder)
    wrong = []
    for command, place in {**typed, **queries}.items():
        if why := _typed(command, tmp_path):
            wrong.append(f"{place}: {command}: {why}")
    _told(wrong)
    assert NOT_RUN.keys() <= typed.keys(), "what is listed is shown"


def _typed(command: str, folder: Path) -> str:
    """What is wrong with it; empty where all is well."""
    program, *words = shlex.split(command)
    if command in NOT_RUN:
        return _unknown(command)
    if program == "flywheel":
        return _run(words, folder)
    if program == "echo":
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
        return ""
    if program in ("make", "pip"):
        return _unknown(command)
    return "is neither run by this test nor listed in NOT_RUN"


def _run(words: list[str], folder: Path) -> str:
    names = " ".join(words[: 1 + (words[0] in GROUPS)])
    where = folder / ("empty" if names == "init" else "application")  # it writes into a new one
    if names == "run":
        words = [*words, "--inline"]
    if "--expires" in words:  # a day ahead, whenever this is run
        words[words.index("--expires") + 1] = "2999-01-01"
    said = Application(where).here(*words)
    for made in (folder / "application" / "suites").glob(
        "*"
    ):  # none finds what another has written
        made.unlink()
    promised = PROMISED.get(names, {0})
    if said.code in promised:
        return ""
    return f"{said.code}, not {promised}: {said.err[-500:]} {said.out[-500:]}"


def test_commands_and_options_in_sentences_are_there():
    wrong = []
    for page in PAGES:
        for code in page.code():
            for form in written_out(code):
                if why := _unknown(form):
                    wrong.append(f"{page.name}: {form}: {why}")
    _told(wrong)


def _unknown(command: str) -> str:
    """What of a command is not known: its name, an option, a value, a target, a module."""
    said = re.sub(r"^([A-Z_]+=\S+ |.* \| )+", "", command)
    try:
        program, *words = shlex.split(said)
    except ValueError:
        return ""
    if program == "flywheel":
        return _refused(words)
    if program == "make" and words:
        targets = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
        return "" if words[0] in targets else "there is no such target"
    if program == "pip" and words[:1] == ["install"]:
        return _not_ours_to_install(words[1:])
    if words[:1] == ["-m"] and program == "python":
        return _no_module(words[1], words[2:])
    return ""


def _refused(words: Sequence[str]) -> str:
    """By the parser of the command line. Arguments may be missing, as in `flywheel show`."""
    command: Any = COMMANDS
    words = list(words)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands"):  # its own options act when they are read
        known = {name for parameter in command.params for name in parameter.opts}
        return " ".join(word for word in words if word not in known)
    try:
        command.make_context("flywheel", words)
    except Exception as error:
        if type(error).__name__ != "MissingParameter":
            return str(error) or type(error).__name__
    return ""


def _not_ours_to_install(words: Sequence[str]) -> str:
    models = re.search("^MODELS := (.*)$", MAKEFILE, re.MULTILINE)
    assert models is not None
    known = models[1].split()
    for word in words:
        if word.startswith("-"):
            continue
        name, _, more = word.replace("_", "-").partition("[")
        name = name.partition("=")[0]
        if name not in known and not name.startswith(PROJECT["name"]):
            return f"installs {name}, which nobody here knows"
        for extra in more.rstrip("]").split(",") if more else ():
            if extra not in PROJECT["optional-dependencies"]:
                return f"there is no extra {extra}"
    return ""


def _no_module(name: str, words: Sequence[str]) -> str:
    if name.partition(".")[0] not in OURS:
        return ""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return f"there is no module {name}"
    if name == "engine":
        needed = [] if "--model" in words else ["--model", "x"]
        with suppress(SystemExit):
            engine_parser().parse_args([*words, *needed])
            return ""
        return "the engine's parser refuses it"
    source = Path(spec.origin).read_text()
    missing = [word for word in words if word.startswith("--") and f'"{word}"' not in source]
    return "" if "lm_eval" in name else " ".join(missing)


def test_options_in_sentences_are_of_some_command():
    ours = {"--help", *OF_OTHERS, *_options_of(COMMANDS), *_options_of(engine_parser())}
    wrong = []
    for page in PAGES:
        modules = re.findall(r"`python -m (benchmarks\.\w+)", page.text)
        known = ours.union(*(re.findall(r'"(--[a-z-]+)"', _source_of(name)) for name in modules))
        said = [code for code in page.code() if code.startswith("--")]
        wrong += [
            f"{page.name}: {code}"
            for code in said
            if not known.issuperset(re.findall(r"(?<!\S)--[a-z_-]+", code))
        ]
    _told(wrong)


def _options_of(parser: Any) -> Iterator[str]:
    """Of a command of typer's or a parser of argparse, and of all below it."""
    below = dict(getattr(parser, "commands", {}))
    for option in parser.params if hasattr(parser, "params") else parser._actions:
        yield from getattr(option, "opts", None) or option.option_strings
        if isinstance(choices := getattr(option, "choices", None), dict):
            below.update(choices)
    for each in below.values():
        yield from _options_of(each)


def _source_of(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


# what is read


def test_every_setting_is_read_and_every_scorer_found(tmp_path: Path):
    for block in [*_of_kind("python"), *_of_kind("toml")]:
        if named := re.match(NAMED, block.text):  # of which settings may speak
            (tmp_path / named[1]).parent.mkdir(exist_ok=True)
            (tmp_path / named[1]).write_text(block.text)
    wrong = []
    for block in _of_kind("toml"):
        try:
            _read_settings(block.text, tomllib.loads(block.text), tmp_path)
        except (FlywheelError, ValueError) as error:
            wrong.append(f"{block.place}: {error}")
    _told(wrong)


def _read_settings(text: str, values: dict[str, Any], folder: Path) -> None:
    """As flywheel.toml, or from where it names them: rules, and a suite in one file."""
    named = re.match(NAMED, text)
    if "rules" in values:
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "shown.toml").write_text(text)
        text = 'validate.rules = "rules"'
    elif "items" in values and named:
        text = f'suites.shown.file = "{named[1]}"'
    elif "columns" in values and named:
        text = f'ingest.mappings.shown = "{named[1]}"'
    elif not values and not text.startswith("#:schema "):
        raise ValueError("holds no settings")
    for name, release in values.get("releases", {}).items():
        if "model" not in release:  # a part of one
            text += f'\n[releases.{name}]\nmodel = "a model"\n'
    (folder / "flywheel.toml").write_text(text)
    settings = read_settings(str(folder / "flywheel.toml"), {})
    for rules in ("calls_rules", "batch_rules", "feedback_rules", "samples_rules"):
        getattr(in_force, rules)(settings)
    for suite in settings.suites:
        suite_instrument(settings, suite)
        also_instruments(settings, suite)


def test_every_setting_in_a_sentence_is_declared():
    """`[section] key`, as in `[curate] near_duplicate_jaccard`, and FLYWHEEL_SECTION__KEY."""
    wrong = []
    for page in PAGES:
        for code in page.code():
            said = re.match(r"(?:\w+\.toml )?\[([\w.]+)\](?: (\w+))?( = .+)?$", code)
            if said is None:
                continue
            if not _is_declared([*said[1].split("."), *filter(None, [said[2]])]):
                wrong.append(f"{page.name}: {code}")
    _told(wrong)


def _is_declared(keys: Sequence[str]) -> bool:
    declared: Any = Settings
    for key in keys:
        if get_origin(declared) is dict:
            declared = get_args(declared)[1]
            continue
        fields = getattr(declared, "model_fields", {})
        named = {field.alias or name: field.annotation for name, field in fields.items()}
        if key not in named:
            return False
        declared = named[key]
    return True


def test_every_line_of_json_is_read(tmp_path: Path):
    wrong = []
    for block in _of_kind("json"):
        try:
            for value in json_values(block.text):
                _read(value, tmp_path)
        except (FlywheelError, ValueError) as error:
            wrong.append(f"{block.place}: {error}")
    for page in PAGES:
        for code in page.code():
            if code.startswith('{"') and page.name not in MADE:
                try:
                    list(json_values(code))
                except ValueError as error:
                    wrong.append(f"{page.name}: {code}: {error}")
    _told(wrong)


def _read(value: dict[str, Any], folder: Path) -> None:
    """By whoever reads such lines. Raises where it is refused."""
    if "label" in value:
        path = folder / "labels.jsonl"
        path.write_text(json.dumps(value))
        read_labels(path, "shown", "pairwise" if "answer_a" in value else "pointwise", (1, 5))
    elif "loglikelihoods" in value:
        text = value["loglikelihoods"][0]["text"]
        multiple_choice = KINDS["multiple_choice"]
        score = multiple_choice.function(json.dumps(value), text, multiple_choice.parameters())
        assert score.value == 1, score
    elif "request_id" in value or value.get("record") == "feedback":
        for record in canonical.records(value):
            assert not isinstance(record, Dead), record
            assert not getattr(record, "tags", {}), record
    elif "input" in value or "messages" in value:
        mode = Mode("choose") if "choices" in value else GENERATE
        parse_suite("shown", "shown", json.dumps(value).encode(), "shown", mode)
    else:
        raise ValueError(f"nobody reads the keys {', '.join(value)}")


def test_python_runs(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    place = Path("path/to/folder-or-file.gguf")
    place.parent.mkdir(parents=True)
    place.symlink_to(tiny_model)
    for block in _of_kind("python"):
        tree = ast.parse(block.text, block.place)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not (missing := _not_there(node)), f"{block.place}: {missing}"
        if not any(call in block.text for call in NOT_CALLED):
            exec(compile(tree, block.place, "exec"), {})


def _not_there(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Names that it imports and nobody defines. A package that is an extra may not be installed;
    of a module of ours that needs it the source is read."""
    if isinstance(node, ast.Import):
        return [
            one.name for one in node.names if not _is_extra(one.name) and not find_spec(one.name)
        ]
    module = node.module or ""
    if _is_extra(module):
        return []
    names = [one.name for one in node.names]
    try:
        imported = importlib.import_module(module)
    except ImportError:  # of an extra that is not installed
        defined = {getattr(one, "name", "") for one in ast.parse(_source_of(module)).body}
        return [f"{module}.{name}" for name in names if name not in defined]
    return [f"{module}.{name}" for name in names if not hasattr(imported, name)]


def _is_extra(module: str) -> bool:
    needed = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
    names = {re.split(r"[>=<\[; ]", one)[0].replace("-", "_") for one in needed}
    return module.partition(".")[0] in names


# what is linked


def test_every_link_leads_somewhere():
    wrong = []
    for page in LINKED:
        for link in page.links():
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            file = (page.path.parent / path).resolve() if path else page.path
            if not file.exists():
                wrong.append(f"{page.name}: {link}: no such file")
            elif anchor and anchor not in Page(file, link).anchors():
                wrong.append(f"{page.name}: {link}: no such heading")
    _told(wrong)


def test_every_file_of_ours_in_a_sentence_is_there():
    wrong = [
        f"{page.name}: {code}"
        for page in PAGES
        for code in page.code()
        if re.fullmatch(rf"({'|'.join(OURS)})/[\w/.-]+", code) and not (REPOSITORY / code).exists()
    ]
    _told(wrong)


def test_every_room_and_every_table_has_its_place():
    rooms = {f"`{path.parent.name}`" for path in (REPOSITORY / "tasks").glob("*/__init__.py")}
    told = (REPOSITORY / "CONTRIBUTING.md").read_text().replace("`tasks/", "`")
    assert not {room for room in rooms if room not in told}
    tables = [one.name for one in vars(contracts).values() if isinstance(one, TableContract)]
    told = (REPOSITORY / "docs" / "architecture.md").read_text().partition("## The data")[2]
    assert len(tables) > 20
    assert not [table for table in tables if f"`{table}`" not in told]
