"""Model files made to exhaust whoever reads them: each ends as a ModelLoadError, within seconds."""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine import LLM
from engine.errors import ModelLoadError, UnsupportedModelError
from engine.loading.gguf_file import read_gguf
from engine.loading.model_files import load_model_files
from engine.models.config import ModelConfig
from tests.engine.conftest import MakeModel
from tests.engine.loading.gguf_files import write_gguf

SECONDS = 8.0  # of the processor; an honest tiny model takes a tenth of one


def refused(path: Path, match: str, kind: type[ModelLoadError] = ModelLoadError) -> None:
    before = time.process_time()
    with pytest.raises(kind, match=match):
        LLM(path, device="cpu")
    assert time.process_time() - before < SECONDS


@pytest.fixture
def folder(plain_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain_folder, tmp_path / "model"))


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_hundreds_of_thousands_of_empty_shards(folder: Path):
    weight_map = {f"w{i}": f"model-{i}.safetensors" for i in range(300_000)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    refused(folder, "names 300000 files; at most")


def test_as_many_shards_as_are_read_take_no_quadratic_time(folder: Path):
    weight_map = {f"w{i}": f"model-{i % 9_000}.safetensors" for i in range(200_000)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    for i in range(9_000):
        (folder / f"model-{i}.safetensors").touch()
    refused(folder, "not readable as safetensors")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; models of up to"),
        ({"hidden_size": 2**60}, "hidden_size is"),
        ({"vocab_size": 2**60}, "vocab_size is"),
        ({"intermediate_size": 2**60}, "intermediate_size is"),
        ({"max_position_embeddings": 2**60}, "max_position_embeddings is"),
        ({"num_key_value_heads": -2}, "num_key_value_heads is -2"),
        ({"head_dim": 2**60}, "head_dim is"),
        ({"head_dim": 13}, "head_dim is 13, but it must be an even number"),
        ({"hidden_size": 3, "head_dim": None}, "head_dim is 0"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small'"),
        ({"rope_parameters": [1]}, "cannot be read"),
        ({"rope_parameters": {"rope_type": "linear"}}, "KeyError: 'factor'"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
        ({"architectures": 7}, "cannot be read"),
        ({"text_config": [1, 2]}, "cannot be read"),
        (
            {
                "architectures": ["MixtralForCausalLM"],
                "num_local_experts": 4096,
                "num_hidden_layers": 4096,
                "num_experts_per_tok": 2,
            },
            "4096 layers of 4096 experts",
        ),
    ],
)
def test_sizes_of_a_configuration(folder: Path, changes: dict[str, Any], match: str):
    change_config(folder, **changes)
    refused(folder, match)


def write_safetensors(path: Path, header: dict[str, Any], num_bytes: int = 0) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * num_bytes)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}},
        {"a": {"dtype": "F32", "shape": [2**60, 2**60], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}},
        {f"w{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)},
    ],
    ids=["beyond the end", "overflows", "empty", "many"],
)
def test_tensor_sizes_of_safetensors(folder: Path, header: dict[str, Any]):
    write_safetensors(folder / "model.safetensors", header)
    refused(folder, "not readable as safetensors|do not match the configuration|at most")


# GGUF -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def float_gguf(make_model: MakeModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_model(hidden_size=64, intermediate_size=128)
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", folder, tokenizer=True)


