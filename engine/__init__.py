"""The batched inference engine: token ids in, completions and log-probabilities out.

Owns everything between a list of requests and their answers. Knows nothing of the pipeline around
it: no Prefect, Great Expectations, MLflow, DuckDB or pandas. `import engine` is cheap; torch is
imported when `LLM` is first touched. `__version__` ends with a digest of the files that can change
an answer, so that it cannot stand still while they move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.loading.chat import Chat
from engine.loading.digest import model_digest
from engine.requests.request import Completion, SamplingParams, Score

if TYPE_CHECKING:
    from engine.llm import LLM

    __version__: str

RELEASE = "0.3.0"

__all__ = [
    "LLM",
    "Chat",
    "Completion",
    "EngineError",
    "SamplingParams",
    "Score",
    "__version__",
    "model_digest",
]


def __getattr__(name: str) -> Any:
    if name == "LLM":
        from engine.llm import LLM

        return LLM
    if name == "__version__":
        from engine.identity import code_digest

        return f"{RELEASE}+{code_digest()[:12]}"
    raise AttributeError(
        f"module 'engine' has no attribute {name!r}; public names: {', '.join(__all__)}"
    )
