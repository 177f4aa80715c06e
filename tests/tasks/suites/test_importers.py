"""Files of other tools as suites: what is asked, what is right, and what is told of the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.curate.modes import Mode
from tasks.curate.suites import parse_suite
from tasks.errors import UsageError
from tasks.settings import parse_settings
from tasks.settings.toml import read_toml
from tasks.suites.imported import Mapped
from tasks.suites.recognise import read_suite_of
from tasks.suites.writing import SuiteFile, files_of, suite_toml, write_new

REFEREE = Path(__file__).parents[1] / "referee" / "data"


def imported(path: Path, said: str = "auto", **mapped: Any) -> tuple[list[SuiteFile], list[str]]:
    found = read_suite_of(str(path), said, Mapped(**mapped))
    files, left_out = files_of(found, Path("suite.jsonl"))
    for file in files:  # what is written can be read, but for open targets
        closed = [
            {**line, "target": "-" if line["target"] is None else line["target"]}
            for line in file.lines
        ]
        data = "".join(json.dumps(line) + "\n" for line in closed).encode()
        assert len(parse_suite("s", "s", data, "s", file.mode)) == len(file.lines)
    return files, [*found.notes, *left_out.sentences()]


def refused(path: Path, **mapped: Any) -> str:
    with pytest.raises(UsageError) as caught:
        imported(path, **mapped)
    assert "\n" not in caught.value.line()
    return caught.value.line()


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def lines(path: Path, values: list[Any]) -> Path:
    return write(path, "".join(json.dumps(value) + "\n" for value in values))


def lm_eval_line(number: int, arguments: object, target: object, **more: Any) -> dict[str, Any]:
    return {"doc_id": number, "doc": {}, "target": target, "arguments": arguments, "resps": [],
            "filtered_resps": [], "filter": "none", "metrics": ["exact_match"], **more}  # fmt: skip


def test_samples_of_lm_eval_as_it_writes_them():
    (file,), told = imported(next(REFEREE.glob("samples_*.jsonl")))
    assert file.scorer == "exact_match"
    assert [line["input"] for line in file.lines] == [f"q{n}" for n in range(6)]
    assert file.lines[1] == {"id": "1", "input": "q1", "target": "lol"}
    assert "filters (strict, loose)" in told[0]


def test_samples_of_lm_eval_of_both_layouts_chats_and_numbers(tmp_path: Path):
    chat = json.dumps([{"role": "user", "content": "2+2?"}])
    asked = lines(tmp_path / "samples_sums_2026-11-30T10-59-26.134206.jsonl", [
        lm_eval_line(0, {"gen_args_0": {"arg_0": "1+1?", "arg_1": {"until": []}}}, "\n#### 1,002"),
        lm_eval_line(1, [[[chat], {"until": []}]], "#### -4"),
    ])  # fmt: skip
    (file,), told = imported(asked)
    assert (file.scorer, told) == ("numeric", [])
    assert [line["target"] for line in file.lines] == ["1002", "-4"]
    assert file.lines[1]["messages"] == [{"role": "user", "content": "2+2?"}]


def choice_line(number: int, target: object, best: int | None, acc: float, **more: Any) -> Any:
    """Of two choices, as lm-eval writes it; `best`: the more likely one, None for none."""
    weights = [["-1.5" if best == place else "-2.5", "False"] for place in range(2)]
    arguments = {f"gen_args_{place}": {"arg_0": f"Sky {number}?", "arg_1": f" {text}"}
                 for place, text in enumerate(("blue", "red"))}  # fmt: skip
    told = {"arguments": arguments, "filtered_resps": weights, "acc": acc, "acc_norm": acc,
            "metrics": ["acc", "acc_norm", "brier_score"]}  # fmt: skip
    return lm_eval_line(number, arguments, target) | told | more


def test_samples_of_lm_eval_that_choose_become_a_suite_that_chooses(tmp_path: Path):
    (file,), told = imported(lines(tmp_path / "samples_arc.jsonl", [
        choice_line(0, "1", 1, 1.0),
        lm_eval_line(1, [["Sky 1?", " blue"], ["Sky 1?", " red"]], 0, acc=0.0,
                     metrics=["acc", "acc_norm"]),  # before 0.4.3
        choice_line(2, "[1]", None, 1.0),
        choice_line(3, "0", 0, 1.0, arguments=[["a", " b"], ["a", " c"], ["", "b"], ["", "c"]]),
    ]))  # fmt: skip
    assert file.mode == Mode("choose", is_raw=True)
    assert file.lines[0] == {"id": "0", "input": "Sky 0?", "choices": [" blue", " red"],
                             "target": 1}  # fmt: skip
    assert [line["target"] for line in file.lines] == [1, 0, 1, 0]
    assert file.lines[3]["choices"] == [" b", " c"]
    assert told[0].startswith("choices are weighed by log-likelihood")
    assert told[1:] == [one for one in told if one.startswith("metric brier_score has no scorer")]
    pasted = suite_toml("s", "s.jsonl", file.scorer, purpose="", mode=file.mode, also=file.also)
    suite = parse_settings(read_toml(pasted), base="").suites["s"]
    assert (suite.mode, suite.template, suite.scorer) == ("choose", "raw", "multiple_choice")
    assert suite.also == ({"name": "multiple_choice", "normalised": True},)


def test_samples_of_lm_eval_whose_target_nobody_can_tell_are_refused_by_name(tmp_path: Path):
    chat = json.dumps([{"role": "user", "content": "Sea?"}])
    path = lines(tmp_path / "samples_mc.jsonl", [
        choice_line(0, "0", 0, 1.0, arguments=[[[chat], "salt"], [[chat], "sweet"]]),
        choice_line(1, "0", 0, 1.0, arguments=[["He", " is"], ["She", " is"]]),
        choice_line(2, "0", 0, 1.0, arguments=[["He", " is"], ["He", "is"]]),
        choice_line(3, "[0, 1]", 0, 1.0),
        choice_line(4, "-1", 0, 0.0),
        choice_line(5, "0", 0, 0.43),
        choice_line(6, "0", 0, 0.0),
        choice_line(7, "0", 0, 1.0, arguments=[["", " a"], ["", " b"]]),
        choice_line(8, "", 0, 0.0),
        choice_line(9, None, 0, 0.0),
    ])  # fmt: skip
    (file,), told = imported(path)
    assert file.mode == Mode("choose")
    assert file.lines[0]["messages"] == json.loads(chat)
    assert told[1].startswith("of some samples acc speaks against the target")
    counts = [re.findall(r"(.+) \((\d+): ", one) for one in told[2:]]
    assert [found[0] for found in counts if "metric" not in found[0][0]] == [
        ("chooses among questions, not among continuations", "1"),
        ("two of its choices are the same", "1"),
        ("several of its choices are right", "1"),
        ("its target is none of its choices", "3"),
        ("its acc is neither 0 nor 1: several of its choices may be right", "1"),
        ("its acc says that its target is not what is right", "1"),
        ("a suite line asks nothing", "1"),
    ]
    assert f"its target is none of its choices (3: {path}:5, {path}:9, {path}:10)" in told


@pytest.mark.parametrize(
    ("beside", "targets"),
    [
        ([], None),  # nothing tells
        ([choice_line(9, "0", 0, 1.0)], [1, 1, 0]),  # a place alone, so that all are
        ([choice_line(9, "blue", 0, 1.0)], [0, 0, 0]),  # a text alone
        ([choice_line(9, "blue", 0, 1.0), choice_line(8, "1", 1, 1.0)], [0, 1]),
    ],
)
def test_targets_of_one_file_are_read_as_places_or_all_as_texts(
    tmp_path: Path, beside: list[Any], targets: list[int] | None
):
    sums = [["Sum?", " 1"], ["Sum?", " 0"]]
    both = [choice_line(n, "1", None, 1.0, arguments=[[f"{n} {a}", b] for a, b in sums])
            for n in range(2)]  # fmt: skip
    path = lines(tmp_path / "samples_sums.jsonl", both + beside)
    if targets is None:
        assert "its target is a place or a text of its choices (2: " in refused(path)
        seen = choice_line(2, "1", 1, 0.0, arguments=sums)  # the second, which acc says is wrong
        path = lines(tmp_path / "samples_sums.jsonl", [*both, seen])
        targets = [0, 0, 0]
    (file,), _ = imported(path)
    assert [line["target"] for line in file.lines] == targets


def test_a_log_of_inspect_and_its_data_sets(tmp_path: Path):
    (file,), told = imported(REFEREE / "sums.eval")
    assert file.scorer == "includes"
    assert file.lines[1] == {"id": "q1", "input": "What is 2 + 2? (1)", "target": "4",
                             "slices": {"topic": "b"}}  # fmt: skip
    assert any(one.startswith("scorer match looks at the end") for one in told)
    samples = lines(tmp_path / "data.jsonl", [
        {"id": 1, "input": "Sky?", "choices": ["red", "blue"], "target": "B", "metadata": {"k": 1}},
        {"id": 2, "input": [{"role": "user", "content": "Sun?"}], "choices": ["hot", "cold"],
         "target": ["A"]},
    ])  # fmt: skip
    (file,), _ = imported(samples, said="inspect")
    assert file.scorer == "choice"
    assert file.lines[0]["input"] == "Sky?\n\nA) red\nB) blue"
    assert file.lines[0]["slices"] == {"k": "1"}
    assert file.lines[1]["messages"][0]["content"] == "Sun?\n\nA) hot\nB) cold"
    assert [line["target"] for line in file.lines] == ["B", "A"]


CONFIG = """
prompts: ["Briefly: {{question}}", "file://other.txt"]
providers: [openai:gpt-4o]
defaultTest: {assert: [{type: latency, threshold: 100}]}
tests:
  - description: capital
    vars: {question: "Capital of Norway?"}
    metadata: {topic: places}
    assert: [{type: equals, value: Oslo}]
  - vars: {question: ["a?", "b?"], wanted: "Oslo."}
    assert:
      - {type: icontains, value: "{{wanted}}"}
      - {type: not-contains, value: sorry}
      - {type: javascript, value: output.length < 10}
  - vars: {question: JSON please}
    assert: [{type: is-json, value: {type: object}}, {type: llm-rubric, value: is polite}]
  - vars: {question: "{{ not a mark }}"}