def with_settings(
    source: Path, target: Path, **values: Callable[[gguf.GGUFWriter], object]
) -> Path:
    """A copy whose writer is told more, or told it anew."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        if field.name.replace(".", "_").replace("-", "_") not in values:
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    for add in values.values():
        add(writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.mark.parametrize("name", ["unheard-of", "default", "llama-bpe-2"])
def test_pre_tokenizer_that_nobody_knows_is_refused_by_name(
    float_gguf: Path, tmp_path: Path, name: str
):
    path = with_settings(
        float_gguf, tmp_path / "m.gguf", tokenizer_ggml_pre=lambda w: w.add_tokenizer_pre(name)
    )
    refused(path, f"tokenizer.ggml.pre. is '{name}'", UnsupportedModelError)


def test_pre_tokenizer_that_is_not_named_is_refused(float_gguf: Path, tmp_path: Path):
    path = with_settings(float_gguf, tmp_path / "m.gguf", tokenizer_ggml_pre=lambda w: None)
    refused(path, "tokenizer.ggml.pre. is None", UnsupportedModelError)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("smollm", ["a", "1", "2", "3", "4"]),
        ("llama-bpe", ["a", "123", "4"]),
        ("gpt-2", ["a", "1234"]),
    ],
)
def test_pre_tokenizers_split_as_their_models_do(
    float_gguf: Path, tmp_path: Path, name: str, pieces: list[str]
):
    path = with_settings(
        float_gguf, tmp_path / "m.gguf", tokenizer_ggml_pre=lambda w: w.add_tokenizer_pre(name)
    )
    backend = LLM(path, device="cpu").tokenizer.backend_tokenizer
    assert [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("a1234")] == pieces


def test_partial_rotary_is_refused_by_name_and_the_whole_is_taken(float_gguf: Path, tmp_path: Path):
    head_dim = load_model_files(float_gguf).config.head_dim
    for count in (head_dim, head_dim // 2):
        path = with_settings(
            float_gguf,
            tmp_path / f"{count}.gguf",
            llama_rope_dimension_count=lambda w, n=count: w.add_rope_dimension_count(n),
        )
        if count == head_dim:
            LLM(path, device="cpu")
        else:
            refused(path, f"rope.dimension_count {count} is not supported", UnsupportedModelError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention.value_length", 8),
        ("attention.causal", False),
        ("logit_scale", 0.5),
        ("residual_scale", 0.25),
        ("rope.scaling.attn_factor", 0.7),
    ],
)
def test_settings_that_nothing_here_computes_are_refused_by_name(
    float_gguf: Path, tmp_path: Path, key: str, value: Any
):
    kind = {bool: "bool", int: "uint32", float: "float32"}[type(value)]
    path = with_settings(
        float_gguf,
        tmp_path / "m.gguf",
        more=lambda w: getattr(w, f"add_{kind}")(f"llama.{key}", value),
    )
    refused(path, f"{key} .* is not supported", UnsupportedModelError)


KEY = struct.pack("<Q", 1) + b"k"


def header(num_tensors: int, num_values: int, body: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, num_tensors, num_values) + body


def entry(name: bytes, shape: list[int], kind: int, offset: int) -> bytes:
    head = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)


def nested(depth: int) -> bytes:
    return KEY + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * depth + struct.pack("<IQ", 4, 0)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (header(2**60, 0, b"\0" * 64), "announces 1152921504606846976 tensors"),
        (header(0, 2**60, b"\0" * 64), "1152921504606846976 settings"),
        (header(0, 1 << 16, b"\0" * (12 << 16)), "cut off or damaged"),
        (header(0, 1, KEY + struct.pack("<IIQ", 9, 8, 10**7) + b"\0" * 10**7), "smaller"),
        (header(0, 1, nested(100_000)), "unsupported type 9"),
        (header(1, 0, entry(b"a", [2**60], 0, 0) + b"\0" * 64), "reaches to byte"),
        (header(1, 0, entry(b"a", [2**32, 2**32], 0, 0) + b"\0" * 64), "reaches to byte"),
        (header(1, 0, entry(b"a", [2**62] * 4, 0, 0) + b"\0" * 64), "reaches to byte"),
        (header(1, 0, entry(b"a", [4], 0, 2**63) + b"\0" * 64), "reaches to byte"),
        (
            header(500, 0, entry(b"a", [256], 0, 0) * 500 + b"\0" * 2048),
            "lie upon each other",
        ),
    ],
)
def test_numbers_of_a_gguf_header(content: bytes, match: str, tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    refused(path, match)


def test_architecture_that_is_no_name_and_factors_beyond_number(float_gguf: Path, tmp_path: Path):
    path = tmp_path / "a.gguf"
    key = b"general.architecture"
    body = struct.pack("<Q", len(key)) + key + struct.pack("<IIQI", 9, 4, 1, 7)
    path.write_bytes(header(0, 1, body))
    refused(path, r"architecture \[7\] is not supported", UnsupportedModelError)
    path = with_settings(
        float_gguf,
        tmp_path / "b.gguf",
        more=lambda w: w.add_tensor("rope_freqs.weight", np.ones(5000, dtype=np.float32)),
    )
    refused(path, "up to 4096 factors are read")


@pytest.mark.parametrize("value", [2**40, 0])
def test_alignment_of_a_gguf(float_gguf: Path, tmp_path: Path, value: int):
    path = with_settings(
        float_gguf, tmp_path / "m.gguf", more=lambda w: w.add_uint64("general.alignment", value)
    )
    refused(path, "reaches to byte|general.alignment is 0")


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_gguf_is_told_as_such(
    float_gguf: Path, tmp_path: Path, data: st.DataObject
):
    """Cut off anywhere, and any few bytes of its first part other ones."""
    content = bytearray(float_gguf.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(4, 12_000))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "m.gguf"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        files = load_model_files(path)
        files.read_weights()
    except ModelLoadError:
        pass


BAD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 5), max_size=3),
    st.dictionaries(st.sampled_from(["rope_type", "factor", "full_attention"]), st.integers()),
)
KEYS = [
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("head_dim", "vocab_size", "intermediate_size", "max_position_embeddings", "rms_norm_eps"),
    *("rope_theta", "rope_scaling", "rope_parameters", "sliding_window", "layer_types"),
    *("sliding_window_pattern", "max_window_layers", "use_sliding_window", "text_config"),
    *("query_pre_attn_scalar", "attn_logit_softcapping", "tie_word_embeddings", "hidden_act"),
    *("attention_bias", "num_experts", "num_local_experts", "num_experts_per_tok"),
    *("quantization_config", "partial_rotary_factor", "moe_intermediate_size"),
]


@given(
    st.sampled_from(["LlamaForCausalLM", "Gemma3ForCausalLM", "MixtralForCausalLM"]),
    st.dictionaries(st.sampled_from(KEYS), BAD, max_size=4),
)
@example("LlamaForCausalLM", {"layer_types": 3, "sliding_window": 4})
@settings(max_examples=300)
def test_any_configuration_is_read_or_refused(
    plain_folder: Path, architecture: str, changes: dict[str, Any]
):
    raw = json.loads((plain_folder / "config.json").read_text())
    raw |= {"architectures": [architecture], "num_local_experts": 4, "num_experts_per_tok": 2}
    try:
        config = ModelConfig.from_dict(raw | changes, "here")
    except ModelLoadError:
        return
    assert len(config.windows) == config.num_layers


def test_an_honest_file_is_still_read(float_gguf: Path):
    assert len(read_gguf(float_gguf).tensors) > 10
