from __future__ import annotations

import gzip
import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from tasks.errors import UsageError
from tasks.referee.files import ResultFile
from tasks.referee.recognise import read_results
from tasks.referee.scale import number
from tests.tasks.referee.rows import (
    lm_eval_line,
    nemo_line,
    promptfoo,
    promptfoo_test,
    scores,
    write_csv,
    write_lines,
)

#: written by Inspect 0.3.285, packed by Zstandard as it does; events and traceback are taken out
INSPECT = Path(__file__).parent / "data" / "sums.eval"
_LOG = INSPECT.read_bytes()


def refused(path: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        read_results(str(path))
    assert "\n" not in caught.value.line()
    return caught.value.line()


def test_a_log_of_inspect_is_read_as_it_was_written():
    run = read_results(str(INSPECT))
    assert run.name == "mockllm/model"
    assert [row.item_id for row in run.rows] == [f"q{n}" for n in range(6)]
    assert [row.suite for row in run.rows] == ["sums"] * 6
    values = [{name: mark.value for name, mark in row.marks.items()} for row in run.rows]
    assert values[:3] == [
        {"match": 1.0, "includes": 1.0},
        {"match": 0.0, "includes": 0.0},
        {"match": 0.0, "includes": 1.0},
    ]
    assert run.rows[5].error == "RuntimeError('the tool did not answer')"
    assert run.rows[5].text is None
    assert run.rows[5].marks == {}
    assert run.rows[1].text == "I do not know"
    assert run.rows[1].target == "4"
    assert run.rows[1].question == "What is 2 + 2? (1)"
    assert run.rows[1].details == {"topic": "b"}
    assert run.rows[1].input_tokens == 10


def test_a_json_log_of_inspect_has_the_same_rows(tmp_path: Path):
    file = ResultFile(INSPECT)
    (header,) = (value for _, value in file.members("header.json"))
    samples = [value for _, value in file.members("samples/")]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({**header, "samples": samples}))
    assert read_results(str(path)).rows == read_results(str(INSPECT)).rows


def test_scores_of_inspect_by_letter_by_key_and_without_a_value(tmp_path: Path):
    def sample(number: int, value: object) -> dict[str, object]:
        return {
            "id": number,
            "epoch": 1,
            "input": [{"role": "user", "content": "hi"}],
            "target": ["a", "b"],
            "scores": {"judge": {"value": value}},
            "output": {"choices": [{"message": {"content": "a"}}], "completion": "a"},
        }

    log = {"status": "cancelled", "eval": {"task": "lib/greet", "model": "m"},
           "results": {"total_samples": 9},
           "samples": [sample(1, "P"), sample(2, {"tone": "C", "fact": 0.5}),
                       sample(3, float("nan"))]}  # fmt: skip
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    run = read_results(str(path))
    assert [row.suite for row in run.rows] == ["greet"] * 3
    assert run.rows[0].marks["judge"].value == 0.5
    assert {k: m.value for k, m in run.rows[1].marks.items()} == {
        "judge/tone": 1.0,
        "judge/fact": 0.5,
    }
    assert number(run.rows[2].marks["judge"].value) == "the score is nan"
    assert run.rows[0].question == "hi"
    assert run.rows[0].target == "a\nb"
    assert run.notes == (
        "log.json: the log says of its run: cancelled",
        "log.json: 3 of 9 samples are in the log",
    )


def test_samples_of_lm_eval_with_several_filters_are_one_row_each(tmp_path: Path):
    folder = tmp_path / "org__model"
    lines = [lm_eval_line(n, float(f == "strict-match"), f)
             for f in ("strict-match", "flexible-extract") for n in range(4)]  # fmt: skip
    path = write_lines(folder / "samples_gsm8k_cot_2026-01-01T00-00-00.123456.jsonl", lines)
    run = read_results(str(path))
    assert (run.name, run.format) == ("org__model", "lm-eval")
    assert [(row.suite, row.item_id) for row in run.rows] == [
        ("gsm8k_cot", str(n)) for n in range(4)
    ]
    assert {name: mark.value for name, mark in run.rows[0].marks.items()} == {
        "exact_match,strict-match": 1.0,
        "exact_match,flexible-extract": 0.0,
    }
    assert run.rows[1].question == "Q: q1\nA:"
    assert run.rows[1].text == "it is 5"
    assert run.rows[1].details["subject"] == "sums"


