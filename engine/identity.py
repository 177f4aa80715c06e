"""Everything of this engine, on this machine, that may change the bits of an answer, as one value.

Whoever keeps answers compares the digest: equal digests give equal bits for equal requests. What is
left out was measured to change nothing (docs/engine.md). Torch is imported only where the value is
found out, not where it is remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import compress
from pathlib import Path
from typing import Any, Protocol

from engine.loading.digest import digest_of

__all__ = ["EngineIdentity", "Memory", "code_digest", "engine_identity"]

PACKAGE = Path(__file__).parent
#: they carry answers or measure them; everything else counts, so that a new file does
CHANGES_NOTHING = (
    "server", "measuring", "commands", "integrations", "__main__.py", "encoder.py",
)  # fmt: skip
PACKAGES = (
    "torch", "numpy", "transformers", "tokenizers", "gguf", "safetensors", "triton", "llguidance",
)  # fmt: skip
#: of the environment, what decides over kernels, threads and devices
VARIABLES = ("FLYWHEEL_", "CXX", "OMP_", "MKL_", "ATEN_", "ONEDNN_", "DNNL_", "CUDA_", "NVIDIA_")


class Memory(Protocol):
    """Where a value that was found out is kept, as JSON."""

    def get(self, key: str) -> Any: ...

    def put(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """Never "auto": what really runs.

    code             digest of the engine's own files that can change an answer
    versions         of the libraries an answer goes through, by name in order
    device           cpu, cuda or cuda:N; only its class enters the digest
    kernels          "C++ " and what they were compiled from, by and for; "Triton"; "torch"
    batch_invariant  asked for and kept
    processor        what torch chooses its code by; the whole processor where its own products run
    gpu              name and compute capability; empty on a CPU
    num_threads      None where it was measured to change nothing: our own kernels
    """

    code: str
    versions: tuple[tuple[str, str], ...]
    device: str
    dtype: str
    quantization: str | None
    batch_invariant: bool
    kernels: str
    processor: str
    gpu: str
    num_threads: int | None

    @property
    def device_class(self) -> str:
        return self.device.partition(":")[0]

    @property
    def digest(self) -> str:
        value = self.as_dict() | {"device": self.device_class}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """For people and for JSON."""
        return asdict(self) | {"versions": dict(self.versions)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> EngineIdentity:
        return cls(**{**value, "versions": tuple(sorted(value["versions"].items()))})


def engine_identity(
    device: str = "auto",
    dtype: str = "auto",
    batch_invariant: bool = True,
    quantization: str | None = None,
    num_threads: int | None = None,
    *,
    memory: Memory | None = None,
) -> EngineIdentity:
    """Of an LLM made with the same arguments in this process; num_threads None: torch's own choice.

    With a memory, it is found out once (seconds: torch, the compiler) and then read (milliseconds)
    until the engine's code, a library, the environment or the machine is another. Raises
    EngineError on an unknown device or dtype.
    """
    versions = tuple((name, _version(name)) for name in sorted(PACKAGES))
    asked = [device, dtype, batch_invariant, quantization, num_threads]
    facts = [code_digest(), versions, asked, _surroundings()]
    key = f"engine {hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}"
    known = memory.get(key) if memory is not None else None
    if isinstance(known, dict):
        return EngineIdentity.from_dict(known)
    identity = _find_out(
        device, dtype, batch_invariant, quantization or None, num_threads, versions
    )
    if memory is not None:
        memory.put(key, identity.as_dict())
    return identity


@functools.cache
def code_digest(package: Path = PACKAGE) -> str:
    """SHA-256 over names and content of the files of the package that can change an answer."""
    files = sorted(path for path in package.rglob("*") if path.is_file())
    parts = [path.relative_to(package).parts for path in files]
    is_ours = [p[0] not in CHANGES_NOTHING and "__pycache__" not in p for p in parts]
    return digest_of(package, compress(files, is_ours))


def _find_out(
    device: str,
    dtype: str,
    batch_invariant: bool,
    quantization: str | None,
    num_threads: int | None,
    versions: tuple[tuple[str, str], ...],
) -> EngineIdentity:
    import torch

    from engine.execution.device import pick_device, pick_dtype
    from engine.kernels import build, cpu, onednn
    from engine.models.layers import own_kernels

    where = pick_device(device)
    number = pick_dtype(dtype, where)
    own = own_kernels(where, number)
    kernels = "torch"
    if own is not None:
        kernels = f"C++ {build.build().key}" if own is cpu else "Triton"
    is_onednn = own is cpu and onednn.can_run(number)
    is_chosen_by_model = where.type == "cpu" and (own is None or is_onednn)
    processor = [
        torch.backends.cpu.get_cpu_capability(),
        *(_cpuinfo() if is_chosen_by_model else ()),
    ]
    gpu = ""
    if where.type == "cuda":
        properties = torch.cuda.get_device_properties(where)
        gpu = f"{properties.name} {properties.major}.{properties.minor}"
    return EngineIdentity(
        code=code_digest(),
        versions=tuple(v for v in versions if v[0] != "triton" or where.type == "cuda"),
        device=str(where),
        dtype=str(number).removeprefix("torch."),
        quantization=quantization,
        batch_invariant=batch_invariant and own is not None,
        kernels=kernels + (" and oneDNN" if is_onednn else ""),
        processor="\n".join(processor),
        gpu=gpu,
        num_threads=(num_threads or torch.get_num_threads()) if is_chosen_by_model else None,
    )


def _surroundings() -> list[Any]:
    """Changes whenever what `_find_out` finds may change; takes a millisecond."""
    compiler = shutil.which(os.environ.get("CXX") or "g++") or shutil.which("clang++")
    stat = os.stat(compiler) if compiler else None
    driver = Path("/proc/driver/nvidia/version")
    return [
        platform.machine(),
        *_cpuinfo(),
        [compiler, stat.st_size, stat.st_mtime_ns] if stat else None,
        sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*")),
        driver.read_text() if driver.exists() else None,
        sorted(item for item in os.environ.items() if item[0].startswith(VARIABLES)),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    ]


@functools.cache
def _cpuinfo() -> list[str]:
    """Model and flags, each once."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [platform.processor()]
    wanted = ("model name", "flags", "Features", "CPU part")
    return list(dict.fromkeys(line for line in lines if line.startswith(wanted)))


@functools.cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
