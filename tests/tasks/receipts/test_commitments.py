"""What a run is bound to stays what it was, whoever goes on with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.receipts import materials
from tasks.receipts.commitment import commitment, files_of, policy_of
from tasks.receipts.materials import source_of
from tasks.scoring import policy
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control.commitments import commit, read_commitment
from tests.tasks.evaluate.stage import NOW, settings_for

REQUEST = RunRequest(champion="one", challengers=("two",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, tmp_path / "model")


def test_it_is_written_once_and_notes_other_packages_that_a_run_is_gone_on_with(
    settings: Settings,
) -> None:
    bound = commitment(settings, REQUEST, NOW)
    assert bound.policy_digest == policy.digest(policy_of(settings, REQUEST))
    assert bound.settings_digest == settings.digest
    other = ({"packages": {"torch": "0"}, "source": None},)
    later = replace(bound, policy={}, policy_digest="other", materials=other)
    with Store.open(settings.store_path) as store:
        assert read_commitment(store, "r") is None
        commit(store, "r", bound)
        first = read_commitment(store, "r")
        assert first == bound
        # suites are told in the order in which they are declared
        assert list(first.settings["suites"]) == ["words", "labels"]
        commit(store, "r", bound)
        commit(store, "r", later)
        commit(store, "r", later)
        kept = read_commitment(store, "r")
    assert kept == replace(bound, materials=(*bound.materials, *other))


def test_settings_that_were_written_down_are_settings_again(settings: Settings) -> None:
    """Nothing that changes a result is left out: the digest is the same."""
    bound = commitment(settings, REQUEST, NOW)
    again = Settings.model_validate({**bound.settings, "home": "home", "base": settings.base})
    assert again.digest == settings.digest
    text = str(bound.settings)
    assert "home" not in bound.settings
    assert settings.base not in text.replace(str(Path(settings.base) / "model"), "")


def test_no_secret_and_no_address_is_written_down(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "mlflow": {"tracking_uri": "https://user:hunter2@host"},
        "logs": ["s3://key:hunter2@bucket/x"],
        "retention": {"raw_key_file": "hunter2"},
        "receipts": {"key_file": "hunter2"},
    }
    bound = commitment(settings_for(tmp_path, "m", **values), REQUEST, NOW)
    assert "hunter2" not in str(bound)


def test_files_that_the_settings_name_are_known_by_content(tmp_path: Path) -> None:
    suites = {"words": {"samples": "words.jsonl"}, "labels": {"samples": "absent.jsonl"}}
    settings = settings_for(tmp_path, "m", suites=suites)
    (tmp_path / "words.jsonl").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files_of(settings) == {"words.jsonl": abc}
    (tmp_path / "pins.jsonl").write_bytes(b"")
    assert list(files_of(settings)) == ["pins.jsonl", "words.jsonl"]


def test_a_policy_that_cannot_be_told_is_none(tmp_path: Path) -> None:
    guardrails = {"cost": {"measure": "cost"}}
    settings = settings_for(tmp_path, "m", guardrails=guardrails)
    with pytest.raises(UsageError, match="costs is not known"):
        commitment(settings, REQUEST, NOW)


def test_the_commit_is_that_of_a_checkout_alone(tmp_path: Path) -> None:
    import subprocess

    assert source_of(tmp_path) is None
    inner = tmp_path / "repository"
    inner.mkdir()

    def git(*words: str) -> str:
        name = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        done = subprocess.run(["git", *name, *words], cwd=inner, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    (inner / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    source_of.cache_clear()
    assert source_of(inner) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    # an environment inside somebody's repository is none of that repository
    (inner / "site-packages").mkdir()
    assert source_of(inner / "site-packages") is None
    (inner / "file").write_text("two")
    source_of.cache_clear()
    assert source_of(inner)["dirty"]
    assert set(materials.materials()) == {"packages", "source"}


def test_settings_of_every_kind_come_back(tmp_path: Path) -> None:
    """What pydantic writes in JSON it has to take again, strict as it is."""
    text = {
        "champion": "one",
        "challenger": ["two"],
        "releases": {
            "one": {"model": "m", "sampling": {"as_logged": True, "top_k": 3, "stop": ["x"]}},
            "two": {"model": "x", "api": "openai", "base_url": "http://127.0.0.1:9/v1",
                    "body": {"a": [1, {"b": None}]}, "omit": ["seed"]},
        },
        "suites": {"s": {"scorer": {"name": "numeric", "tolerance": 0.01}, "also": ["exact_match"],
                         "slices": {"lang": 0.1}, "margin": 0.2}},
        "guardrails": {"g": {"measure": "output_tokens", "suites": ["s"]}},
        "judges": {"j": {"release": "one", "rubric": "Be right.", "scale": [1, 3]}},
        "validate": {"scripts": ["Latin"], "max_null_ratio": {"model": 0.5}},
        "redact": {"fields": {"tags.customer": "drop"}},
    }  # fmt: skip
    settings = parse_settings(text, base=str(tmp_path))
    bound = commitment(settings, REQUEST, NOW)
    again = Settings.model_validate(
        {**bound.settings, "home": settings.home, "base": settings.base}
    )
    assert again.digest == settings.digest
