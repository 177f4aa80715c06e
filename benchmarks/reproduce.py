"""Verdicts of twenty kinds of suites, executed again in new processes from a new clone; and what is
named when one thing was changed.

    python -m benchmarks.reproduce
    python -m benchmarks.reproduce --only choose sampled

Every kind is an application of its own, turned here on a tiny model. HEAD is cloned into a folder
for the while, and `flywheel reproduce` runs from there, one process a verdict: equal to the bit, or
the link that differs. Then copies of one application are changed, each in one thing: a byte of a
prompt, a sample, a rule, a weight, the version of a package (another rapidfuzz, of the package
index, before the installed one), the seed, the number of threads. Prints two tables and writes JSON
to results/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.processes import ROOT, environment_for
from benchmarks.results import FOLDER, header, write
from tasks.tracking.database import prepare_database
from tasks.tracking.environment import prepare_environment
from tests.flows.application import Application, call_record
from tests.tiny_model import write_tiny_model

_SETTINGS = """
logs = ["logs/*.jsonl"]
champion = "champion"
challenger = "challenger"
[validate]
data_docs = false
[releases.champion]
model = "../model"
prompt = "one.md"
[releases.champion.sampling]
{champion}
[releases.champion.engine]
device = "cpu"
dtype = "float32"
[releases.challenger]
model = "../model"
prompt = "two.md"
[releases.challenger.sampling]
{challenger}
[releases.challenger.engine]
device = "cpu"
dtype = "float32"
[suites.{name}]
samples = "suite.jsonl"
owner = "support"
{suite}
"""
_NUM_ITEMS = 6
_GREEDY = "max_tokens = 6"
#: what is drawn hangs on the seed alone
_DRAWN = "max_tokens = 8\ntemperature = 0.8\ntop_k = 40"
_SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}},
                      "required": ["n"], "additionalProperties": False})  # fmt: skip
_LOOKED_UP = {"name": "find", "arguments": {"city": "Oslo"}}
_INSTRUCTED = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
#: an older one than any that is locked
_OTHER_PACKAGE = "rapidfuzz==3.13.0"


@dataclass(frozen=True, slots=True)
class Kind:
    """`suite`: keys of its section; `target` and `more`: of every item; `champion` and
    `challenger`: how the releases draw."""

    suite: str
    target: Any = "a"
    more: str = "{}"
    champion: str = _DRAWN
    challenger: str = _GREEDY


KINDS = {
    "exact": Kind('scorer = "exact_match"'),
    "includes": Kind('scorer = "includes"'),
    "regex": Kind('scorer = { name = "regex", pattern = "[a-z]" }'),
    "choice": Kind('scorer = "choice"', "good | bad"),
    "numeric": Kind('scorer = { name = "numeric", tolerance = 0.01 }', "3.5"),
    "maths": Kind('scorer = "maths"', r"\frac{1}{2}"),
    "f1": Kind('scorer = "token_f1"', "a b c"),
    "rouge": Kind('scorer = "rouge_l"', "a b c"),
    "bleu": Kind('scorer = "bleu"', "a b c d"),
    "chrf": Kind('scorer = "chrf"', "a b c d"),
    "fuzzy": Kind('scorer = "fuzzy"', "aeiou"),
    "fields": Kind('scorer = "json_fields"', {"n": 1}),
    "schema": Kind(
        'scorer = "json_schema"', json.loads(_SCHEMA),
        champion=f"max_tokens = 16\njson_schema = '{_SCHEMA}'",
        challenger=f"max_tokens = 16\ntemperature = 1.0\njson_schema = '{_SCHEMA}'",
    ),
    "tools": Kind('scorer = "tool_call"', _LOOKED_UP),
    "instructed": Kind('scorer = "instructions"', _INSTRUCTED),
    "language": Kind('scorer = "language"', "en"),
    "composed": Kind('scorer = { composite = [{ scorer = "fuzzy", weight = 0.7 }, '
                     '{ scorer = { name = "length", at_most = 3 }, weight = 0.3 }] }'),
    "choose": Kind('mode = "choose"\nalso = [{ name = "multiple_choice", normalised = true }]', 0,
                   '{"choices": [" Oslo", " Rome", " Bern"]}'),
    "perplexity": Kind('mode = "perplexity"\ntemplate = "raw"', "a text that is weighed"),
    "sampled": Kind('scorer = { name = "length", unit = "characters", at_most = 6 }', "-",
                    champion=_DRAWN, challenger=f"{_DRAWN}\nmin_p = 0.01"),
}  # fmt: skip
assert len(KINDS) == 20


def write_application(root: Path, name: str) -> Application:
    kind, folder = KINDS[name], root / name
    (folder / "logs").mkdir(parents=True)
    values = {"name": name, "suite": kind.suite, "champion": kind.champion,
              "challenger": kind.challenger}  # fmt: skip
    repeats = "[evaluate]\nrepeats = 2\n" if name == "sampled" else ""
    (folder / "flywheel.toml").write_text(_SETTINGS.format(**values) + repeats)
    (folder / "one.md").write_text("Say what you think.")
    (folder / "two.md").write_text("Say it in one word.")
    items = [
        {"input": f"question {n} of {name}", "target": kind.target, **json.loads(kind.more)}
        for n in range(_NUM_ITEMS)
    ]
    (folder / "suite.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    application = Application(folder)
    application.log("calls.jsonl", [call_record(number) for number in range(8)])
    return application


def cloned(folder: Path) -> Path:
    """HEAD of this repository, anew."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def reproduced(
    application: Application, clone: Path, *, threads: int = 1, before: str = ""
) -> dict[str, Any]:
    """What `flywheel reproduce` tells, from the clone. `before`: a folder whose packages come
    first."""
    path = [part for part in (before, str(clone)) if part]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "flows", "reproduce", "--json"],
        cwd=application.folder,
        env={**environment_for(threads), "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.strip():
        return {"equal": False, "executed": False, "first": done.stderr.strip()[-300:]}
    return dict(json.loads(done.stdout))


def rows_of_kinds(root: Path, clone: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        told = reproduced(Application(root / name), clone)
        comparison = told.get("comparison") or {}
        yield {
            "suite": name,
            "verdict": told.get("verdict"),
            "equal": told["equal"],
            "first": told["first"],
            "texts": comparison.get("texts", {}).get("compared"),
            "likelihoods": comparison.get("likelihoods", {}).get("compared"),
            "scores": comparison.get("scores", {}).get("compared"),
            "set_derived": not told.get("not_derived", True),
            "seconds": told.get("seconds"),
        }
        print(name, "equal to the bit" if told["equal"] else told["first"], flush=True)


# changes


def _in_file(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text, (name, old)
        path.write_text(text.replace(old, new, 1))

    return change


def _a_rule_more(folder: Path) -> None:
    (folder / "expectations").mkdir()
    (folder / "expectations" / "own.toml").write_text(
        '[[rules]]\nid = "our_models"\nkind = "one_of"\ncolumn = "model"\nvalues = ["tiny"]\n'
    )


def _a_weight(folder: Path) -> None:
    """One bit of the last number."""
    path = folder.parent / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)


def _nothing(folder: Path) -> None:
    pass


#: what is changed → the suite, how, and the link that is to be named ("": none, the bits are equal)
CHANGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "one byte of a prompt": ("exact", _in_file("two.md", "word", "ward"), "prompt"),
    "one sample": ("choose", _in_file("suite.jsonl", "question 3", "question 33"), "set"),
    "one rule": ("f1", _a_rule_more, "rule"),
    "one weight": ("perplexity", _a_weight, "weights"),
    "one package": ("fuzzy", _nothing, "package"),
    "the seed": (
        "schema", _in_file("flywheel.toml", "[validate]", "[evaluate]\nseed = 3\n[validate]"),
        "seed",
    ),
    "the threads": ("regex", _nothing, ""),
}  # fmt: skip


def rows_of_changes(root: Path, clone: Path, others: Path) -> Iterator[dict[str, Any]]:
    """`others`: the folder that the other package is installed to."""
    packages = others / "packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages),
         _OTHER_PACKAGE],
        check=True,
    )  # fmt: skip
    for number, (what, (name, change, link)) in enumerate(CHANGES.items()):
        place = others / str(number)
        shutil.copytree(root / "model", place / "model")
        shutil.copytree(root / name, place / name)
        change(place / name)
        threads = 2 if what == "the threads" else 1
        before = str(packages) if what == "one package" else ""
        told = reproduced(Application(place / name), clone, threads=threads, before=before)
        named = (told.get("first_link") or {}).get("name", "")
        is_right = named == link and told["equal"] is (link == "")
        yield {"changed": what, "suite": name, "wanted": link, "named": named,
               "told": told["first"], "equal": told["equal"], "right": is_right}  # fmt: skip
        print(f"{what}: {told['first'] or 'equal to the bit'}", flush=True)