"""


def test_tests_of_promptfoo_name_all_that_has_no_equivalent(tmp_path: Path):
    files, told = imported(write(tmp_path / "promptfooconfig.yaml", CONFIG))
    by_name = {file.name: file for file in files}
    assert list(by_name) == ["suite", "suite-json_schema", "suite-judged", "suite-unscored"]
    texts = by_name["suite"]
    assert texts.scorer == "regex"
    assert texts.lines[0]["input"] == "Briefly: Capital of Norway?"
    assert texts.lines[0]["slices"] == {"topic": "places"}
    assert [line["input"] for line in texts.lines[1:]] == ["Briefly: a?", "Briefly: b?"]
    assert by_name["suite-json_schema"].lines[0]["target"] == {"type": "object"}
    assert by_name["suite-judged"].lines[0]["target"] == "is polite"
    assert by_name["suite-unscored"].num_open == 1
    for name, number in (("latency", 5), ("javascript", 2), ("llm-rubric", 1)):
        assert any(f"assertion {name} " in one and f"({number}: " in one for one in told), name
    same = imported(tmp_path)[0]
    assert [file.lines for file in same] == [file.lines for file in files]


def test_tests_of_promptfoo_in_a_csv(tmp_path: Path):
    path = write(tmp_path / "tests.csv",
                 "question,__expected1,__expected2,__metadata:topic,__prefix\n"
                 "Sky?,contains-any: blue,,nature,Hm \n"
                 'Sun?,"contains-all: hot, big",not-contains: cold,,\n'
                 "Sea?,salt: yes,python: f.py,,\n")  # fmt: skip
    (file,), told = imported(path)
    assert file.lines[0]["input"] == "Hm Sky?"
    assert file.lines[0]["slices"] == {"topic": "nature"}
    assert file.lines[2]["target"] == r"(?s)\A(?=salt:\ yes\Z)"
    assert any("assertion python" in one for one in told)
    only_equal = write(
        tmp_path / "equal.csv", "question,__expected\nSky?,blue\nSea?,equals: salt\n"
    )
    (file,), _ = imported(only_equal)
    assert (file.scorer, [line["target"] for line in file.lines]) == ("exact", ["blue", "salt"])


def _evals(**changes: Any) -> dict[str, Any]:
    criteria = [
        {"type": "string_check", "name": "same", "input": "{{ sample.output_text }}",
         "operation": "eq", "reference": "{{ item.label }}"},
        {"type": "text_similarity", "name": "alike", "input": "{{sample.output_text}}",
         "reference": "{{item.label}}", "evaluation_metric": "fuzzy_match", "pass_threshold": 0.8},
        {"type": "label_model", "name": "tone", "model": "o3-mini", "labels": ["ok", "bad"],
         "passing_labels": ["ok"], "input": [{"role": "user", "content": "Of {{item.text}}?"}]},
        {"type": "python", "name": "code", "source": "def grade(sample, item): return 1"},
    ]  # fmt: skip
    return {"object": "eval", "id": "eval_1", "name": "Tickets",
            "data_source_config": {"type": "custom", "schema": {"type": "object"}},
            "testing_criteria": criteria, **changes}  # fmt: skip


def test_evals_of_the_hosted_service_in_a_folder(tmp_path: Path):
    write(tmp_path / "eval.json", _evals())
    run = {"object": "eval.run", "data_source": {"type": "completions", "input_messages": {
        "type": "template", "template": [
            {"role": "developer", "content": "Sort the ticket."},
            {"role": "user", "content": "{{ item.text }}"}]}}}  # fmt: skip
    write(tmp_path / "run.json", run)
    rows = [{"item": {"text": f"ticket {n}", "label": "Hardware"}} for n in range(3)]
    lines(tmp_path / "rows.jsonl", rows)
    files, told = imported(tmp_path)
    by_name = {file.name: file for file in files}
    assert {name: file.scorer for name, file in by_name.items()} == {
        "suite": {"name": "fuzzy", "at_least": 0.8}, "suite-judged": "", "suite-exact": "exact",
    }  # fmt: skip
    assert by_name["suite-exact"].lines[2] == {
        "messages": [{"role": "system", "content": "Sort the ticket."},
                     {"role": "user", "content": "ticket 2"}],
        "target": "Hardware",
    }  # fmt: skip
    assert by_name["suite-judged"].lines[0]["target"] == "Of ticket 0?\nright: ok"
    assert any("criterion code (python) has no equivalent here (3: " in one for one in told)
    assert any("criterion tone (label_model)" in one for one in told)


def test_evals_with_their_rows_as_output_items_say_what_was_asked(tmp_path: Path):
    items = [{"object": "eval.run.output_item", "datasource_item": {"text": "t", "label": "A.b"},
              "sample": {"input": [{"role": "user", "content": "Sort: t"}]}}]  # fmt: skip
    checks = [{"type": "string_check", "name": n, "input": "{{sample.output_text}}",
               "operation": n, "reference": "{{item.label}}"} for n in ("ilike", "ne")]  # fmt: skip
    path = write(tmp_path / "export.json", {
        "eval": _evals(testing_criteria=checks), "output_items": {"object": "list", "data": items},
    })  # fmt: skip
    (file,), _ = imported(path)
    assert file.lines[0]["messages"] == [{"role": "user", "content": "Sort: t"}]
    pattern = re.compile(file.lines[0]["target"])
    assert [bool(pattern.search(text)) for text in ("so a.B it is", "A.b", "Axb")] == [
        True, False, False,
    ]  # fmt: skip


def test_a_folder_of_the_hub_with_splits_classes_and_choices(tmp_path: Path):
    features = {"label": {"names": ["sad", "glad"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["I cry", "I laugh"], "label": [0, 1]})
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        pq.write_table(table.replace_schema_metadata(metadata), path)
    told = refused(tmp_path)
    assert "several splits" in told
    assert "--split test" in told
    (file,), _ = imported(tmp_path, split="test", slices=("label",))
    assert [line["target"] for line in file.lines] == ["sad", "glad"]
    assert file.lines[0]["slices"] == {"label": "sad"}
    arc = lines(tmp_path / "arc.jsonl", [
        {"question": "Sky?", "choices": {"text": ["red", "blue"], "label": ["1", "2"]},
         "answerKey": "2"},
    ])  # fmt: skip
    (file,), _ = imported(arc, target="answerKey")
    assert (file.scorer, file.lines[0]["target"]) == ("choice", "B")


def test_the_same_question_again_and_a_missing_target_are_told(tmp_path: Path):
    path = write(tmp_path / "t.csv", "input,target\na,1\na,1\na,2\nb,\n,3\n")
    (file,), told = imported(path)
    assert [line["target"] for line in file.lines] == ["1", None]
    assert [one.partition(" (")[0] for one in told] == [
        "asked before, with the same target", "asked before, with another target",
        "has no target: fill it in", "a suite line asks nothing",
    ]  # fmt: skip
    assert f"{path}:3" in told[0]
    assert f"{path}:5" in told[2]


def test_examples_to_train_on_and_numbers_as_questions(tmp_path: Path):
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    path = lines(tmp_path / "chat.jsonl", [{"messages": chat}, {"messages": chat[:1] * 2}])
    (file,), _ = imported(path)
    assert file.lines[0] == {"messages": chat[:1], "target": "4"}
    assert file.lines[1]["target"] is None
    (file,), _ = imported(lines(tmp_path / "n.jsonl", [{"input": 7, "ideal": [8, 9]}]))
    assert file.lines[0] == {"input": "7", "target": "8\n9"}


def test_an_expression_that_is_none_here_is_told(tmp_path: Path):
    test = {"vars": {"q": "a"}, "assert": [{"type": "regex", "value": "(?<=a"}]}
    (file,), told = imported(write(tmp_path / "t.json", [test]))
    assert file.num_open == 1
    assert any(one.startswith("assertion regex has no equivalent") for one in told)


HOSTILE = {
    "bad.yaml": ("a: [1\nb: {", "bad.yaml:2"),
    "bomb.yaml": ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
    ) + "tests: [*i]\n", "too large"),
    "deep.json": ("[" * 100_000, "nested deeper"),
    "cut.jsonl": ('{"input": "a", "target": "b"}\n{"input": ', "cut.jsonl:2"),
    "latin.jsonl": ('{"input": "a"}\n{"input": "\udce9"}', "latin.jsonl:2"),
    "cells.csv": ("input,target\na,b\nc\n", "cells.csv:3"),
    "columns.csv": ("foo,bar\n1,2\n", "--input COLUMN"),
    "no.parquet": ("PAR1 but not", "no Parquet"),
    "empty.json": ("", "is empty"),
    "outside.yaml": ("prompts: [a]\ntests: file:///etc/passwd", "outside of its folder"),
    "above.yaml": ("prompts: [a]\ntests: ../x.yaml", "outside of its folder"),
    "eval.json": (json.dumps({"testing_criteria": []}), "none of its rows"),
    "list.json": ("[1, 2]", "no list of objects"),
    "config.js": ("module.exports = {}", "not run"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_imported_is_one_line_with_the_place(name: str, tmp_path: Path):
    text, word = HOSTILE[name]
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert word in refused(path)


def test_a_zip_that_is_no_log_and_values_that_json_has_not(tmp_path: Path):
    path = tmp_path / "x.eval"
    with ZipFile(path, "w") as archive:
        archive.writestr("other.json", "{}")
    assert "no log of Inspect" in refused(path)
    rows = write(
        tmp_path / "n.jsonl", '{"input": "a", "target": NaN}\n{"input": "b", "target": 1}\n'
    )
    (file,), told = imported(rows)
    assert len(file.lines) == 1
    assert "no number that JSON has (1: " in told[0]


def test_what_is_pasted_is_toml_whatever_the_names(tmp_path: Path):
    for name in ("plain", 'with "quotes"\n', "\x7f ü.b"):
        text = suite_toml(name, "s.jsonl", {"name": "regex", "pattern": 'a"\\d'}, purpose="p\x00")
        settings = parse_settings(read_toml(text), base=str(tmp_path))
        assert settings.suites[name].purpose == "p\x00"
        assert settings.suites[name].scorer == {"name": "regex", "pattern": 'a"\\d'}


def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path):
    path = tmp_path / "s.jsonl"
    write_new(path, "1", force=False)
    with pytest.raises(UsageError, match="there already"):
        write_new(path, "2", force=False)
    assert path.read_text() == "1"
    write_new(path, "2", force=True)
    assert path.read_text() == "2"
    assert list(tmp_path.iterdir()) == [path]
