from __future__ import annotations

from tests.tasks.record.conftest import decided

__all__ = ["decided"]