def test_samples_that_lm_eval_wrote_are_read(tmp_path: Path):
    """By lm-eval 0.4.13 with its dummy model, which answers lol, and two filters."""
    (path,) = (Path(__file__).parent / "data").glob("samples_*.jsonl")
    run = read_results(str(path))
    assert [row.item_id for row in run.rows] == [str(n) for n in range(6)]
    assert {row.suite for row in run.rows} == {"sums"}
    for name in ("exact_match,strict", "exact_match,loose"):
        assert [row.marks[name].value for row in run.rows] == [0, 1, 0, 1, 0, 1]
    assert (run.rows[1].question, run.rows[1].text, run.rows[1].target) == ("q1", "lol", "lol")
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    beside = tmp_path / path.name.replace("samples_sums", "results").replace(".jsonl", ".json")
    beside.write_text(json.dumps({"model_name": "org/model"}))
    assert read_results(str(copy)).name == "org/model"


def test_a_folder_of_lm_eval_is_one_run_and_two_times_of_a_task_are_refused(tmp_path: Path):
    for task in ("arc", "gsm8k"):
        name = f"samples_{task}_2026-01-01T00-00-00.1.jsonl"
        write_lines(tmp_path / "m" / name, [lm_eval_line(0, 1.0)])
    run = read_results(str(tmp_path))
    assert [row.suite for row in run.rows] == ["arc", "gsm8k"]
    again = "samples_arc_2026-01-02T00-00-00.1.jsonl"
    write_lines(tmp_path / "m" / again, [lm_eval_line(0, 1.0)])
    assert "two files of the folder hold results of arc" in refused(tmp_path)


def test_results_of_promptfoo_are_split_by_provider_and_errors_have_no_score(tmp_path: Path):
    tests = [promptfoo_test(n, "openai:one", n % 2) for n in range(4)]
    tests += [promptfoo_test(n, "openai:two", 1.0) for n in range(3)]
    tests += [promptfoo_test(3, "openai:two", 0.0, error="429 Too Many Requests")]
    path = tmp_path / "out.json"
    path.write_text(json.dumps(promptfoo(tests)))
    line = refused(path)
    assert "several releases" in line
    assert "openai:one, openai:two" in line
    assert "did you mean 'openai:one'" in refused(f"{path}#openai:on")
    one, two = (read_results(f"{path}#openai:{name}") for name in ("one", "two"))
    assert [row.marks["score"].value for row in one.rows] == [0, 1, 0, 1]
    assert one.digest != two.digest
    assert [row.item_id for row in one.rows] == [row.item_id for row in two.rows]
    assert two.rows[3].error == "429 Too Many Requests"
    assert two.rows[3].marks == {}
    assert one.rows[0].latency_s == 0.12
    assert one.rows[0].details["topic"] == "t"


def test_a_bundle_of_nemo_names_benchmark_and_model(tmp_path: Path):
    write_lines(
        tmp_path / "results.jsonl", [nemo_line(n, 1.0, k) for n in range(2) for k in (0, 1)]
    )
    (tmp_path / "eval-2026-gsm8k.json").write_text(
        json.dumps({"config": {"benchmark": "gsm8k", "model": "nemotron"}})
    )
    run = read_results(str(tmp_path))
    assert (run.name, run.rows[0].suite, len(run.rows)) == ("nemotron", "gsm8k", 4)
    assert run.rows[0].slices == {"category": "sums"}


def test_annotations_of_alpaca_eval_are_chances_against_the_baseline(tmp_path: Path):
    records = [
        {"instruction": f"i{n}", "output_1": "a", "generator_1": "base", "output_2": "b",
         "generator_2": "mine", "annotator": "judge", "preference": preference}
        for n, preference in enumerate((1.0, 2.0, 1.5, 0, 1.25, None))
    ]  # fmt: skip
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(records))
    run = read_results(str(path))
    assert run.name == "mine"
    assert [row.marks["preference"].value for row in run.rows] == [0, 1, 0.5, 0.5, 0.25, None]