def _made(root: Path, names: list[str]) -> None:
    """Every application, turned once."""
    prepare_environment()
    prepare_database(root / "mlflow.db", root / "kept")
    write_tiny_model(root / "model")
    for name in names:
        application = write_application(root, name)
        application.home.mkdir()
        shutil.copy(root / "mlflow.db", application.home)
        answer = application.here("run", "--inline", "--json")
        assert answer.code in (0, 1), (name, answer.err)
        print(f"{name}: {answer.json['verdict']}", flush=True)


def _print(rows: list[dict[str, Any]], changes: list[dict[str, Any]]) -> None:
    columns = ("suite", "verdict", "again", "texts", "likelihoods", "scores")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        again = "equal to the bit" if row["equal"] else row["first"]
        verdict = str(row["verdict"]).replace("_", " ")
        counts = " | ".join(str(row[name]) for name in columns[3:])
        print(f"| {row['suite']} | {verdict} | {again} | {counts} |")
    print(f"\n{sum(row['equal'] for row in rows)} of {len(rows)} verdicts equal to the bit")
    if changes:
        print("\n| changed | named |\n|---|---|")
        for row in changes:
            print(f"| {row['changed']} | {row['named'] or 'nothing: equal to the bit'} |")
        print(f"\n{sum(row['right'] for row in changes)} of {len(changes)} as wanted")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, default=FOLDER / "reproduce.json")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "applications"
        root.mkdir()
        _made(root, options.only)
        clone = cloned(Path(temporary) / "clone")
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True,
                                text=True, check=True).stdout.strip()  # fmt: skip
        rows = list(rows_of_kinds(root, clone, options.only))
        whole = len(options.only) == len(KINDS)
        changes = list(rows_of_changes(root, clone, Path(temporary) / "changed")) if whole else []
    _print(rows, changes)
    if whole:
        found = {"commit": commit, "verdicts": rows, "changes": changes,
                 "seconds": round(time.perf_counter() - began)}  # fmt: skip
        write({**header(), **found}, options.out, "reproduce")
    sys.exit(not all(row["equal"] for row in rows) or not all(row["right"] for row in changes))


if __name__ == "__main__":
    main()
