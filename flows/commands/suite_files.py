"""`flywheel suite import` and `suite new`: files of suites, and the settings to paste."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.terminal import print_json
from tasks.errors import UsageError
from tasks.model.visible import one_line, visible
from tasks.settings import Settings, read_settings
from tasks.suites.imported import Mapped
from tasks.suites.recognise import read_suite_of
from tasks.suites.writing import SuiteFile, files_of, suite_toml, write_new


def bring_suite(
    source: str,
    out: str,
    said: str,
    mapped: Mapped,
    *,
    force: bool,
    config: str | None,
    as_json: bool,
) -> int:
    settings = read_settings(config)
    found = read_suite_of(source, said, mapped)
    files, left_out = files_of(found, Path(out))
    if not force:
        for file in files:
            refuse_existing(file.path)
    for file in files:
        write_new(file.path, file.text, force=force)
    purpose = f"imported from {found.format}: {Path(source).name}"
    pasted = [
        suite_toml(
            file.name, samples_path(settings, file.path), file.scorer,
            purpose=purpose, is_judged=file.is_judged, mode=file.mode, also=file.also,
        )
        for file in files
    ]  # fmt: skip
    told = [*found.notes, *left_out.sentences()]
    if as_json:
        print_json(
            {
                "format": found.format, "source": found.source, "name": found.name,
                "num_items": len(found.items), "notes": list(found.notes),
                "left_out": [{"what": what, "places": places}
                             for what, places in left_out.places.items()],
                "files": [_to_object(file, text) for file, text in zip(files, pasted, strict=True)],
            }
        )  # fmt: skip
        return 0
    print(one_line(f"{found.format}: {len(found.items):,} items of {found.source}"))
    for sentence in told:
        print(f"  · {one_line(sentence)}")
    tell_files(files, pasted)
    return 0


def refuse_existing(path: Path) -> None:
    if path.exists():
        raise UsageError("the file is there already", received=str(path),
                         next="name another one by --out, or replace it by --force")  # fmt: skip


def samples_path(settings: Settings, path: Path) -> str:
    """As flywheel.toml would name it."""
    try:
        return str(path.resolve().relative_to(settings.path(".")))
    except ValueError:
        return str(path.resolve())


def tell_files(files: Sequence[SuiteFile], pasted: Sequence[str]) -> None:
    for file in files:
        print(
            one_line(f"{file.path}: {len(file.lines):,} lines, {file.num_open:,} without a target")
        )
    print("paste into flywheel.toml:\n")
    print("\n".join(visible(text) for text in pasted))
    print("next: flywheel check")


def _to_object(file: SuiteFile, pasted: str) -> dict[str, object]:
    return {
        "suite": file.name,
        "path": str(file.path),
        "num_lines": len(file.lines),
        "num_without_target": file.num_open,
        "scorer": file.scorer,
        "is_judged": file.is_judged,
        "mode": file.mode.name,
        "toml": pasted,
    }
