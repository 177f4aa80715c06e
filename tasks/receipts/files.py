"""The files of receipts in the state folder: written whole, added to, never lost.

receipts/RUN.receipt.json            the receipt
receipts/RUN.test-result.json        the same verdict as in-toto's test result; of further
                                     challengers RUN.test-result-ROLE.json
receipts/KEY.pub                     the public key that they are checked by
receipts/history/RUN.receipt.N.json  a receipt before its N-th addition; RUN.receipt.refused.json
                                     one that was found to be none of this run
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import StoreError
from tasks.receipts.checking import checked, differs_from, keys_beside
from tasks.receipts.envelope import RefusedError, sealed
from tasks.receipts.facts import Facts
from tasks.receipts.keys import public_name, public_pem, signing_key
from tasks.receipts.statement import Statement, as_test_result, receipt
from tasks.settings import Settings
from tasks.store.folder import write_once
from tasks.whole_files import write_whole

_FOLDER = "receipts"
_HISTORY = "history"


def receipt_path(home: Path, run_id: str) -> Path:
    return home / _FOLDER / f"{run_id}.receipt.json"


def write_receipt(settings: Settings, facts: Facts) -> Path:
    """Of a decided run. One that stands there already and says the same of the run stays, with what
    was added to it; one that does not, or that nobody signed, goes into the history. Raises
    StoreError where it cannot be written, UsageError for a key that is none."""
    signer = signing_key(settings)
    path = receipt_path(settings.home_path, facts.run_id)
    made = receipt(facts)
    results = {
        path.with_name(f"{facts.run_id}.{_result_name(facts, role)}.json"): as_test_result(
            facts, role
        )
        for role in facts.verdicts
    }
    try:
        _make_folder(path.parent)
        write_whole(path.with_name(public_name(signer.public_key)), public_pem(signer.public_key))
        for file, statement in results.items():
            write_whole(file, sealed(statement, signer))
        if not _says(path, made):
            if path.exists():
                _make_folder(path.parent / _HISTORY)
                path.replace(path.parent / _HISTORY / f"{facts.run_id}.receipt.refused.json")
            write_whole(path, sealed(made, signer))
    except OSError as error:
        raise _cannot_write(path, error) from None
    return path


def _result_name(facts: Facts, role: str) -> str:
    return "test-result" if role == facts.leading else f"test-result-{role}"


def _says(path: Path, made: Statement) -> bool:
    try:
        return differs_from(made, read_own(path), is_signed=True) is None
    except (OSError, RefusedError):
        return False


def read_own(path: Path) -> Statement:
    """A receipt of a state folder, by the keys that lie beside it. Raises OSError, RefusedError."""
    return checked(path.read_bytes(), keys_beside(path)).statement


def add_reproduction(settings: Settings, facts: Facts, entry: Mapping[str, Any]) -> Path:
    """Another line of `reproduction`. Raises StoreError as above."""

    def added(predicate: Mapping[str, Any]) -> dict[str, Any]:
        return {"reproduction": [*predicate["reproduction"], dict(entry)]}

    return _add(settings, facts, added)


def add_approval(settings: Settings, facts: Facts, approval: Mapping[str, Any]) -> Path:
    """Who promoted it; of several the last. Raises StoreError as above."""
    return _add(settings, facts, lambda _: {"approval": dict(approval)})


def _add(
    settings: Settings, facts: Facts, added: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Path:
    """Signed anew with what is added; the receipt as it was goes into the history."""
    from filelock import FileLock

    path = write_receipt(settings, facts)
    try:
        with FileLock(settings.home_path / "receipts.lock"):
            before = path.read_bytes()
            statement = read_own(path)
            predicate = statement["predicate"]
            history = path.parent / _HISTORY
            _make_folder(history)
            number = len(list(history.glob(f"{facts.run_id}.receipt.[0-9]*.json"))) + 1
            write_once(history / f"{facts.run_id}.receipt.{number}.json", before)
            changed = {**statement, "predicate": {**predicate, **added(predicate)}}
            write_whole(path, sealed(changed, signing_key(settings)))
    except OSError as error:
        raise _cannot_write(path, error) from None
    return path


def write_without(settings: Settings, facts: Facts, erasures: Sequence[Mapping[str, Any]]) -> Path:
    """The receipt of a run of which samples were erased, made anew of what is left, with what was
    erased. Receipts before it go: they may quote what was erased. Raises as above."""
    path = receipt_path(settings.home_path, facts.run_id)
    try:
        reproduced = read_own(path)["predicate"]["reproduction"]
    except (OSError, RefusedError):
        reproduced = []
    try:
        for old in (path, *(path.parent / _HISTORY).glob(f"{facts.run_id}.receipt.*")):
            old.unlink(missing_ok=True)
        write_receipt(settings, facts)
        statement = read_own(path)
        added = {"erasures": [dict(one) for one in erasures], "reproduction": reproduced}
        predicate = {**statement["predicate"], **added}
        write_whole(path, sealed({**statement, "predicate": predicate}, signing_key(settings)))
    except OSError as error:
        raise _cannot_write(path, error) from None
    return path


def _make_folder(folder: Path) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the receipt cannot be written: {error.strerror or error}", received=str(path)
    )
