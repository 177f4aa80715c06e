"""`flywheel reproduce`: a verdict executed again, and which link differs when one was changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import jsonschema
import pytest
import torch
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

import engine.identity
from flows import deriving
from flows.commands import reproduce
from tasks.receipts import materials
from tests.conftest import REPOSITORY
from tests.fake_api import serving_api
from tests.flows.application import Application
from tests.flows.test_hosted import KEY, NUM, hosted
from tests.flows.turned import Turned, turn_once
from tests.tiny_model import write_tiny_model

SCHEMA = REPOSITORY / "tasks" / "model" / "schemas" / "receipt-1.json"
_NOT_NOW = "not now: a test of its own derives"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the set derived from the logs, which takes Great Expectations."""
    monkeypatch.setattr(reproduce, "why_not", lambda store, recorded: _NOT_NOW)


_TABLES = ("runs", "run_stages", "verdicts", "completions", "scores", "evidence", "releases",
           "evidence_samples", "evidence_looks", "samples", "requests")  # fmt: skip


def counted(turned: Turned) -> list[list[tuple[int]]]:
    return [turned.rows(f"SELECT count(*) FROM {name}") for name in _TABLES]


def test_a_verdict_comes_out_equal_to_the_bit_and_its_receipt_says_so(turned: Turned) -> None:
    before, path = counted(turned), turned.receipt
    first = path.read_bytes()
    answer = turned.again()
    assert answer.code == 0, answer.err + answer.out
    told = answer.json
    assert (told["equal"], told["executed"], told["first_link"]) == (True, True, None)
    assert {link["state"] for link in told["links"]} <= {"same", "unknown"}
    derived = [link for link in told["links"] if link["of"] == "derived from the log files"]
    assert [link["state"] for link in derived] == ["same"]
    names = {link["name"] for link in told["links"] if link["state"] == "same"}
    assert names == {"log", "rule", "set", "prompt", "weights", "tokenizer", "engine", "package",
                     "processor", "seed", "threads", "policy", "record"}  # fmt: skip
    comparison = told["comparison"]
    ((num_samples,),) = turned.rows("SELECT num_samples FROM eval_sets")
    compared = [comparison[what]["compared"] for what in ("texts", "scores")]
    assert compared == [2 * num_samples, 2 * num_samples]
    assert (comparison["texts"]["differ"], comparison["scores"]["differ"]) == (0, 0)
    assert comparison["difference"] == ""
    # the store is as it was, and nothing is left of the folder
    assert counted(turned) == before
    assert not list(turned.application.home.glob(".reproducing-*"))
    # one line more, signed, and what there was is kept
    (public,) = path.parent.glob("*.pub")
    key = SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()))
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    envelope.verify([key], 1)
    statement = json.loads(envelope.payload)
    jsonschema.validate(statement, json.loads(SCHEMA.read_text()))
    (entry,) = statement["predicate"]["reproduction"]
    assert (entry["equal"], entry["first_link"], entry["device"]) == (True, None, "cpu")
    kept = path.parent / "history" / f"{turned.run_id}.receipt.1.json"
    assert kept.read_bytes() == first
    assert turned.application.here("receipt", "verify", str(path)).code == 0


Change = Callable[[Turned, pytest.MonkeyPatch], None]


def in_file(name: str, old: str, new: str) -> Change:
    def change(turned: Turned, patch: pytest.MonkeyPatch) -> None:
        path = turned.path(name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def in_store(sql: str) -> Change:
    def change(turned: Turned, patch: pytest.MonkeyPatch) -> None:
        turned.change(sql)

    return change


def one_byte_of_the_model(name: str) -> Change:
    def change(turned: Turned, patch: pytest.MonkeyPatch) -> None:
        path = turned.model / name
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)

    return change


def a_rule_more(turned: Turned, patch: pytest.MonkeyPatch) -> None:
    turned.path("expectations").mkdir()
    turned.path("expectations/own.toml").write_text(
        '[[rules]]\nid = "our_models"\nkind = "one_of"\ncolumn = "model"\nvalues = ["tiny"]\n'
    )


