"""What may change an answer's bits is in the engine's identity; what is not in it changes none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine import LLM, SamplingParams, identity
from engine.identity import EngineIdentity, code_digest, engine_identity
from engine.kernels import build, cpu, onednn
from tests.conftest import REPOSITORY
from tests.engine.conftest import GPT2, MakeModel

with_own_kernels = pytest.mark.skipif(
    build.build().library is None, reason=f"no native kernels here: {build.build().reason}"
)


class Memory(dict[str, Any]):
    """As JSON would give it back."""

    def put(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    shutil.copytree(
        REPOSITORY / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "engine"


@pytest.mark.parametrize(
    "name",
    ["sampling/sampler.py", "kernels/kernels.cpp", "kernels/gpu_kernels.py", "models/llama.py",
     "loading/tokenizer.py", "scheduling/core.py", "llm.py", "errors.py"],
)  # fmt: skip
def test_a_byte_of_a_file_that_can_change_an_answer_changes_the_version(package: Path, name: str):
    before = code_digest.__wrapped__(package)
    assert before == code_digest(), "the same files elsewhere are the same engine"
    flip_a_byte(package / name)
    assert code_digest.__wrapped__(package) != before


@pytest.mark.parametrize(
    "name",
    ["server/app.py", "server/metrics.py", "measuring/roofline.py", "measuring/bench.py",
     "commands/jsonlines.py", "integrations/lm_eval.py", "__main__.py", "encoder.py"],
)  # fmt: skip
def test_a_file_that_only_carries_or_measures_answers_does_not(package: Path, name: str):
    flip_a_byte(package / name)
    assert code_digest.__wrapped__(package) == code_digest()


def test_a_new_file_counts_and_a_moved_one_too(package: Path):
    (package / "sampling" / "beams.py").write_text("")
    first = code_digest.__wrapped__(package)
    (package / "sampling" / "beams.py").rename(package / "models" / "beams.py")
    assert len({code_digest(), first, code_digest.__wrapped__(package)}) == 3


def test_what_counts_for_nothing_is_still_there(package: Path):
    """A renamed room must not silently begin to count, nor a name here stand for nothing."""
    assert all((package / name).exists() for name in identity.CHANGES_NOTHING)


def test_the_version_is_that_of_the_files(package: Path):
    code = "import engine; print(engine.__version__)"
    environment = os.environ | {"PYTHONPATH": str(package.parent)}

    def told() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=package.parent,
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    assert told() == engine.__version__
    source = package / "sampling" / "sampler.py"
    source.write_text(source.read_text() + "\n")
    assert told() != engine.__version__


def test_every_part_is_in_the_digest_but_the_number_of_the_device():
    known = engine_identity("cpu", "float32")
    others: dict[str, Any] = {
        "versions": (("torch", "0"),), "batch_invariant": not known.batch_invariant,
        "num_threads": 77,
    }  # fmt: skip
    for field in fields(EngineIdentity):
        changed = replace(known, **{field.name: others.get(field.name, "another")})
        assert changed.digest != known.digest, field.name
    cuda = replace(known, device="cuda:0")
    assert replace(cuda, device="cuda:1").digest == cuda.digest != known.digest
    assert EngineIdentity.from_dict(json.loads(json.dumps(known.as_dict()))) == known
    # by whatever way it comes back, it is recorded in the same letters
    remembered = EngineIdentity.from_dict(json.loads(json.dumps(known.as_dict(), sort_keys=True)))
    assert json.dumps(remembered.as_dict()) == json.dumps(known.as_dict())


def test_a_remembered_identity_needs_no_torch_until_something_changes(
    monkeypatch: pytest.MonkeyPatch,
):
    memory = Memory()
    first = engine_identity("auto", "auto", memory=memory)
    assert first.device != "auto" != first.dtype

    def torch_is_needed(*_: object) -> EngineIdentity:
        raise AssertionError("found out again")

    with monkeypatch.context() as patch:
        patch.setattr(identity, "_find_out", torch_is_needed)
        assert engine_identity("auto", "auto", memory=memory) == first
        changes: list[Callable[[], None]] = [
            lambda: patch.setenv("FLYWHEEL_NATIVE", "0"),
            lambda: patch.setenv("OMP_NUM_THREADS", "3"),
            lambda: patch.setattr(identity, "code_digest", lambda: "another"),
            lambda: patch.setattr(identity, "_cpuinfo", lambda: ["model name : another"]),
            lambda: patch.setattr(identity, "_version", lambda name: "0"),
        ]
        for change in changes:
            change()
            with pytest.raises(AssertionError, match="found out again"):
                engine_identity("auto", "auto", memory=memory)
            patch.undo()
            patch.setattr(identity, "_find_out", torch_is_needed)


def test_remembering_imports_no_torch():
    code = """
