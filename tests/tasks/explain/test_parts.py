"""Which parts differ, and what the releases between two are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.explain.parts import PARTS, Grid, change, grid
from tasks.releases.memory import Memory
from tasks.releases.resolve import resolve_declared, resolve_release
from tasks.settings import Settings, parse_settings
from tests.tasks.evaluate.stage import settings_for


def declared(settings: Settings, **releases: dict[str, Any]) -> Settings:
    values = settings.model_dump(mode="json", by_alias=True)
    for name, changes in releases.items():
        values["releases"][name] = values["releases"]["one"] | changes
    return parse_settings(values, base=settings.base)


def grid_of(settings: Settings, old: str, new: str) -> tuple[Grid, Memory]:
    memory = Memory(settings.home_path / "memory.json")
    made = grid(
        (old, settings.release(old)),
        (new, settings.release(new)),
        lambda name, of: resolve_declared(name, of, settings, memory),
    )
    return made, memory


def test_cells_are_the_releases_that_could_be_declared(tmp_path: Path, tiny_model: Path) -> None:
    """In the order of bits: prompt, sampling and engine of the challenger are 1, 2 and 4."""
    base = settings_for(tmp_path, tiny_model)
    new = {"prompt": "two.md", "sampling": {"max_tokens": 9},
           "engine": {"device": "cpu", "dtype": "bfloat16"}}  # fmt: skip
    by_hand = {
        f"cell{cell}": {key: new[key] for bit, key in enumerate(new) if cell >> bit & 1}
        for cell in range(8)
    }
    by_hand["cell7"]["price"] = {"input": 1.0, "output": 2.0}  # of which no answer depends
    settings = declared(base, **by_hand)
    made, memory = grid_of(settings, "cell0", "cell7")
    assert made.parts == ("prompt", "sampling", "engine")
    wanted = [resolve_release(f"cell{cell}", settings, memory).digest for cell in range(8)]
    assert [cell.digest for cell in made.cells] == wanted
    assert len(set(wanted)) == 8
    assert made.between == made.cells[1:7]
    assert made.names(5) == ("prompt", "engine")
    assert made.cells[5].name == "cell0 with prompt and engine of cell7"
    assert tuple(PARTS) == ("model", "prompt", "sampling", "engine")


def test_what_has_the_same_content_is_no_part(tmp_path: Path, tiny_model: Path) -> None:
    base = settings_for(tmp_path, tiny_model)
    (tmp_path / "copy.md").write_text("Answer.")
    settings = declared(base, copy={"prompt": "copy.md"})
    made, _ = grid_of(settings, "one", "copy")
    assert made.parts == ()
    assert made.cells[0].digest == made.cells[-1].digest


def test_a_schema_is_sampling(tmp_path: Path, tiny_model: Path) -> None:
    base = settings_for(tmp_path, tiny_model)
    sampling = {"max_tokens": 4, "json_schema": '{"type": "object"}'}
    settings = declared(base, schema={"sampling": sampling})
    made, _ = grid_of(settings, "one", "schema")
    assert made.parts == ("sampling",)


def test_a_change_names_only_the_keys_that_differ(tmp_path: Path, tiny_model: Path) -> None:
    base = settings_for(tmp_path, tiny_model)
    new = {"prompt": "", "sampling": {"max_tokens": 4, "temperature": 0.7, "stop": ["\n"]}}
    settings = declared(base, new=new)
    old, changed = settings.release("one"), settings.release("new")
    assert change("prompt", old, changed) == ("one.md", "as logged")
    assert change("sampling", old, changed) == (
        "temperature 0.0, stop ()", "temperature 0.7, stop ('\\n',)",
    )  # fmt: skip


def test_a_model_behind_an_api_is_one_part_with_where_it_is_asked(
    tmp_path: Path, tiny_model: Path
) -> None:
    base = settings_for(tmp_path, tiny_model)
    new = {"model": "big", "api": "openai", "base_url": "http://127.0.0.1:1/v1", "engine": {},
           "prompt": "two.md"}  # fmt: skip
    settings = declared(base, new=new)
    made, _ = grid_of(settings, "one", "new")
    assert made.parts == ("model", "prompt")
    assert [cell.source.is_deterministic for cell in made.cells] == [True, False, True, False]
    told = change("model", settings.release("one"), settings.release("new"))
    assert told == (str(tiny_model), "big (openai chat http://127.0.0.1:1/v1)")
