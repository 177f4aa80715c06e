"""Pages of an API: {"data": [...]}, or one item alone under the key."""

from __future__ import annotations

from tasks.logs.shapes.records import Json


def items_under(value: dict[str, Json], key: str) -> list[Json] | None:
    """None: it is no page."""
    page = value.get(key)
    if isinstance(page, list):
        return page
    return ([page] if page else []) if isinstance(page, dict) else None
