from __future__ import annotations

from tests.tasks.record.conftest import _one_template, decided

__all__ = ["_one_template", "decided"]