def test_a_table_of_mlflow_without_ids_is_paired_by_its_inputs(tmp_path: Path):
    table = {"columns": ["inputs", "outputs", "targets", "exact_match/v1/score"],
             "data": [["q", "a", "a", 1], ["r", "b", "c", 0]]}  # fmt: skip
    path = tmp_path / "eval_results_table.json"
    path.write_text(json.dumps(table))
    run = read_results(str(path))
    assert [row.marks["exact_match/v1"].value for row in run.rows] == [1, 0]
    assert run.metrics == ("exact_match/v1",)
    assert len({row.item_id for row in run.rows}) == 2
    assert "no ids" in run.notes[0]


def test_columns_of_a_table_are_known_by_name(tmp_path: Path):
    heading = (
        "id",
        "score",
        "suite",
        "cluster",
        "weight",
        "must_pass",
        "slice.lang",
        "output",
        "ms",
    )
    path = write_csv(tmp_path / "a.csv", heading,
                     [("q1", "0.5", "s", "c1", "2", "true", "en", "text", "7")])  # fmt: skip
    (row,) = read_results(str(path)).rows
    assert (row.suite, row.cluster, row.weight, row.must_pass) == ("s", "c1", 2.0, True)
    assert row.slices == {"lang": "en"}
    assert row.text == "text"
    assert list(row.marks) == ["score", "ms"]


def test_packed_files_and_json_lists_are_read_as_lines_are(tmp_path: Path):
    records = [{"id": n, "score": n % 2} for n in range(5)]
    lines = write_lines(tmp_path / "a.jsonl", records)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.read_bytes()))
    listed = tmp_path / "c.json"
    listed.write_text(json.dumps(records))
    rows = [read_results(str(path)).rows for path in (lines, packed, listed)]
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"id": 1, "score": 1}\n{"id": 2, "sc', "line 2"),
        ("a.jsonl", b'{"id": 1, "score": 1}\n[1]\n', "a line is not a JSON object, line 2"),
        ("a.json", b'[{"id": 1, "score": 1}, {"id"', "is the file cut off?"),
        ("a.json", b"[" * 5000, "nested deeper"),
        ("a.json", b'{"hello": 1}', "in no format that is known"),
        ("a.json", b"\xff\xfe[1]", "in no format that is known"),
        ("a.txt", b"hello", "in no format that is known"),
        ("a.json", b"  \n", "is empty"),
        ("a.csv", b"id,score\nq1,1,2\n", "another number of cells"),
        ("a.csv", b"id,score\n,1\n", "a row has no id"),
        ("a.csv", b"score\n1\n", "no column of ids"),
        ("a.csv", b"id,weight\nq1,1\n", "neither a column of scores nor one of outputs"),
        ("a.csv", b"id,score,weight\nq1,1,-2\n", "a weight is not a number above 0"),
        ("a.csv", b"id,score,must_pass\nq1,1,maybe\n", "must_pass is not true or false"),
        ("a.csv", b"id,score,score\nq1,1,1\n", "two columns have the same name"),
        ("a.csv", b"id,score\nq1,\xff\n", "is not UTF-8"),
        ("a.jsonl.gz", gzip.compress(b'{"id": 1, "score": 1}\n' * 99, mtime=0)[:-12], "cut off"),
        ("a.eval", _LOG[:3000], "zip file that cannot be read"),
        ("a.eval", _LOG[:900] + b"x" + _LOG[901:], "cannot be read"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line_that_says_what(name, content, told, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(content)
    line = refused(path)
    assert told in line
    assert name in line


def test_what_is_no_log_of_inspect_though_a_zip(tmp_path: Path):
    path = tmp_path / "a.eval"
    with ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "without header.json" in refused(path)


def test_what_is_not_there_and_a_folder_without_results(tmp_path: Path):
    assert "no results there" in refused(tmp_path / "none.csv")
    assert "holds no results" in refused(tmp_path)
    plain = scores(tmp_path / "a.csv", [1])
    assert "does not tell releases apart" in refused(f"{plain}#one")
