"""`python -m engine`: what it reads and writes, what it costs to ask for help, how it fails."""

from __future__ import annotations

import io
import json
import resource
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from engine import LLM, SamplingParams
from engine.__main__ import main
from engine.requests.request import Request
from engine.scheduling.core import EngineCore

OPTIONS = ["--device", "cpu", "--dtype", "float32", "--kv-cache-bytes", str(8 << 20)]


def write_lines(path: Path, *values: object) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)


def read_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_help_answers_in_half_a_second():
    """Processor time, so that whoever else is at work on the machine does not count."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "engine", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.5


@pytest.mark.parametrize("command", ["generate", "score", "bench", "serve"])
def test_every_command_is_documented_and_explains_itself(
    command: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--model" in capsys.readouterr().out
    assert f"`python -m engine {command}`" in Path("docs/commands.md").read_text()


def test_every_sampling_parameter_is_a_flag(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    flags = set(capsys.readouterr().out.split())
    for field in fields(SamplingParams):
        assert "--" + field.name.replace("_", "-") in flags
        assert field.metadata["text"]


def test_generate_writes_what_the_engine_says(
    tiny_model: Path, tmp_path: Path, chatty: LLM, capsys: pytest.CaptureFixture[str]
):
    chat = [{"role": "user", "content": "Hi"}]
    with_id = {"id": 7, "prompt": [5, 6], "max_tokens": 3}
    lines = ["One", with_id, {"messages": chat}, {"prompt": []}]
    target = tmp_path / "out.jsonl"
    source = write_lines(tmp_path / "in.jsonl", *lines)
    arguments = ["--input", source, "--output", str(target), "--max-tokens", "5", "--json"]
    assert main(["generate", "--model", str(tiny_model), *OPTIONS, *arguments]) == 0
    rows = read_lines(target.read_text())
    expected = chatty.generate(
        ["One", [5, 6], chat, []], [SamplingParams(max_tokens=n) for n in (5, 3, 5, 5)]
    )
    assert [row["text"] for row in rows] == [completion.text for completion in expected]
    assert [row.get("id") for row in rows] == [None, 7, None, None]
    assert "prompt is empty" in str(rows[3]["error"])
    output = capsys.readouterr()
    summary = json.loads(output.out)
    assert (summary["requests"], summary["failed"]) == (4, 1)
    assert output.err == "4 requests, 1 failed.\n", "no bar where there is no terminal"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_score_reads_standard_input_and_writes_standard_output(
    tiny_model: Path,
    chatty: LLM,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    pairs = [("Hi ", "you"), ([5], [6, 7]), ([1], [])]
    lines = [{"context": context, "continuation": after} for context, after in pairs]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, lines))))
    assert main(["score", "--model", str(tiny_model), *OPTIONS]) == 0
    rows = read_lines(capsys.readouterr().out)
    scores = chatty.score(pairs)  # type: ignore[arg-type]
    assert [row["logprob"] for row in rows] == [*(s.logprob for s in scores[:2]), None]
    assert "continuation is empty" in str(rows[2]["error"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"prompt": "a", "temprature": 1}], "Line 1 has 'temprature'. Allowed: id, prompt"),
        (["fine", {"id": 1}], "Line 2 must have 'prompt' or 'messages'"),
        ([{"prompt": "a", "top_p": 7}], "Line 1: SamplingParams.top_p is 7"),
        ([5], "value 1 must be an object or a text"),
    ],
)
def test_line_that_cannot_be_understood_is_refused_before_anything_runs(
    tmp_path: Path, lines: list[object], message: str, capsys: pytest.CaptureFixture[str]
):
    source = write_lines(tmp_path / "in.jsonl", *lines)
    assert main(["generate", "--model", "absent", "--input", source]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--input", "absent.jsonl"], 4, "absent.jsonl"),
        (["--output", "absent/out.jsonl"], 4, "not there or cannot be written"),
        (["--json"], 2, "give --output a file"),
    ],
)
def test_files_are_looked_at_first(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["score", "--model", "absent", *arguments]) == code
    assert message in capsys.readouterr().err


def test_interrupt_leaves_no_half_written_result(
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    lines = [{"prompt": [token], "max_tokens": 1000} for token in range(64)]
    source = write_lines(tmp_path / "in.jsonl", *lines)
    target = tmp_path / "out.jsonl"
    target.write_text("before\n")
    arguments = ["--model", str(tiny_model), *OPTIONS, "--input", source, "--output", str(target)]
    step, steps = EngineCore.step, []

    def interrupted_step(core: EngineCore) -> list[Request]:
        steps.append(core)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return step(core)

    monkeypatch.setattr(EngineCore, "step", interrupted_step)
    assert main(["generate", *arguments]) == 130
    assert capsys.readouterr().err == "engine: Interrupted; nothing was written.\n"
    assert target.read_text() == "before\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_bench_tells_speed_and_share_of_the_roofline(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.measuring.roofline.MIN_CYCLE_BYTES", 1 << 20)
    monkeypatch.setattr("engine.measuring.roofline.MIN_TRY_S", 0.001)
    small = ["--num-requests", "3", "--prompt-tokens", "9", "--output-tokens", "4"]
    assert main(["bench", "--model", str(tiny_model), *OPTIONS, *small, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["output_tokens_per_s"] == pytest.approx(12 / result["generate_s"])
    assert 0 < result["ttft_median_s"] <= result["ttft_last_s"] < result["generate_s"]
    assert 0 < result["generate_roofline_ratio"] < 1
    readings = result["bandwidth_readings_gbytes_per_s"]
    assert len(readings) == 2, "one before the work, one after it"
    assert result["bandwidth_gbytes_per_s"] == max(readings)
    assert main(["bench", "--model", str(tiny_model), *OPTIONS, *small]) == 0
    assert "of the roofline" in capsys.readouterr().out
    too_long = ["--prompt-tokens", "5000"]
    assert main(["bench", "--model", str(tiny_model), *OPTIONS, *too_long]) == 2


def test_what_a_terminal_would_obey_is_spelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = write_lines(tmp_path / "in.jsonl", "a text")
    assert main(["generate", "--input", source, "--model", "/no/\x1b]0;x\x07\u202e\udcff"]) == 2
    told = capsys.readouterr().err
    assert r"/no/\x1b]0;x\x07\u202e\udcff" in told
    assert told[:-1].isprintable()
