"""How pages are made of templates: every text is escaped, and shown as `visible` has it."""

from __future__ import annotations

from typing import Any

from tasks.model.visible import visible


def page_templates(package: str) -> Any:
    """The jinja2 environment over the folder `templates` of a package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalized(value: Any) -> Any:
    # what is marked as safe is a subclass: matplotlib's drawings, made of texts that were shown
    return visible(value) if type(value) is str else value
