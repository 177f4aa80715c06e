from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.identity import code_digest
from tasks.errors import UsageError
from tasks.releases import resolve as releases
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.resolve import (
    ResolvedRelease,
    find_in_package,
    release_digest,
    resolve_engine,
    resolve_known,
    resolve_release,
    unusable_model,
)
from tasks.releases.source import EngineSource, engine_value
from tasks.settings import EngineSettings, ReleaseSettings, SamplingSettings, parse_settings
from tests.tasks.evaluate.stage import settings_for
from tests.tasks.releases.engines import CPU


def _resolve(folder: Path, model: str | Path, name: str = "one") -> ResolvedRelease:
    return resolve_release(name, settings_for(folder, model), Memory(folder / "memory.json"))


def test_release_is_found_with_its_digests(tmp_path: Path, tiny_model: Path) -> None:
    release = _resolve(tmp_path, tiny_model)
    assert isinstance(release.source, EngineSource)
    assert release.source.path == tiny_model
    assert release.source.model_digest == engine.model_digest(tiny_model)
    identity = release.source.identity
    assert (identity.device, identity.dtype) == ("cpu", "float32")
    assert identity.code == code_digest()
    assert release.record().engine == identity.as_dict()


def test_same_content_under_another_name_is_the_same_release(
    tmp_path: Path, tiny_model: Path
) -> None:
    digests = [_resolve(tmp_path, tiny_model, name).digest for name in ("one", "same", "two")]
    assert digests[0] == digests[1] != digests[2]


def test_release_digest_changes_with_everything_that_changes_an_answer() -> None:
    def digest(model: str = "m", prompt: str = "p", sampling: Any = None, **engine: Any) -> str:
        declared = SamplingSettings.model_validate(sampling or {})
        return release_digest(model, prompt, declared, engine_value(replace(CPU, **engine)))

    variants = [
        digest(),
        digest(model="other"),
        digest(prompt="other"),
        digest(device="cuda"),
        digest(dtype="bfloat16"),
        digest(code="another sampler"),
        digest(versions=(("torch", "2.13.1"),)),
        digest(kernels="torch"),
        digest(processor="AVX512"),
        digest(gpu="H100 9.0"),
        digest(num_threads=2),
        digest(sampling={"temperature": 0.5}),
        digest(sampling={"stop": ["x"]}),
        digest(sampling={"top_k": 5}),
        digest(sampling={"min_p": 0.1}),
        digest(sampling={"repetition_penalty": 1.1}),
        digest(sampling={"stop_token_ids": [3]}),
        digest(sampling={"min_tokens": 3}),
        digest(sampling={"json_schema": "{}"}),
        digest(batch_invariant=False),
        digest(quantization="int8"),
        digest(quantization="int4"),
    ]
    assert len(set(variants)) == len(variants)
    assert digest(device="cuda:0") == digest(device="cuda:1")
    assert {field.name for field in fields(CPU)} == {
        "code", "versions", "device", "dtype", "quantization", "batch_invariant", "kernels",
        "processor", "gpu", "num_threads",
    }, "a new field needs a variant above"  # fmt: skip


def test_sampling_keys_that_are_unset_leave_the_digest_as_it_was() -> None:
    declared = ReleaseSettings.model_validate({"model": "x", "sampling": {"max_tokens": 9}})
    recorded = {"max_tokens": 9, "temperature": 0.0, "top_p": 1.0, "stop": []}
    assert declared.sampling.model_dump(mode="json") == recorded
    value = {"model": "m", "prompt": "p", "sampling": recorded, "engine": CPU.as_dict()}
    expected = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    assert release_digest("m", "p", declared.sampling, engine_value(CPU)) == expected
    again = SamplingSettings(max_tokens=9, top_k=7).model_dump(mode="json")
    assert SamplingSettings.model_validate(again) == SamplingSettings(max_tokens=9, top_k=7)


def test_at_once_is_resolved_what_was_resolved_before(tmp_path: Path, tiny_model: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    settings = settings_for(tmp_path, model)
    assert resolve_known("one", settings) is None
    found = resolve_release("one", settings, Memory(settings.home_path / MEMORY_FILE))
    known = resolve_known("one", settings)
    assert known is not None
    assert known.record() == found.record()
    (tmp_path / "one.md").write_text("Another prompt.")  # which is read whatever is known
    changed = resolve_known("one", settings)
    assert changed is not None
    assert changed.digest not in ("", found.digest)
    os.utime(next(model.glob("*.safetensors")))
    assert resolve_known("one", settings) is None
    assert resolve_known("one", settings_for(tmp_path, "owner/name")) is None
    with pytest.raises(UsageError, match="does not exist"):
        resolve_known("one", settings_for(tmp_path, "./none"))


@pytest.mark.parametrize("model", ["./none", "none.gguf", "nowhere", "/no/such/folder"])
def test_missing_model_is_one_clear_line(tmp_path: Path, model: str) -> None:
    with pytest.raises(UsageError, match="the model of release 'one' does not exist"):
        _resolve(tmp_path, model)


def test_folder_that_is_no_model_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="cannot be used") as caught:
        _resolve(tmp_path, "empty")
    assert "safetensors" in caught.value.line()


