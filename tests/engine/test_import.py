"""What `import engine` costs and what it offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import engine


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_pulls_in_neither_torch_nor_the_pipeline():
    modules = set(run_python("import engine, sys; print(*sys.modules)").split())
    forbidden = {
        "torch",
        "transformers",
        "prefect",
        "great_expectations",
        "mlflow",
        "duckdb",
        "pandas",
    }
    assert not modules & forbidden


def test_the_whole_engine_pulls_in_nothing_of_the_pipeline():
    modules = set(run_python("from engine import LLM; import sys; print(*sys.modules)").split())
    assert "torch" in modules
    assert not modules & {"prefect", "great_expectations", "mlflow", "duckdb", "tasks", "flows"}


def test_public_names_are_pinned():
    assert engine.__all__ == [
        "LLM",
        "Chat",
        "Completion",
        "EngineError",
        "SamplingParams",
        "Score",
        "__version__",
        "model_digest",
    ]
    assert all(hasattr(engine, name) for name in engine.__all__)


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(AttributeError, match="SamplingParams"):
        _ = engine.Sampling  # type: ignore[attr-defined]
