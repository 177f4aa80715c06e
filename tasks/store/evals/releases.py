"""The `releases` table: releases as they were resolved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from expectations.contracts import MODEL_FILES, RELEASES
from tasks.errors import StoreError
from tasks.model.answer import Role
from tasks.model.canonical import writable
from tasks.model.release import Release
from tasks.store.db.connection import Store

_COLUMNS = "name, release_digest, model, model_digest, prompt_digest, prompts, sampling, engine"


def save_release(store: Store, release: Release, now: datetime) -> None:
    """Keep a release. The digest fixes what it is; name and reference follow the latest use."""
    row = {
        "release_digest": release.digest,
        "name": release.name,
        "model": release.model,
        "model_digest": release.model_digest,
        "prompt_digest": release.prompt_digest,
        "prompts": json.dumps(release.prompts, ensure_ascii=False),
        "sampling": json.dumps(release.sampling),
        "engine": json.dumps(release.engine),
        "created_at": now,
    }
    store.insert(RELEASES, [row], existing="keep")
    store.execute(
        "UPDATE releases SET name = ?, model = ? WHERE release_digest = ?",
        [release.name, release.model, release.digest],
    )


def read_release(store: Store, digest: str) -> Release | None:
    row = store.one(f"SELECT {_COLUMNS} FROM releases WHERE release_digest = ?", [digest])
    return None if row is None else _release(row)


def compared_releases(store: Store) -> list[tuple[Release, datetime]]:
    """Those that a run compared or an alias points at, with the time they were first met, the
    newest first."""
    rows = store.rows(
        f"SELECT {_COLUMNS}, created_at FROM releases WHERE release_digest IN ("
        "SELECT champion_digest FROM runs UNION SELECT challenger_digest FROM runs "
        "UNION SELECT unnest(more_challengers) FROM runs UNION SELECT release_digest FROM aliases) "
        "ORDER BY created_at DESC, release_digest"
    )
    return [(_release(row), created_at) for *row, created_at in rows]


def releases_named(store: Store, text: str) -> list[Release]:
    """Those whose digest begins so; of none, the newest of this name."""
    found = store.rows(
        f"SELECT {_COLUMNS} FROM releases WHERE starts_with(release_digest, ?) ORDER BY 2", [text]
    ) or store.rows(
        f"SELECT {_COLUMNS} FROM releases WHERE name = ? ORDER BY created_at DESC LIMIT 1", [text]
    )
    return [_release(row) for row in found]


def _release(row: Sequence[Any]) -> Release:
    *texts, prompts, sampling, engine = row
    return Release(*texts, *(writable(json.loads(text)) for text in (prompts, sampling, engine)))


def read_releases(store: Store, digests: Sequence[str]) -> dict[str, Release]:
    """By digest, of those that are in the store."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM releases WHERE list_contains(?, release_digest)", [list(digests)]
    )
    found = {release.digest: release for release in map(_release, rows)}
    return {digest: found[digest] for digest in digests if digest in found}


def save_model_files(store: Store, model_digest: str, files: Mapping[str, str]) -> None:
    """File name → sha256. The digest of the model fixes them."""
    rows = [
        {"model_digest": model_digest, "name": name, "digest": digest}
        for name, digest in files.items()
    ]
    store.insert(MODEL_FILES, rows, existing="keep")


def read_model_files(store: Store, model_digest: str) -> dict[str, str]:
    """None are known of a model that cannot be seen, or that an earlier build resolved."""
    return dict(
        store.rows(
            "SELECT name, digest FROM model_files WHERE model_digest = ? ORDER BY name",
            [model_digest],
        )
    )


def releases_in_roles(store: Store, digests: Mapping[Role, str]) -> dict[Role, Release]:
    """Of a run, each by the part that it played. Raises StoreError where one is missing."""
    found = read_releases(store, list(digests.values()))
    for role, digest in digests.items():
        if digest not in found:
            raise StoreError(f"the {role} of the run is not in the store", received=digest)
    return {role: found[digest] for role, digest in digests.items()}