def test_unreadable_model_is_one_clear_line(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(engine, "model_digest", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        _resolve(tmp_path, tiny_model)


def test_hub_id_goes_through_the_hub_and_its_failure_is_told(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "resolve_model", lambda reference: tiny_model)
    source = _resolve(tmp_path, "owner/name").source
    assert isinstance(source, EngineSource)
    assert source.path == tiny_model

    def fail(reference: str) -> Path:
        raise engine.EngineError("no network")

    monkeypatch.setattr(releases, "resolve_model", fail)
    with pytest.raises(UsageError, match="no network"):
        _resolve(tmp_path, "owner/name")


def test_unknown_release_names_the_nearest(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'one'"):
        _resolve(tmp_path, tiny_model, "oen")


def _package(folder: Path, name: str, *files: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    for file in files:
        (folder / name / file).write_bytes(b"GGUF")


def test_gguf_inside_a_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "gguf_inside", "model.gguf")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_in_package("gguf_inside", "r") == tmp_path / "gguf_inside" / "model.gguf"
    assert "gguf_inside" not in sys.modules


def test_package_must_hold_exactly_one_gguf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "gguf_none")
    _package(tmp_path, "gguf_two", "a.gguf", "b.gguf")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="holds 0: none"):
        find_in_package("gguf_none", "r")
    with pytest.raises(UsageError, match=r"holds 2: a\.gguf, b\.gguf"):
        find_in_package("gguf_two", "r")


@pytest.mark.parametrize("name", ["not_installed_anywhere", "os.path", "../x", ""])
def test_package_that_cannot_be_found_is_one_clear_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"not installed|names no package"):
        find_in_package(name, "r")


def test_digest_of_an_unchanged_model_is_not_computed_again(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Memory(tmp_path / "m.json").model_digest(tiny_model)
    monkeypatch.setattr(engine, "model_digest", lambda path: pytest.fail("hashed again"))
    assert Memory(tmp_path / "m.json").model_digest(tiny_model) == first


def test_digest_of_a_changed_model_is_computed_again(tmp_path: Path) -> None:
    file, memory = tmp_path / "a.gguf", Memory(tmp_path / "m.json")
    file.write_bytes(b"one")
    first = memory.model_digest(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert memory.model_digest(file) != first


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"version": 99}', '{"version": 1, "values": 3}']
)
def test_damaged_memory_is_made_anew(tmp_path: Path, tiny_model: Path, damage: str) -> None:
    (tmp_path / "m.json").write_text(damage, encoding="utf-8")
    digest = Memory(tmp_path / "m.json").model_digest(tiny_model)
    assert digest == engine.model_digest(tiny_model)
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["values"]


def test_memory_that_cannot_be_written_is_done_without(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    memory = Memory(tmp_path / "file" / "m.json")
    assert memory.model_digest(tiny_model) == engine.model_digest(tiny_model)


def test_auto_is_decided_once_and_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.json")
    identity = resolve_engine(EngineSettings(), memory)
    assert "auto" not in (identity.device, identity.dtype)
    (key,) = json.loads((tmp_path / "m.json").read_text())["values"]
    assert Memory(tmp_path / "m.json").get(key) == identity.as_dict()
    other = replace(identity, device="cuda", dtype="bfloat16")
    memory.put(key, other.as_dict())
    assert resolve_engine(EngineSettings(), memory) == other


def test_unknown_device_is_one_clear_line(tmp_path: Path, tiny_model: Path) -> None:
    release = {"model": str(tiny_model), "engine": {"device": "abacus"}}
    settings = parse_settings({"releases": {"one": release}}, base=str(tmp_path))
    with pytest.raises(UsageError, match="abacus"):
        resolve_release("one", settings, Memory(tmp_path / "m.json"))


def test_a_machine_that_gave_out_is_not_the_models_fault() -> None:
    said = "the tokenizer cannot be read: ImportError: failed to map segment from shared object"
    told = unusable_model("one", "a/model", engine.EngineError(said))
    assert told.exit_code == 4
    assert told.what == "this machine has not enough memory"
    assert unusable_model("one", "a/model", engine.EngineError("no shard")).exit_code == 2
