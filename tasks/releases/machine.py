"""Which engine answers for a release on this machine, usually without loading torch.

`auto` is the engine's to decide, and deciding needs torch. The engine remembers what it decided
until anything that may decide otherwise changes; a run that computes nothing never imports torch.
"""

from __future__ import annotations

import os

from engine.identity import EngineIdentity, engine_identity
from tasks.releases.memory import Memory
from tasks.settings import EngineSettings


def resolve_engine(
    declared: EngineSettings, memory: Memory, *, uses_schema: bool = False
) -> EngineIdentity:
    """All of the engine that may change an answer. Raises EngineError on an unknown device."""
    share_processors()
    return engine_identity(
        declared.device,
        declared.dtype,
        declared.batch_invariant,
        None if declared.quantization == "none" else declared.quantization,
        uses_schema=uses_schema,
        memory=memory,
    )


def share_processors() -> None:
    """Let torch's waiting threads sleep instead of spin; call it before torch is imported.

    Measured on 2 cores: as quick on an idle machine, and beside one busy process 115 s instead of
    more than 280 s, because a spinning thread keeps the one it waits for from running.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
