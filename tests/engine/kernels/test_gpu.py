"""What runs on CUDA: the Triton kernels against torch, their equal bits in any batch, that they
compile for real GPUs, and the recorded decode steps. Without a GPU the kernels run in Triton's
interpreter (conftest.py), and the recorder just runs a step again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("triton")

from engine import LLM, SamplingParams
from engine.attention.plan import Span
from engine.attention.torch_attention import TorchAttention
from engine.execution import decode_graphs, runner
from engine.kernels import cpu, gpu
from tests.engine.conftest import write_llama
from tests.engine.models.test_against_transformers import CASES

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
#: the interpreter's products are numpy's, whose rows depend on their place
TOLERANCE = 0.0 if DEVICE.type == "cuda" else 1e-5


def _random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.mark.parametrize("num_rows", [1, 65, 130])
def test_linear_is_torchs(num_rows: int) -> None:
    x, weight = _random(num_rows, 72), _random(80, 72, seed=1)
    bias, residual = _random(80, seed=2), _random(num_rows, 80, seed=3)
    got = gpu.linear(x, gpu.ExactMatrix(weight), bias, residual)
    torch.testing.assert_close(got, F.linear(x, weight, bias) + residual, rtol=1e-5, atol=1e-4)
    plain = gpu.linear(x, gpu.ExactMatrix(weight))
    torch.testing.assert_close(plain, F.linear(x, weight), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("num_rows", [1, 65, 300])
def test_no_size_of_tiles_changes_a_bit(num_rows: int) -> None:
    x, weight = (_random(*size, seed=3).half() for size in ((num_rows, 72), (136, 72)))
    expected = F.linear(x.double(), weight.double()).half()
    sizes = [(64, 32, 64), (64, 64, 128), (128, 64, 64), (128, 128, 64)]
    results = [gpu.product(x, weight, None, None, gpu.Tiles(*s, 4, 3)) for s in sizes]
    if DEVICE.type == "cpu" or torch.cuda.get_device_capability() >= (9, 0):
        described = gpu.Tiles(64, 64, 64, 4, 3, is_described=True)
        results.append(gpu.product(x, weight, None, None, described))
    for got in results:
        torch.testing.assert_close(got, expected, rtol=0.01, atol=0.01)
        torch.testing.assert_close(got, results[0], rtol=TOLERANCE * 1e3, atol=TOLERANCE * 1e3)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the interpreter's numpy
def test_rowwise_kernels_are_torchs() -> None:
    x, weight = _random(9, 3, 40), _random(40, seed=1)
    expected = F.rms_norm(x, (40,), weight, 1e-5)
    torch.testing.assert_close(gpu.rms_norm(x, weight, 1e-5), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gpu.rms_norm(x[:, 1], weight, 1e-5), expected[:, 1])
    both = _random(5, 2 * 1030)
    torch.testing.assert_close(gpu.silu_mul(both), F.silu(both[:, :1030]) * both[:, 1030:])
    logits = _random(4, 5000)
    logits[1, [7, 4999]] = 9.0
    logits[2, 30], logits[3, 31] = float("nan"), float("inf")
    best, log_sums = gpu.reduce_logits(logits)
    assert best[:2].tolist() == logits[:2].argmax(-1).tolist() == [best[0], 7]
    torch.testing.assert_close(log_sums[:2], torch.logsumexp(logits[:2], -1))
    assert not log_sums[2:].isfinite().any(), "a broken row is seen"


def test_rotary_embedding_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models import layers

    qkv, positions = _random(7, 5, 24), torch.tensor([0, 3, 9, 1, 2, 30, 4], device=DEVICE)
    cos, sin = layers.rope_tables(24, 31, 10000.0, None, DEVICE)
    got, expected = qkv.clone(), qkv.clone()
    gpu.rotate(got, cos, sin, positions, 3)
    monkeypatch.setattr(layers, "_native", lambda x: None)
    layers.rotate(expected, cos, sin, positions, 3)
    torch.testing.assert_close(got, expected)


def _attention(kind: Callable[..., Any], *more: object) -> Any:
    """9 blocks of 32; 6 query heads over 2 K/V heads of 24."""
    return kind(1, 9, 6, 2, 24, torch.float32, DEVICE, *more)


def _attend(attention: Any, qkv: Tensor, spans: list[Span], **settings: Any) -> Tensor:
    out = torch.zeros(qkv.shape[0], 6 * 24, device=DEVICE)
    q, k, v = torch.split(qkv, [6, 2, 2], dim=1)
    attention.attend(0, q, k, v, attention.plan(spans), out, scale=0.2, **settings)
    return out


SETTINGS: list[dict[str, Any]] = [{}, {"window": 40}, {"softcap": 2.0, "window": 7}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_attention_is_that_of_torch(settings: dict[str, Any]) -> None:
    qkv = _random(110, 10, 24)
    spans = [Span(0, 0, 70, [3, 1, 8]), Span(70, 0, 39, [0, 5]), Span(109, 0, 1, [7])]
    expected = _attend(_attention(TorchAttention), qkv, spans, **settings)
    got = _attend(_attention(gpu.TritonAttention), qkv, spans, **settings)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_no_cut_of_a_prompt_changes_a_bit(settings: dict[str, Any]) -> None:
    qkv, table = _random(70, 10, 24), [4, 2, 6]
    whole = _attend(_attention(gpu.TritonAttention), qkv, [Span(0, 0, 70, table)], **settings)
    pieces = _attention(gpu.TritonAttention)
    first = 0
    for count in (33, 1, 20, 15, 1):
        part = qkv[first : first + count]
        got = _attend(pieces, part, [Span(0, first, count, table)], **settings)
        expected = whole[first : first + count]
        torch.testing.assert_close(got, expected, rtol=TOLERANCE, atol=TOLERANCE)
        first += count


@pytest.fixture
def on_gpu_kernels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The engine as on CUDA; the rows of each recording."""
    recorded: list[int] = []

    def recorder() -> decode_graphs.Recorder:
        def record(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
            recorded.append(run().shape[0])
            return real(run)

        return record

    real = runner.cuda_recorder() if DEVICE.type == "cuda" else lambda run: run
    monkeypatch.setattr(cpu, "can_run", lambda device, dtype: False)
    monkeypatch.setattr(gpu, "can_run", lambda device, dtype: True)
    monkeypatch.setattr(runner, "cuda_recorder", recorder)
    monkeypatch.setattr(decode_graphs, "GRAPH_ROWS", (4, 64))
    return recorded


#: the interpreter is slow
IN_INTERPRETER = ("grouped queries", "qwen3", "gemma2")
QUANTISED = ("grouped queries", "qwen3", "mixtral")
SETUPS = [(case, None) for case in CASES] + [(case, "int8") for case in QUANTISED]


@pytest.mark.parametrize(("case", "quantization"), SETUPS)
def test_engine_answers_the_same_on_gpu_kernels(
    tmp_path: Path,
    on_gpu_kernels: list[int],
    case: str,
    quantization: str | None,
    request: Any,
) -> None:
    is_interpreted = DEVICE.type == "cpu"
    if is_interpreted and (case not in IN_INTERPRETER or quantization is not None):
        pytest.skip("on a GPU only: the interpreter is slow")
    sizes = {"hidden_size": 64, "intermediate_size": 128} if quantization else {}
    folder = write_llama(tmp_path, **CASES[case] | sizes)
    prompts = [[5, 6, 7] * 15, [9], [11, 12]]
    params = SamplingParams(max_tokens=4, logprobs=2)
    settings: dict[str, Any] = {
        "dtype": "float32",
        "kv_cache_bytes": 1 << 20,
        "quantization": quantization,
    }
    got = LLM(folder, str(DEVICE), **settings).generate(prompts, params)
    has_experts = "mixtral" in case or "moe" in case
    assert on_gpu_kernels == ([] if has_experts else [4]), "three rows, recorded once, as four"
    for prompt, expected in zip(prompts, got, strict=True):
        alone = LLM(folder, str(DEVICE), **settings).generate([prompt], params)[0]
        assert alone.token_ids == expected.token_ids
        assert alone.logprobs == pytest.approx(expected.logprobs, rel=TOLERANCE, abs=TOLERANCE)
    request.getfixturevalue("monkeypatch").undo()
    reference = LLM(folder, "cpu", **settings).generate(prompts, params)
    for mine, expected in zip(got, reference, strict=True):
        assert mine.token_ids == expected.token_ids
        assert mine.logprobs == pytest.approx(expected.logprobs, abs=1e-4)


def test_device_runs_ahead_and_nobody_can_tell(
    tmp_path: Path, on_gpu_kernels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of many lengths, an end token on the way, forks, and a cache too small for all."""
    folder = write_llama(tmp_path, num_hidden_layers=1)
    prompts = [[5, 6, 7], [9] * 31, [9] * 33, [4, 3]]
    settings: dict[str, Any] = {"dtype": "float32", "kv_cache_bytes": 5 * 32 * 2 * 24 * 4}
    first = LLM(folder, str(DEVICE), **settings)
    plain = [SamplingParams(max_tokens=n) for n in (12, 9, 4, 6)]
    tokens = first.generate(prompts, plain)[0].token_ids
    params = [SamplingParams(max_tokens=12, stop_token_ids=(tokens[5],)), *plain[1:]]
    steps: dict[int, int] = {}
    answers: dict[int, list[Any]] = {}
    for max_ahead in (1, 8):
        llm = LLM(folder, str(DEVICE), **settings)
        core: Any = llm._engine
        core.max_ahead = max_ahead
        run_ahead, looks = core._runner.run_ahead, []
        monkeypatch.setattr(
            core._runner, "run_ahead", lambda c, n, f=run_ahead, k=looks: (k.append(n), f(c, n))[1]
        )
        answers[max_ahead] = [
            (c.token_ids, c.finish_reason, c.error) for c in llm.generate(prompts, params)
        ]
        steps[max_ahead] = len(looks)
        core.check_idle()
        assert llm.stats().num_preemptions > 0 or max_ahead == 8
    assert answers[8] == answers[1]
    assert answers[1][0] == (tokens[: tokens.index(tokens[5]) + 1], "stop", None)
    assert steps[1] == 0 < steps[8]


def test_broken_row_is_named_when_the_device_runs_ahead(
    tmp_path: Path, on_gpu_kernels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = LLM(
        write_llama(tmp_path, num_hidden_layers=1), str(DEVICE), "float32", kv_cache_bytes=1 << 20
    )
    core: Any = llm._engine
    real = core._runner.graphs.run_ahead

    def broken(chunks: Any, num_steps: int) -> Any:
        tokens, log_sums = real(chunks, num_steps)
        log_sums[1][0] = float("nan")
        return tokens, log_sums

    monkeypatch.setattr(core._runner.graphs, "run_ahead", broken)
    bad, good = llm.generate([[5, 6], [7]], SamplingParams(max_tokens=3))
    assert bad.error is not None
    assert "position 3 are NaN" in bad.error
    assert good.error is None


COMPILE = """
import json, sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from engine.kernels import gpu_kernels

def build(kernel, capability, constants, **types):
    names = kernel.arg_names
    source = ASTSource(
        kernel,
        {name: "constexpr" if name in constants else types.get(name, "i32") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name not in constants},
    )
    built = compile(source, GPUTarget("cuda", capability, 32), {"num_warps": 4, "num_stages": 2})
    return built.asm["ptx"], built.metadata.shared

B = "*bf16"
for capability in (80, 90):
    matmul, shared = build(
        gpu_kernels.matmul_kernel, capability,
        dict(IS_DESCRIBED=False, HAS_BIAS=True, HAS_RESIDUAL=True, PRECISION="tf32",
             ROWS=64, OUTS=64, INS=64, GROUP=8),
        x=B, w=B, bias=B, residual=B, out=B)
    attend, _ = build(
        gpu_kernels.attend_kernel, capability,
        dict(KV_HEADS=8, GROUP=4, HEAD_DIM=128, BLOCK=32, HAS_SOFTCAP=True, HAS_WINDOW=True,
             PRECISION="tf32", ROWS=64, KEYS=64, DIM=128),
        q=B, keys=B, values=B, tiles="*i32", tables="*i32", out=B, scale="fp32", softcap="fp32")
    unit = "wgmma.mma_async" if capability == 90 else "mma.sync"
    print(json.dumps([capability, shared, unit in matmul, unit in attend]))
"""


def test_kernels_compile_for_gpus_and_use_their_matrix_units(tmp_path: Path) -> None:
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines():
        _, shared, *uses_matrix_unit = json.loads(line)
        assert shared < 100 << 10
        assert uses_matrix_unit == [True, True]
