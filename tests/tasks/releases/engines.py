"""An engine as tests know it."""

from __future__ import annotations

from engine.identity import EngineIdentity

CPU = EngineIdentity(
    code="c0de", versions=(("torch", "2.13.0"),), device="cpu", dtype="float32", quantization=None,
    batch_invariant=True, kernels="C++ key", processor="AVX2", gpu="", num_threads=None,
)  # fmt: skip
