"""The measurements themselves: a bound that cannot be exceeded by arithmetic, work cut in whole
pieces, a peer that fails named with its reason, the GPU script's steps on a toy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import engine_gpu
from benchmarks.processes import ROOT, MeasuredProcess, SystemFailedError
from benchmarks.workloads import Workloads, score_s
from engine.measuring.roofline import Roofline, Shape
from tests.engine.conftest import MakeModel

SHAPE = Shape(
    ((16, 8), (8, 8), (16, 8), (16, 8), (8, 16)),
    layers=2, vocab=32, hidden=8, query_width=8, kv_width=4,
)  # fmt: skip


def flat(flops_per_s: float, bytes_per_s: float) -> Roofline:
    rates = {1: flops_per_s, 512: flops_per_s}
    return Roofline(SHAPE, 4, rates, rates, bytes_per_s)


def test_a_step_takes_the_longer_of_computing_and_reading() -> None:
    parameters = SHAPE.layer_parameters + SHAPE.head_parameters
    one_step = ([3], [2])  # the first token comes with the prompt
    computing = flat(1.0, 1e30).decode_s(*one_step)
    assert computing == 2 * parameters + SHAPE.attention_flops(4)
    assert flat(1e30, 1.0).decode_s(*one_step) == 4 * parameters + SHAPE.kv_bytes(4, 4)


def test_contexts_apart_cost_more_than_shared_ones() -> None:
    work = [([1] * 100, [2] * 10)] * 4 + [([3] * 50, [4] * 5)] * 4
    bound = flat(1e9, 1e9)
    ratio = score_s(bound, work, shared=False) / score_s(bound, work, shared=True)
    assert 2 < ratio < 4
    assert score_s(bound, work[:1], shared=False) == pytest.approx(
        score_s(bound, work[:1], shared=True), rel=0.01
    )


def test_a_share_of_the_work_keeps_contexts_whole() -> None:
    work = Workloads([([1], 2)] * 64, [([i // 4], [1]) for i in range(200)]).share(0.25)
    assert len(work.generate) == 16
    assert len(work.score) == 48
    assert {context[0] for context, _ in work.score} == set(range(12))


def test_our_session_answers_and_a_broken_one_says_why(
    make_model: MakeModel, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "peers" / "ours.py")]
    settings = {"gguf": str(make_model()), "dtype": "float32", "threads": 1}
    process = MeasuredProcess("ours", command, settings, tmp_path / "log", 60)
    try:
        reply = process.ask("generate", [([5, 6, 7], 3), ([8], 2)], 60)
        assert [len(answer) for answer in reply.output] == [3, 2]
        assert reply.peak_mib > 50
        [score] = process.ask("score", [([5, 6], [7, 8])], 60).output
        assert score < 0
        with pytest.raises(SystemFailedError, match="'dance'"):
            process.ask("dance", [], 60)
    finally:
        process.end()


@pytest.mark.slow
def test_the_gpu_script_takes_all_its_steps_on_a_toy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.measuring.roofline.MIN_CYCLE_BYTES", 1 << 20)
    monkeypatch.setattr("engine.measuring.roofline.MIN_TRY_S", 0.001)
    engine_gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    [written] = tmp_path.glob("engine-gpu-*.json")
    report = json.loads(written.read_text())
    lines = {line["what"]: line for line in report["lines"]}
    assert lines["qwen3-0.6b: distinct answers of 40 equal requests, invariance on"]["met"]
    assert sum(line["target"] is not None for line in report["lines"]) == 8
    assert report["notes"] == []
    assert "| llama-3.1-8b: decode, share of bandwidth |" in capsys.readouterr().out
