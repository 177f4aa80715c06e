"""Which device and number format a release runs with on this machine, without loading torch.

`auto` is the engine's to decide, and deciding needs torch. The decision depends on the machine and
the installed torch only, so it is remembered under a fingerprint of both; a run that computes
nothing then never imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import engine
from tasks.releases.memory import Memory
from tasks.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Machine:
    """device: cpu, cuda or cuda:N; dtype: float32, bfloat16 or float16. Never auto."""

    device: str
    dtype: str

    @property
    def device_class(self) -> str:
        return self.device.partition(":")[0]


def resolve_machine(declared: EngineSettings, memory: Memory) -> Machine:
    """Device and dtype as the engine will choose them. Raises EngineError on an unknown device."""
    if declared.dtype != "auto" and declared.device == "cpu":
        return Machine(declared.device, declared.dtype)
    key = f"machine {declared.device} {declared.dtype} {fingerprint()}"
    known = memory.get(key)
    if isinstance(known, dict) and {"device", "dtype"} <= known.keys():
        return Machine(str(known["device"]), str(known["dtype"]))
    share_processors()
    from engine.execution.device import pick_device, pick_dtype

    device = pick_device(declared.device)
    dtype = pick_dtype(declared.dtype, device)
    machine = Machine(str(device), str(dtype).removeprefix("torch."))
    memory.put(key, {"device": machine.device, "dtype": machine.dtype})
    return machine


def share_processors() -> None:
    """Let torch's waiting threads sleep instead of spin; call it before torch is imported.

    Measured on 2 cores: as quick on an idle machine, and beside one busy process 115 s instead of
    more than 280 s, because a spinning thread keeps the one it waits for from running.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def fingerprint() -> str:
    """Changes with the processor, the graphics devices, torch and the engine."""
    facts: list[Any] = [platform.machine(), engine.__version__, _torch_version(), _processor()]
    facts += sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    facts += [os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("NVIDIA_VISIBLE_DEVICES")]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    found = dict.fromkeys(line for line in lines if line.startswith(wanted))
    return "\n".join(found)
