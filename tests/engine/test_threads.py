"""The number of threads changes no bit where our own kernels run on a CPU, function by function.

torch cuts an elementwise function into a share for each thread, and some of its functions (gelu,
silu, sigmoid, pow) give the last values of a share, which fill no vector, other bits. Whether that
shows depends on sizes, threads and the processor's vectors; so here the sizes are multiples of no
vector, and which of torch's functions run at all is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from engine import LLM, SamplingParams
from engine.kernels import build, onednn
from engine.models import layers
from tests.engine.conftest import GPT2, MakeModel

pytestmark = pytest.mark.skipif(
    build.build().library is None, reason=f"no native kernels here: {build.build().reason}"
)

COUNTS = (1, 2, 3, 4, 5, 7)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def random(*size: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*size, generator=torch.Generator().manual_seed(seed)).to(dtype)


def bits_by_threads(compute: Callable[[], Tensor]) -> list[Tensor]:
    results = []
    for count in COUNTS:
        torch.set_num_threads(count)
        results.append(compute())
    return results


def assert_equal_bits(compute: Callable[[], Tensor]) -> None:
    first, *others = bits_by_threads(compute)
    assert first.isfinite().all()
    for count, other in zip(COUNTS[1:], others, strict=True):
        assert torch.equal(first, other), f"{count} threads: {int((first != other).sum())} differ"


def _rotated(x: Tensor) -> Tensor:
    by_head = x[:, : x.shape[1] // 6 * 6].reshape(len(x), -1, 6).clone()
    cos, sin = layers.rope_tables(6, len(x), 1e4, None, CPU)
    layers.rotate(by_head, cos, sin, torch.arange(len(x)), by_head.shape[1])
    return by_head


OF_A_LAYER: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": lambda x: layers.activated(torch.cat((x, x), dim=1), "swiglu"),
    "gated gelu": lambda x: layers.activated(torch.cat((x, x), dim=1), "geglu"),
    "gelu": lambda x: layers.activated(x, "gelu"),
    "rms norm": lambda x: layers.rms_norm(x, x[0], 1e-5),
    "rms norm of Gemma": lambda x: layers.rms_norm(x, x[0].float(), 1e-5),
    "rotation": _rotated,
    "soft cap": lambda x: layers.soft_cap(x.float(), 2.5),
    "log sum": lambda x: layers.reduce_logits(x.float())[1],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(160, 1001), (33, 3331), (1, 100_003), (151, 2047)])
@pytest.mark.parametrize("name", OF_A_LAYER)
def test_a_function_of_a_layer_gives_the_same_bits_with_any_number_of_threads(
    name: str, shape: tuple[int, int], dtype: torch.dtype
):
    x = random(*shape, dtype=dtype)
    assert_equal_bits(lambda: OF_A_LAYER[name](x.clone()))


#: torch's own, which round: each row or each value by itself, in the sizes that occur
OF_TORCH: dict[str, Callable[[], Tensor]] = {
    "softmax": lambda: random(37, 16_411).softmax(dim=-1),
    "layer_norm": lambda: F.layer_norm(random(151, 2047), (2047,), random(2047), random(2047)),
    "sum": lambda: random(20_001, 7).abs().sum(dim=-1),  # of an expert's shares
    "pow": lambda: 1e4 ** (random(2047) / 9),  # frequencies: half a head
    "reciprocal": lambda: 1.0 / (random(100_003).abs() + 1),
    "cos": lambda: layers.rope_tables(46, 8191, 1e4, None, CPU)[0],
    "sin": lambda: layers.rope_tables(46, 8191, 1e4, None, CPU)[1],
}


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_function_of_torch_that_runs_gives_the_same_bits_with_any_number_of_threads(name: str):
    assert_equal_bits(OF_TORCH[name])


#: torch's own that move values, choose among them, or round as IEEE 754 prescribes
EXACT = frozenset({
    "_local_scalar_dense", "_to_copy", "add", "cat", "clone", "contiguous", "detach", "detach_",
    "div", "empty", "empty_like", "flatten", "index", "index_copy_", "index_put_", "index_select",
    "lift_fresh", "masked_fill_", "mul", "resolve_conj", "resolve_neg", "select", "slice", "split",
    "split_with_sizes", "sub", "t", "to", "topk", "unbind", "unsqueeze", "view", "where", "zeros",
})  # fmt: skip

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "soft caps": {"kind": "Gemma2", "sliding_window": 24, "head_dim": 20},
    "norms of heads": {
        "kind": "Gemma3Text", "config_class": "Gemma3TextConfig",
        "model_class": "Gemma3ForCausalLM", "head_dim": 20,
    },
    "layer norm": GPT2,
    "experts": {"kind": "Mixtral", "num_local_experts": 4},
}  # fmt: skip


class Called(TorchDispatchMode):
    """Names of torch's functions that gave floats."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        results = result if isinstance(result, (tuple, list)) else [result]
        if any(isinstance(x, Tensor) and x.is_floating_point() for x in results):
            self.names.add(func.overloadpacket.__name__)
        return result


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_no_other_function_of_torch_that_rounds_is_on_the_way_of_an_answer(
    name: str, dtype: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
):
    """A new one is to be measured above, in the sizes that occur, or to become a kernel of ours."""
    monkeypatch.setattr(onednn, "can_run", lambda dtype: False)
    folder: Path = make_model(**FAMILIES[name])
    prompts = [list(range(n)) for n in (1, 9, 80)]
    drawn = SamplingParams(
        max_tokens=4, temperature=1.0, top_p=0.9, repetition_penalty=1.2, seed=3, logprobs=2
    )
    with Called() as called:
        llm = LLM(folder, device="cpu", dtype=dtype, kv_cache_bytes=8 << 20)
        llm.generate(prompts, SamplingParams(max_tokens=4, logprobs=3))
        llm.generate(prompts, drawn)
        llm.score([(prompts[2][:40], prompts[2][40:])], top_logprobs=2)
    assert {"cos", "softmax", "index"} <= called.names or name == "layer norm"
    assert called.names - EXACT - OF_TORCH.keys() == set()
