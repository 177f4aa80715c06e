"""What a file is by its name alone: documents, source code, configuration, lock files."""

from __future__ import annotations

from pathlib import PurePath

_SUFFIXES = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), "a Markdown document"),
    **dict.fromkeys((".rst", ".adoc", ".tex", ".docx", ".odt", ".rtf", ".epub"), "a document"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "an HTML page"),
    ".pdf": "a PDF document",
    **dict.fromkeys((".toml", ".ini", ".cfg", ".conf", ".env", ".properties"),
                    "a configuration file"),
    ".lock": "a lock file",
    **dict.fromkeys((".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".go", ".rs",
                     ".java", ".kt", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb", ".php",
                     ".swift", ".scala", ".lua", ".pl", ".proto", ".css", ".scss", ".ipp", ".vue"),
                    "source code"),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd"), "a script"),
    ".ipynb": "a notebook",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ico",
                     ".svg"), "an image"),
    **dict.fromkeys((".tf", ".tfvars", ".hcl"), "a Terraform configuration"),
    **dict.fromkeys((".pem", ".crt", ".cer", ".key", ".p12", ".pfx"), "a key or certificate"),
    **dict.fromkeys((".srt", ".vtt"), "subtitles"),
    **dict.fromkeys((".diff", ".patch"), "a patch"),
}  # fmt: skip
_DOCUMENTS = frozenset({
    "readme", "license", "licence", "notice", "changelog", "contributing", "makefile",
    "dockerfile", "copying", "authors", "codeowners", "jenkinsfile", "procfile",
})  # fmt: skip
_NAMES = {
    "go.sum": "checksums of Go modules",
    "go.mod": "a Go module",
    "requirements.txt": "a list of Python packages",
    "constraints.txt": "a list of Python packages",
    "gemfile": "a list of Ruby packages",
    "robots.txt": "rules for web crawlers",
    "pnpm-lock.yaml": "a lock file",
}


def told(name: str) -> str | None:
    """`name`: in small letters, without the suffix that says how the file is compressed."""
    path = PurePath(name)
    if name in _NAMES:
        return _NAMES[name]
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    if path.suffix in ("", ".txt") and path.stem in _DOCUMENTS:
        return "a document"
    return None
