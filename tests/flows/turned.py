"""An application after one turn, with a model of its own, and its folder brought back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests.flows.application import Answer, Application, make_application
from tests.mlflow_home import home_with_mlflow
from tests.tiny_model import write_tiny_model

#: number formats of which no thread count changes a bit, whatever the processor
_ENGINE = 'engine = { device = "cpu", dtype = "float32" }\n'


@dataclass(frozen=True, slots=True)
class Turned:
    application: Application
    model: Path
    run_id: str

    @property
    def database(self) -> Path:
        return self.application.home / "flywheel.duckdb"

    @property
    def receipt(self) -> Path:
        return self.application.home / "receipts" / f"{self.run_id}.receipt.json"

    def path(self, name: str) -> Path:
        return self.application.folder / name

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as store:
            return store.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with duckdb.connect(str(self.database)) as store:
            store.execute(sql)

    def again(self, *arguments: str) -> Answer:
        return self.application.here("reproduce", self.run_id, "--json", *arguments)

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """The folder comes back as it was, with its times."""
        folder = self.application.folder.parent
        aside = folder.with_name(f"{folder.name}-aside")
        shutil.copytree(folder, aside, symlinks=True)
        try:
            yield
        finally:
            shutil.rmtree(folder)
            aside.rename(folder)


#: answered by log-likelihood
_CHOICES = """
[suites.pick]
samples = "suites/pick.jsonl"
mode = "choose"
scorer = "multiple_choice"
"""


def turn_once(folder: Path, *, with_choices: bool = False) -> Turned:
    model = write_tiny_model(folder / "model")
    application = make_application(folder / "application", model)
    path = application.folder / "flywheel.toml"
    for name in ("one", "two"):
        prompt = f'prompt = "prompts/{name}.md"\n'
        path.write_text(path.read_text().replace(prompt, prompt + _ENGINE))
    if with_choices:
        path.write_text(path.read_text() + _CHOICES)
        lines = [
            {"input": f"ticket {n}?", "choices": ["printer", "network", "fax"], "target": n % 3}
            for n in range(9)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (application.folder / "suites" / "pick.jsonl").write_text(text)
    home_with_mlflow(application.home)
    answer = application.here("run", "--inline", "--json")
    assert answer.code in (0, 1), answer.err
    return Turned(application, model, answer.json["run_id"])
