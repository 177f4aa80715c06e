"""Files that are no logs and say so: documents, source and configuration, schemas.

They are refused by name, so that a folder can be taken in as it is and the reason can be read.
"""

from __future__ import annotations

from pathlib import PurePath

from tasks.logs.files.opening import bare_name
from tasks.logs.shapes.records import Json

_SUFFIXES = {
    ".md": "a Markdown document", ".rst": "a document", ".html": "an HTML page", ".htm": "an HTML "
    "page", ".pdf": "a PDF document", ".docx": "a document", ".toml": "a configuration file",
    ".ini": "a configuration file", ".cfg": "a configuration file", ".conf": "a configuration file",
    ".env": "a configuration file", ".lock": "a lock file", ".py": "source code", ".js": "source "
    "code", ".ts": "source code", ".go": "source code", ".sh": "a script", ".ipynb": "a notebook",
    ".png": "an image", ".jpg": "an image", ".svg": "an image",
}  # fmt: skip
_NAMES = frozenset({
    "readme", "license", "licence", "notice", "changelog", "contributing", "makefile",
    "dockerfile", "copying",
})  # fmt: skip
_YAML = (".yaml", ".yml")


def by_name(name: str, head: bytes) -> str | None:
    """What the file is, where its name or its first bytes tell that it is no log."""
    path = PurePath(bare_name(name))
    if path.suffix in _SUFFIXES:
        return f"{name} is {_SUFFIXES[path.suffix]}, no log"
    if path.suffix in ("", ".txt") and path.stem in _NAMES:
        return f"{name} is a document, no log"
    if path.suffix in _YAML and not _has_line(head, b"interactions:"):
        kind = "a Kubernetes manifest" if _has_line(head, b"apiVersion:") else "configuration"
        return f"{name} is {kind}, no log"
    return None


def by_content(name: str, value: Json) -> str | None:
    """What a parsed document is, where it says so itself."""
    if not isinstance(value, dict):
        return None
    if "$schema" in value or "$defs" in value:
        return f"{name} is a JSON Schema, no log"
    if "apiVersion" in value and "kind" in value:
        return f"{name} is a Kubernetes manifest, no log"
    if "openapi" in value and "paths" in value:
        return f"{name} is an OpenAPI description, no log"
    return None


def _has_line(head: bytes, start: bytes) -> bool:
    return head.startswith(start) or b"\n" + start in head