def another_torch(turned: Turned, patch: pytest.MonkeyPatch) -> None:
    real = engine.identity._version
    patch.setattr(engine.identity, "_version", lambda n: "9.9" if n == "torch" else real(n))


def another_scipy(turned: Turned, patch: pytest.MonkeyPatch) -> None:
    real = materials.version
    patch.setattr(materials, "version", lambda n: "9.9" if n == "scipy" else real(n))


def another_processor(turned: Turned, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX9")


CHANGES: dict[str, tuple[Change, str, str]] = {
    "a log line": (in_file("logs/calls.jsonl", "printer", "plotter"), "log", "calls.jsonl"),
    "a rule": (a_rule_more, "rule", "calls"),
    "a sample of the suite": (
        in_file("suites/route.jsonl", "ticket 3:", "ticket 33:"), "set", "suites/route.jsonl"
    ),
    "a sample in the store": (
        in_store("UPDATE samples SET target = 'fax' WHERE target = 'printer' AND sample_id = "
                 "(SELECT min(sample_id) FROM samples WHERE target = 'printer')"),
        "sample", "",
    ),
    "a weight in the set": (
        in_store("UPDATE eval_set_samples SET weight = 2 WHERE position = 0"), "set", ""
    ),
    "a byte of a prompt": (in_file("prompts/two.md", "one word", "one ward"), "prompt",
                           "challenger: default"),
    "a weight": (one_byte_of_the_model("model.safetensors"), "weights", "model.safetensors"),
    "the tokenizer": (in_file("../model/tokenizer.json", '"id": 0', '"id":  0'), "tokenizer",
                      "tokenizer.json"),
    "how a release draws": (in_file("flywheel.toml", "temperature = 0.8", "temperature = 0.7"),
                            "engine", "releases.champion.sampling.temperature"),
    "a package of the engine": (another_torch, "package", "torch"),
    "a package of the gate": (another_scipy, "package", "scipy"),
    "the processor": (another_processor, "processor", "champion: processor"),
    "the seed": (in_file("flywheel.toml", "[validate]", "[evaluate]\nseed = 3\n[validate]"), "seed",
                 "evaluate.seed"),
    "the seed in the store": (
        in_store("""UPDATE runs SET request = json_merge_patch(request, '{"seed": 3}')"""), "seed",
        "of the receipt and the store",
    ),
    "the margin": (in_file("flywheel.toml", 'owner = "support"', 'owner = "support"\nmargin = 0.2'),
                   "policy", "suites.route.margin"),
    "a verdict in the store": (in_store("UPDATE verdicts SET verdict = 'better'"), "record",
                               "$.predicate.result.challengers[0].verdict"),
}  # fmt: skip


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", CHANGES)
def test_the_first_link_that_was_changed_is_named(
    name: str, turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, link, of = CHANGES[name]
    with turned.as_before():
        change(turned, monkeypatch)
        answer = turned.again()
    assert answer.code == 1, answer.err
    told = answer.json
    assert (told["equal"], told["executed"]) == (False, False)
    assert told["first_link"]["name"] == link, told["first"]
    assert of in told["first_link"]["of"], told["first"]
    assert "--anyway" in told["why_not"]


@pytest.mark.usefixtures("quick")
def test_another_number_of_threads_changes_no_bit(turned: Turned) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3 if before != 3 else 2)
    try:
        answer = turned.again()
    finally:
        torch.set_num_threads(before)
    assert answer.code == 0, answer.err + answer.out


@pytest.mark.usefixtures("quick")
def test_anyway_what_is_another_is_measured_and_what_is_recorded_is_taken(turned: Turned) -> None:
    with turned.as_before():
        # the store holds the prompt that was asked with, so the verdict stands
        in_file("prompts/two.md", "one word", "one ward")(turned, pytest.MonkeyPatch())
        moved_on = turned.again("--anyway")
        assert moved_on.code == 0, moved_on.err + moved_on.out
        assert moved_on.json["first_link"]["name"] == "prompt"
    with turned.as_before():
        # other weights are here, and no others
        write_tiny_model(turned.model, seed=1)
        measured = turned.again("--anyway")
        assert measured.code == 1, measured.err
        told = measured.json
        assert told["first_link"]["name"] == "weights"
        texts = told["comparison"]["texts"]
        assert texts["differ"] > texts["compared"] / 2
        assert texts["share"] == texts["differ"] / texts["compared"]
        shown = turned.application.here("receipt", turned.run_id, "--json")
        entry = json.loads(shown.out)["predicate"]["reproduction"][-1]
        assert (entry["equal"], entry["first_link"].startswith("weights")) == (False, True)
        assert turned.application.here("receipt", "verify", str(turned.receipt)).code == 0


@pytest.mark.usefixtures("quick")
def test_what_is_gone_is_named_and_stops_what_needs_it(turned: Turned) -> None:
    with turned.as_before():
        turned.path("logs/calls.jsonl").unlink()
        without_log = turned.again("--on", "cpu")
        assert without_log.code == 0, without_log.err + without_log.out
        assert without_log.json["device"] == "cpu"
        (gone,) = without_log.json["gone"]
        assert (gone["name"], gone["of"].endswith("logs/calls.jsonl")) == ("log", True)
        shutil.rmtree(turned.model)
        without_model = turned.again("--anyway")
        assert without_model.code == 1
        assert "weights (champion) is gone" in without_model.json["why_not"]
    with turned.as_before():
        in_store("DELETE FROM samples WHERE sample_id = (SELECT min(sample_id) FROM samples)")(
            turned, pytest.MonkeyPatch()
        )
        forgotten = turned.again("--anyway").json
        assert (forgotten["executed"], forgotten["why_not"].startswith("sample (1 of")) == (
            False, True,
        )  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_on_a_device_that_is_not_there_it_says_so(turned: Turned) -> None:
    nowhere = f"cuda:{torch.cuda.device_count()}"
    answer = turned.again("--on", nowhere)
    assert answer.code == 2
    assert f"Device '{nowhere}' is not there: torch sees" in answer.json["error"]


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """After a turn of a suite that is written and one that is weighed."""
    return turn_once(tmp_path_factory.mktemp("weighed") / "folder", with_choices=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "moved", "is_equal"),
    [
        ({"ATEN_CPU_CAPABILITY": "default"}, "processor", True),
        ({"CXX": "/nonexistent"}, "engine", False),
    ],
)
def test_what_another_processor_changes_is_measured_and_named(
    weighed: Turned, environment: dict[str, str], moved: str, is_equal: bool
) -> None:
    """Where our own kernels run, torch's instruction set changes no bit; its own products do."""
    answer = weighed.application.call("reproduce", "--on", "cpu", "--json", **environment)
    told = answer.json
    assert (answer.code, told["equal"]) == (int(not is_equal), is_equal), answer.err
    states = {link["name"] for link in told["links"] if link["state"] == "moved"}
    assert moved in states
    comparison = told["comparison"]
    for name in ("texts", "likelihoods", "scores", "estimates"):
        assert comparison[name]["compared"] > 0
    if not is_equal:
        assert (told["first_link"]["name"], told["first_link"]["state"]) == (moved, "moved")
        assert told["first"].endswith("True → False, as --on asked")
        assert 0 < comparison["likelihoods"]["largest"] < 1e-3


