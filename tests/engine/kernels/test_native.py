"""The native kernels against torch's own functions, and their equal bits in any batch."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from engine.attention.plan import Span
from engine.attention.torch_attention import TorchAttention
from engine.kernels import build, onednn
from engine.kernels import cpu as native

pytestmark = pytest.mark.skipif(
    build.build().library is None, reason=f"no native kernels here: {build.build().reason}"
)

CPU = torch.device("cpu")


def _random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 70), num_out=st.integers(1, 70), num_in=st.integers(1, 90),
    has_bias=st.booleans(), has_residual=st.booleans(),
)  # fmt: skip
def test_linear_is_torchs_for_any_shape(
    rows: int, num_out: int, num_in: int, has_bias: bool, has_residual: bool
) -> None:
    x, weight = _random(rows, num_in), _random(num_out, num_in, seed=1)
    bias = _random(num_out, seed=2) if has_bias else None
    residual = _random(rows, num_out, seed=3) if has_residual else None
    expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    expected = expected if residual is None else expected + residual
    got = native.linear(x, native.pack(weight), bias, residual)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 200), count=st.integers(1, 200))
def test_a_row_has_the_same_bits_among_any_others(first: int, count: int) -> None:
    x, weight = _random(400, 96), native.pack(_random(80, 96, seed=1))
    part = x[first : first + count]
    assert torch.equal(native.linear(part, weight), native.linear(x, weight)[first : first + count])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rowwise_kernels_are_torchs(dtype: torch.dtype) -> None:
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    )
    x, weight = _random(9, 50).to(dtype), _random(50, seed=1).to(dtype)
    scale = torch.rsqrt(x.double().square().mean(-1, keepdim=True) + 1e-5)
    expected = x.double() * scale * weight.double()
    torch.testing.assert_close(native.rms_norm(x, weight, 1e-5).double(), expected, **tolerance)
    both = 30 * _random(9, 74).to(dtype)
    gate, up = both.double().chunk(2, dim=-1)
    torch.testing.assert_close(
        native.silu_mul(both).double(), F.silu(gate) * up, **tolerance | {"atol": 1e-2}
    )


WIDE = torch.cat((torch.linspace(-40, 40, 4001), _random(999), torch.tensor([0.0, 1e-30, 1e30])))


def test_gelu_and_the_soft_cap_are_exact_to_rounding() -> None:
    """Of magnitudes from 1e-30 to 1e30, against float64; torch's own gelu loses its small values
    below -3 to a difference."""
    wide, ones = WIDE.double(), torch.ones_like(WIDE)
    inner = (2 / torch.pi) ** 0.5 * (wide + 0.044715 * wide**3)
    expected = wide * torch.sigmoid(2 * inner)
    torch.testing.assert_close(expected[4001:5000], F.gelu(wide[4001:5000], approximate="tanh"))
    got = native.gelu(WIDE[None])[0]
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-35)
    assert torch.equal(native.gelu_mul(torch.stack((WIDE, ones)).view(1, -1))[0], got)
    for cap in (0.5, 2.5, 30.0):
        capped = native.soft_cap(WIDE.clone(), cap)
        assert capped.abs().max() <= cap
        torch.testing.assert_close(
            capped.double(), cap * torch.tanh(wide / cap), rtol=5e-7, atol=0.0
        )


def test_what_is_not_finite_stays_so() -> None:
    strange = torch.tensor([[float("nan"), float("inf"), float("-inf"), 1.0]])
    assert native.soft_cap(strange.clone(), 2.0)[0, 0].isnan()
    assert native.soft_cap(strange.clone(), 2.0)[0, 1:3].tolist() == [2.0, -2.0]
    assert native.gelu(strange).isfinite()[0].tolist() == [False, False, False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_value_has_the_same_bits_wherever_it_stands(dtype: torch.dtype) -> None:
    """In a full vector, at the end of a row, alone."""
    x = WIDE.to(dtype)
    for width in (1, 3, 17, 61):
        rows = x[: len(x) // width * width].view(-1, width).contiguous()
        whole = rows.view(1, -1)
        assert torch.equal(native.gelu(rows).flatten(), native.gelu(whole)[0])
        for kernel in (native.gelu_mul, native.silu_mul):
            by_row, at_once = (kernel(torch.cat((part, part), 1)) for part in (rows, whole))
            assert torch.equal(by_row.flatten(), at_once[0])
    single = torch.cat([native.soft_cap(value[None].clone(), 2.5) for value in WIDE[::40]])
    assert torch.equal(single, native.soft_cap(WIDE.clone(), 2.5)[::40])


def test_a_norm_with_a_float32_weight_rounds_once() -> None:
    x, weight = _random(9, 50).bfloat16(), _random(50, seed=1)
    scale = torch.rsqrt(x.double().square().mean(-1, keepdim=True) + 1e-5)
    exact = x.double() * scale * weight.double()
    got = native.rms_norm(x, weight, 1e-5)
    torch.testing.assert_close(got.double(), exact, rtol=2**-8, atol=0.0)
    assert torch.equal(got, exact.bfloat16())


def test_logits_are_read_as_torch_reads_them_and_what_is_not_finite_shows() -> None:
    logits = 5 * _random(6, 1003)
    logits[1, 7] = logits[1, 900] = 99.0
    logits[2, 3], logits[3, 1001], logits[4] = float("nan"), float("inf"), float("-inf")
    best, log_sums = native.reduce_logits(logits)
    assert best[1] == 7
    assert best[0] == logits[0].argmax()
    finite = torch.tensor([True, True, False, False, False, True])
    assert torch.equal(log_sums.isfinite(), finite)
    expected = torch.logsumexp(logits[finite].double(), dim=-1)
    torch.testing.assert_close(log_sums[finite].double(), expected, rtol=1e-6, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_attention_is_torchs_for_any_batch(data: st.DataObject) -> None:
    """Random sequences, cut into two steps at a random place, grouped heads, odd sizes, windows."""
    kv_heads, group = data.draw(st.sampled_from([(1, 1), (1, 3), (2, 2)]))
    head_dim = data.draw(st.sampled_from([8, 16, 24, 64]))
    lengths = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=4))
    cuts = [data.draw(st.integers(0, length - 1)) for length in lengths]
    window = data.draw(st.sampled_from([None, 1, 5, 40]))
    softcap = data.draw(st.sampled_from([None, 2.0]))
    heads, tables, used = kv_heads * group, [], 0
    for length in lengths:
        tables.append(list(range(used, used + -(-length // 32)))[::-1])
        used += -(-length // 32)
    sizes = (1, used, heads, kv_heads, head_dim, torch.float32)
    kinds = (native.NativeAttention(*sizes), TorchAttention(*sizes, CPU))
    qkvs = [_random(n, heads + 2 * kv_heads, head_dim, seed=n) for n in lengths]
    for begin, end in ((lambda i: 0, lambda i: cuts[i]), (lambda i: cuts[i], lambda i: lengths[i])):
        spans, parts, row = [], [], 0
        for i in range(len(lengths)):
            if count := end(i) - begin(i):
                spans.append(Span(row, begin(i), count, tables[i]))
                parts.append(qkvs[i][begin(i) : end(i)])
                row += count
        if not spans:
            continue
        q, k, v = torch.split(torch.cat(parts), [heads, kv_heads, kv_heads], dim=1)
        outs = []
        for kind in kinds:
            out = torch.zeros(row, heads * head_dim)
            kind.attend(
                0, q, k, v, kind.plan(spans), out, scale=0.3, window=window, softcap=softcap
            )
            outs.append(out)
        torch.testing.assert_close(*outs, rtol=1e-4, atol=1e-5)


def test_a_packed_onednn_product_is_torchs() -> None:
    weight = _random(40, 48, seed=1)  # float32, which every processor can pack
    matrix = onednn.pack(weight, exact=False)
    assert matrix is not None
    x = _random(7, 48)
    torch.testing.assert_close(onednn.linear(x, matrix), F.linear(x, weight), rtol=1e-5, atol=1e-5)


def test_an_exact_onednn_product_gives_a_row_the_same_bits_among_any_others() -> None:
    matrix = onednn.pack(_random(40, 48, seed=1), exact=True)
    assert matrix is not None
    x, bias = _random(70, 48), _random(40, seed=2)
    whole = onednn.linear(x, matrix, bias)
    torch.testing.assert_close(whole, F.linear(x, _random(40, 48, seed=1), bias))
    for first, count in ((0, 1), (33, 1), (5, 40), (69, 1)):
        part = onednn.linear(x[first : first + count], matrix, bias)
        assert torch.equal(part, whole[first : first + count])
    assert onednn.linear(x[:0], matrix).shape == (0, 40)


def _reason(**environment: str) -> str:
    code = "from engine.kernels.build import build; print(build().library is None, build().reason)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_without_a_working_compiler_torch_is_used_and_the_reason_told(tmp_path: Path) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'out of order' >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    assert _reason(CXX=str(broken)) == f"True {broken} failed: out of order"
    assert _reason(FLYWHEEL_NATIVE="0") == "True turned off by FLYWHEEL_NATIVE=0"


def test_a_compiled_file_is_found_again(tmp_path: Path) -> None:
    assert _reason(XDG_CACHE_HOME=str(tmp_path)) == "False"
    (compiled,) = tmp_path.rglob("*.so")
    before = compiled.stat().st_mtime_ns
    assert _reason(XDG_CACHE_HOME=str(tmp_path)) == "False"
    assert compiled.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "script",
    ["echo 'cc1plus: No space left on device' >&2; exit 1", "kill -9 $$",
     "echo 'cc1plus: out of memory allocating 65536 bytes' >&2; exit 1"],
    ids=["disk", "killed", "memory"],
)  # fmt: skip
def test_a_machine_that_gives_out_is_no_reason_for_other_kernels(
    script: str, tmp_path: Path
) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        _reason(CXX=str(compiler))
    assert "MachineError: The machine gave out" in failed.value.stderr
