"""The files of a turn in the state folder: report, plot, each written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.errors import StoreError
from tasks.model.turn import Turn
from tasks.report import note, page, plot
from tasks.tracking.publish import Links, Pages


def write_pages(turn: Turn, folder: Path, links: Links) -> Pages:
    """report.html and differences.{svg,png} in `folder`; the note is not a file."""
    drawn = plot.draw(turn)
    html = page.render(
        turn, drawn, compare_url_path=links.compare_url_path, mlflow_run_id=links.mlflow_run_id
    )
    contents = {"report.html": html.encode()}
    if drawn is not None:
        contents |= {"differences.svg": drawn.svg, "differences.png": drawn.png}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _replace(folder / name, content)
    except OSError as error:
        raise StoreError(
            f"the report cannot be written: {error.strerror or error}", received=str(folder)
        ) from None
    text = note.note(
        turn,
        compare_url_path=links.compare_url_path,
        experiment_id=links.experiment_id,
        num_rows=links.rows_sent,
    )
    return Pages(text, tuple(folder / name for name in contents))


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
