from __future__ import annotations

import re
import tomllib
from pathlib import Path

from flows.commands.init import config_text
from tasks.debt.defaults import written_defaults
from tasks.settings import parse_settings


def _written(text: str, folder: Path) -> set[str]:
    values = tomllib.loads(text)
    settings = parse_settings(values, base=str(folder))
    return {".".join(key.path) for key in written_defaults(settings, values)}


def test_the_file_that_init_writes_says_no_default(tmp_path: Path):
    assert _written(config_text(), tmp_path) == set()


def test_every_key_of_that_file_that_is_uncommented_says_one(tmp_path: Path):
    """But for those that have none, and the folder of rules, which says something by being said."""
    text = config_text().partition("# A suite is")[0]
    commented = re.findall(r"^# ([a-z_]+) = ", text, re.MULTILINE)
    spelled_out = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "expectations").mkdir()
    found = _written(spelled_out, tmp_path)
    assert len(found) > 80
    # those of the releases, where an engine and an API are told from each other, stand there twice
    assert len(found) == len(commented) - commented.count("rules")
    assert "validate.rules" not in found


def test_only_what_is_the_default_is_told(tmp_path: Path):
    text = """
    champion = ""
    gate = { margin = 0.05, alpha = 0.1 }
    [suites.a]
    role = "guard"
    scorer = "exact_match"
    slices = { language = 0.1 }
    [suites.b]
    mode = "choose"
    scorer = "multiple_choice"
    [releases.r]
    model = "m"
    sampling = { as_logged = true, temperature = 0.0 }
    [releases.q]
    model = "m"
    sampling = { temperature = 0.0, top_p = 0.9 }
    """
    assert _written(text, tmp_path) == {
        "champion", "gate.margin", "suites.a.role", "suites.a.scorer",
        "releases.q.sampling.temperature",
    }  # fmt: skip