def test_for_people_it_says_what_holds_and_what_does_not(
    turned: Turned, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_torch(turned, monkeypatch)
    told = turned.application.here("reproduce")
    assert told.code == 1
    assert "not executed. The first link that differs: package (torch)" in told.out
    assert "not derived from the logs again" in told.out
    assert turned.application.here("reproduce", "19").code == 2


#: a second suite, before the first by name, and one that a model of this machine judges
_MORE = """
[suites.another]
samples = "suites/another.jsonl"
scorer = "includes"
[suites.judged]
samples = "suites/another.jsonl"
scorer = { judge = "strict" }
[judges.strict]
release = "challenger"
rubric = "Be right."
max_tokens = 2
"""


@pytest.mark.slow
def test_every_look_of_several_nights_comes_out_with_the_evidence_it_began_with(
    application: Application,
) -> None:
    """Two nights that feed one evidence, the last decided twice, and two challengers at once."""
    suite = application.folder / "suites" / "route.jsonl"
    path = application.folder / "flywheel.toml"
    path.write_text(path.read_text() + _MORE)
    shutil.copy(suite, suite.with_name("another.jsonl"))

    def decided() -> str:
        return str(application.here("gate", "--json").json["run_id"])

    def night(number: int, *challengers: str) -> str:
        lines = [{"input": f"night {number}: the fax of room {n} broke", "target": "fax",
                  "task": "route"} for n in range(4)]  # fmt: skip
        suite.write_text(suite.read_text() + "".join(json.dumps(line) + "\n" for line in lines))
        named = [word for name in challengers for word in ("--challenger", name)]
        evaluated = application.here("eval", "--json", *named)
        assert evaluated.code == 0, evaluated.err
        return decided()

    runs = [night(0), night(1), decided()]
    model = next(line for line in path.read_text().splitlines() if line.startswith("model"))
    third = f'\n[releases.third]\n{model}\nprompt = "prompts/one.md"\n'
    path.write_text(path.read_text() + third)
    runs.append(night(2, "challenger", "third"))
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        looks = store.execute("SELECT count(*), count(DISTINCT evidence_id) FROM evidence_looks")
        assert looks.fetchall() == [(7, 6)]
    for run_id in runs:
        again = application.here("reproduce", run_id, "--json", "--anyway")
        told = again.json
        assert again.code == 0, (run_id, told["first"], told["comparison"])
        assert told["comparison"]["texts"]["compared"] > 0
        # what the folder holds now is more than the night knew, and that is said
        is_last = run_id == runs[-1]
        assert (told["first_link"] is None) is is_last
        assert is_last or told["first_link"]["name"] == "set"
        assert len(told["comparison"]["verdicts"]) == 1 + is_last
        assert told["not_derived"] == "no log file was read"


@pytest.mark.slow
def test_in_a_new_process_and_another_folder_it_is_the_same(turned: Turned, tmp_path: Path) -> None:
    """A clone: the same files elsewhere. The log lies where it lay, and has grown since."""
    clone = tmp_path / "clone"
    shutil.copytree(turned.application.folder, clone)
    with turned.as_before():
        log = turned.path("logs/calls.jsonl")
        log.write_text(f"{log.read_text()}{{}}\n")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "flows", "reproduce", "--json"],
            cwd=clone,
            env=turned.application.environment(OMP_NUM_THREADS="2"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert (told["equal"], told["not_derived"]) == (True, f"{log} has grown since")


def test_a_folder_of_a_killed_process_is_removed(turned: Turned, quick: None) -> None:
    left = turned.application.home / ".reproducing-x"
    left.mkdir()
    (left / ".held").touch()
    refused = turned.again("--on", "abacus")
    assert (refused.code, "the device cannot be used" in refused.err) == (2, True)
    assert not left.exists()
    assert deriving.why_not is not reproduce.why_not


@pytest.mark.usefixtures("quick")
def test_what_an_api_answered_is_taken_as_recorded_and_said_so(
    tmp_path: Path, tiny_model: Path
) -> None:
    with serving_api() as api:
        application = hosted(tmp_path / "a", tiny_model, api)
        assert application.here("eval", PLANTED=KEY).code == 0
        assert application.here("gate").code in (0, 1)
    # it is not there any more, and nobody has the key
    answer = application.here("reproduce", "--json")
    assert answer.code == 0, answer.err + answer.out
    comparison = answer.json["comparison"]
    assert comparison["as_recorded"] == ["challenger"]
    assert comparison["texts"]["compared"] == 2 * NUM
    shown = application.here("receipt", "--json").out
    assert "challenger is answered by an API" in shown
    assert KEY not in shown
