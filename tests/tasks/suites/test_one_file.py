"""A suite in one TOML file is the suite that its keys and lines would be apart, and what is wrong
with it is told by file, line and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.commands.check import problems_of
from tasks.curate.declared import read_declared
from tasks.errors import ConfigurationError, UsageError
from tasks.settings import parse_settings, read_settings
from tasks.settings.toml import read_toml
from tasks.settings.toml_lines import key_lines
from tasks.suites.items import digest_of
from tasks.suites.versions import items_of, of_file
from tests.conftest import REPOSITORY

KEYS = """\
role = "primary"
margin = 0.1
scorer = { name = "numeric", tolerance = 0.01 }
also = ["exact_match"]
owner = "support"
review_by = 2027-06-01

[slices]
language = 0.2
"""
ITEMS = """
[[items]]
input = "2 + 2 = ?"
target = 4
must_pass = true

[[items]]  # whose messages are tables of their own
target = "5"
slices = { language = "en" }
[[items.messages]]
role = "system"
content = \"\"\"
[[items]]
Be brief.\"\"\"
[[items.messages]]
role = "user"
content = "2 + 3 = ?"
"""
LINES = [
    {"input": "2 + 2 = ?", "target": 4, "must_pass": True},
    {"messages": [{"role": "system", "content": "[[items]]\nBe brief."},
                  {"role": "user", "content": "2 + 3 = ?"}],
     "target": "5", "slices": {"language": "en"}},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("flywheel.toml", '[suites.sums]\nfile = "sums.toml"\n')
    write("sums.toml", KEYS + ITEMS)
    return tmp_path


def write(name: str, text: str) -> Path:
    Path(name).write_text(text)
    return Path(name)


def problems() -> dict[str, str]:
    return {problem.key: problem.message for problem in problems_of(None)}


def test_it_is_the_suite_that_a_section_and_lines_would_be(folder: Path):
    assert list(problems()) == ["releases"]  # none is declared
    one = read_settings(None, {})
    write("sums.jsonl", "".join(json.dumps(line) + "\n" for line in LINES))
    declared = read_toml(KEYS) | {"samples": "sums.jsonl"}
    apart = parse_settings({"suites": {"sums": declared}}, base=str(folder))
    where = {"file": "", "samples": "sums.jsonl"}
    assert one.suites["sums"].model_copy(update=where) == apart.suites["sums"]
    assert read_declared(one, "sums") == read_declared(apart, "sums")
    assert digest_of(item.sample_id for item in items_of(read_declared(one, "sums"))) == (
        of_file(Path("sums.jsonl"), apart, "sums").digest
    )


def test_the_example_of_the_page_is_one(folder: Path):
    page = (REPOSITORY / "docs" / "suites.md").read_text()
    write("sums.toml", page.partition("```toml\n")[2].partition("```")[0])
    assert list(problems()) == ["releases"]
    assert len(read_declared(read_settings(None, {}), "sums")) == 2
    text = Path("sums.toml").read_text().replace("owner", "ownr").replace("target = 4\n", "")
    write("sums.toml", text)
    assert "unknown key 'ownr' in suites/sums.toml:5: did" in page
    assert "unknown key 'ownr' in sums.toml:5: did" in problems()["suites.sums.ownr"]
    write("sums.toml", text.replace("ownr", "owner"))
    assert "sums.toml:12 · " in problems()["suites.sums.items"]


def test_a_key_of_the_file_is_part_of_the_digest_and_the_environment_stands_above_it(folder: Path):
    before = read_settings(None, {})
    write("sums.toml", KEYS.replace("margin = 0.1", "margin = 0.3") + ITEMS)
    assert read_settings(None, {}).digest != before.digest
    other = write("other.toml", KEYS.replace('"support"', '"sales"') + ITEMS)
    said = {"FLYWHEEL_SUITES__SUMS__MARGIN": "0.2", "FLYWHEEL_SUITES__SUMS__FILE": other.name}
    suite = read_settings(None, said).suites["sums"]
    assert (suite.margin, suite.owner, suite.samples) == (0.2, "sales", "other.toml")
    with pytest.raises(ConfigurationError, match=r"flywheel\.toml: input should be less than 1"):
        read_settings(None, {"FLYWHEEL_SUITES__SUMS__MARGIN": "7"})


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("owner", "ownr", "ownr", "unknown key 'ownr' in sums.toml:5: did you mean 'owner'?"),
        ("[[items]]", "[[item]]", "item", "in sums.toml:11: did you mean 'items'?"),
        ("0.2", "2", "slices.language", "slices.language in sums.toml:9: input should be less"),
        ("tolerance", "tolerence", "scorer", "in sums.toml:3"),
        ('["exact_match"]', '["exactly"]', "also", "correct `suites.sums.also` in sums.toml"),
        ("owner", 'file = "a.toml"\nowner', "file", "names no other file · received: file in sums"),
        ("owner", 'samples = "a"\nowner', "samples", "samples in sums.toml:5, items in sums.tom"),
        ("owner", "owner =", "file", "not valid TOML: Invalid value (at line 5"),
        ("target = 4", "traget = 4", "items", "/sums.toml:11 · allowed: input,"),
        ("target = 4", "target = 2027-01-01", "items", "a date or time in a suite line"),
    ],
)
def test_what_is_wrong_is_told_by_file_line_and_key(
    folder: Path, old: str, new: str, key: str, says: str
):
    count = -1 if old == "[[items]]" else 1
    write("sums.toml", (KEYS + ITEMS).replace(old, new, count))
    assert says in problems()[f"suites.sums.{key}"]


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ('file = "sums.toml"\nmargin = 0.1', "margin", "flywheel.toml, margin in sums.toml:2"),
        ('file = "sums.toml"\nsamples = "a.jsonl"', "samples", "flywheel.toml, items in sums.tom"),
        ('file = "none.toml"', "file", "No such file"),
        ('file = "~nobody-here/sums.toml"', "file", "cannot be read: Could not"),
        (r'file = "\u0000.toml"', "file", "null byte"),
        ('file = "sums.jsonl"', "file", "`samples` names"),
        ('samples = "sums.toml"', "samples", "`file` names"),
        ("file = 3", "file", "valid string"),
    ],
)
def test_how_it_is_named_is_refused_in_one_line(folder: Path, section: str, key: str, says: str):
    write("flywheel.toml", f"[suites.sums]\n{section}\n")
    assert says.lower() in problems()[f"suites.sums.{key}"].lower()


def test_items_may_be_a_list_of_inline_tables_and_must_be_some(folder: Path):
    items = 'items = [\n  {input = "a", target = "b"},\n\n  {input = "c"},\n  3,\n]\n'
    write("sums.toml", items)
    told = CliRunner().invoke(app, ["check"]).output
    assert "no target · received: input in" in told
    assert "sums.toml:4 ·" in told
    assert "received: 3 in" in told
    for empty, says in (("items = []", "has no items"), ("items = 3", "are no list")):
        write("sums.toml", empty)
        assert says in problems()["suites.sums.items"]
    write("sums.toml", KEYS)  # a suite of calls: its settings alone
    assert read_settings(None, {}).suites["sums"].samples == ""


def test_commands_read_it_as_they_read_lines(folder: Path):
    write("old.toml", 'mode = "choose"\n[[items]]\ninput = "a"\nchoices = ["b", "c"]\ntarget = 0\n')
    write("sums.toml", Path("old.toml").read_text().replace("= 0", "= 1"))

    def call(*arguments: str) -> Any:
        return json.loads(CliRunner().invoke(app, ["suite", *arguments, "--json"]).output)

    (change,) = call("diff", "old.toml", "sums.toml", "--suite", "sums")["changed"]
    assert (change["before"], change["after"]) == ({"target": "b"}, {"target": "c"})
    (listed,) = call("list")["suites"]
    assert (listed["num_items"], listed["is_file"]) == (1, True)
    write("train.jsonl", '{"text": "a"}\n')
    assert len(call("leaks", "train.jsonl")["leaks"]) == 1
    with pytest.raises(UsageError, match=r"in .*broken\.toml:1"):
        of_file(write("broken.toml", "mode = 'chose'\n"), read_settings(None, {}))


def test_lines_are_those_of_the_text_whatever_its_strings_hold():
    text = (
        "'a b'.\"c.d\" = 1 # [x]\n"
        "one = '''\n[[no]]\nno = 1''''\n"
        'two = """a\\"""\n\n"""""\n'
        "three = [ # [\n 'x]', {y = [1, 2]},\n\n [ 3,\n4],]\n"
        "[ t . 'u' ]\r\nv = {w = '#'}\n"
        "[[t.list]]\n[t.list.sub]\nk = 1\n[[t.list]]\nk = '''\n'''\n"
    )
    read_toml(text)
    assert key_lines(text) == {
        ("a b",): 1, ("a b", "c.d"): 1, ("one",): 2, ("two",): 5,
        ("three",): 8, ("three", 0): 9, ("three", 1): 9, ("three", 2): 11,
        ("t",): 13, ("t", "u"): 13, ("t", "u", "v"): 14,
        ("t", "list"): 15, ("t", "list", 0): 15, ("t", "list", 0, "sub"): 16,
        ("t", "list", 0, "sub", "k"): 17, ("t", "list", 1): 18, ("t", "list", 1, "k"): 19,
    }  # fmt: skip