import sys
from engine.identity import EngineIdentity, engine_identity
class Known:
    def get(self, key):
        return {"versions": {}} | dict.fromkeys(
            ("code", "device", "dtype", "quantization", "batch_invariant", "kernels", "processor",
             "gpu", "num_threads"), "known")
engine_identity(memory=Known())
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_identity_says_what_the_engine_then_does(plain_folder: Path, dtype: str):
    llm = LLM(plain_folder, device="cpu", dtype=dtype, kv_cache_bytes=1 << 20)
    told, stats = engine_identity("cpu", dtype), llm.stats()
    assert told.batch_invariant == stats.batch_invariant
    assert (told.device, told.dtype) == (stats.device, stats.dtype)
    assert told.kernels.startswith("C++") == stats.kernels.startswith("our own, in C++")
    assert ("oneDNN" in told.kernels) == ("oneDNN" in stats.kernels)


def test_without_our_kernels_the_processor_and_the_threads_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpu, "can_run", lambda device, dtype: False)
    told = engine_identity("cpu", "float32", num_threads=3)
    assert (told.kernels, told.batch_invariant, told.num_threads) == ("torch", False, 3)
    assert engine_identity("cpu", "float32", num_threads=2).digest != told.digest


def test_the_library_that_keeps_answers_to_their_form_counts(monkeypatch: pytest.MonkeyPatch):
    """Which questions ask for one, a release does not know."""
    told = engine_identity("cpu", "float32")
    monkeypatch.setattr(
        identity,
        "_version",
        lambda name: "x" if name == "llguidance" else dict(told.versions).get(name, "none"),
    )
    assert engine_identity("cpu", "float32").digest != told.digest


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def answers(model: Path, num_threads: int, **options: Any) -> list[object]:
    """Prefill and decode, greedy and drawn, alone and together, with log-probabilities; scores."""
    torch.set_num_threads(num_threads)
    llm = LLM(model, device="cpu", kv_cache_bytes=32 << 20, **options)
    vocab = llm._engine.config.vocab_size
    prompts = [[(7 * i + i * i) % vocab for i in range(n)] for n in (1, 9, 150)]
    greedy = SamplingParams(max_tokens=6, logprobs=3)
    drawn = SamplingParams(max_tokens=4, temperature=1.0, top_p=0.95, seed=5, logprobs=1)
    return [
        *llm.generate(prompts, greedy),
        *llm.generate(prompts, drawn),
        *llm.generate([prompts[2][:140]], greedy),
        *llm.score([(prompts[2][:100], prompts[2][100:])], top_logprobs=2),
    ]


#: multiples of no vector: who shares out such a tensor ends in the middle of one
WIDE = {
    "hidden_size": 250, "intermediate_size": 509, "vocab_size": 1009, "head_dim": 26,
    "num_attention_heads": 10,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": WIDE,
    "soft caps": WIDE | {"kind": "Gemma2", "sliding_window": 24},
    "layer norm": GPT2 | {"n_embd": 250, "n_inner": 1019, "n_head": 10, "vocab_size": 1009},
    "experts": WIDE | {"kind": "Mixtral", "num_local_experts": 4},
}


@with_own_kernels
def test_threads_are_in_the_identity_where_onednns_products_run(monkeypatch: pytest.MonkeyPatch):
    def told(is_onednn: bool, num_threads: int) -> EngineIdentity:
        monkeypatch.setattr(onednn, "can_run", lambda dtype: is_onednn)
        return engine_identity("cpu", "bfloat16", num_threads=num_threads)

    assert told(True, 2).kernels.endswith(" and oneDNN")
    assert (told(True, 2).num_threads, told(True, 3).num_threads) == (2, 3)
    assert told(False, 2) == told(False, 3)
    assert told(False, 2).num_threads is None


@with_own_kernels
@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_threads_that_are_not_in_the_identity_change_no_bit(
    name: str, dtype: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
):
    """Tensors large enough for torch to share them out too, among as many threads as are given.
    With our own product on every processor: where oneDNN's runs, threads are in the identity.
    """
    monkeypatch.setattr(onednn, "can_run", lambda dtype: False)
    assert engine_identity("cpu", dtype).num_threads is None
    folder = make_model(**FAMILIES[name])
    one, two, three = (answers(folder, count, dtype=dtype) for count in (1, 2, 3))
    assert one == two == three


@with_own_kernels
@pytest.mark.usefixtures("restored_threads")
def test_threads_change_no_bit_of_the_real_model(smollm_path: Path):
    assert answers(smollm_path, 1, dtype="float32") == answers(smollm_path, 2, dtype="float32")
