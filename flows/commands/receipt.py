"""`flywheel receipt`: the signed receipt of a verdict, shown and checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from flows.run_named import no_such_run
from flows.terminal import console, print_json, print_pairs, say
from tasks.errors import FlywheelError, StoreError, UsageError
from tasks.receipts.canonical import canonical_bytes
from tasks.receipts.checking import checked, differs_from, keys_beside
from tasks.receipts.envelope import MAX_BYTES, Opened, RefusedError
from tasks.receipts.facts import Facts
from tasks.receipts.files import read_own, receipt_path, write_receipt
from tasks.receipts.keys import public_pem, read_public, signing_key
from tasks.receipts.reading import read_facts
from tasks.receipts.statement import RECEIPT, receipt
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.opening import open_store

_STORE = "flywheel.duckdb"
#: digests are told by their beginning
_SHOWN = 16


class NotVerifiedError(FlywheelError):
    """A receipt is not as it was signed."""

    exit_code = 1


def show_receipt(run_id: str, *, config: str | None, as_json: bool) -> int:
    """One that is not written yet, of a run that `flywheel gate` decided, is."""
    settings = read_settings(config)
    facts = facts_of(settings, run_id)
    path = receipt_path(settings.home_path, facts.run_id)
    if not path.exists():
        write_receipt(settings, facts)
    try:
        statement = read_own(path)
    except RefusedError as error:
        raise _not_verified(path, error, told=str(error)) from None
    if as_json:
        sys.stdout.write(canonical_bytes(statement).decode() + "\n")
    else:
        _show(statement["predicate"], path)
    return 0


def facts_of(settings: Settings, run_id: str) -> Facts:
    """Of the decided run whose id begins so, or of the last one. Raises UsageError."""
    with open_store(settings, read_only=True) as store:
        found = ledger.find_run(store, run_id)
        if found is None:
            raise no_such_run(run_id)
        if not verdicts.read_verdicts(store, found):
            raise UsageError(
                "the run has no verdict", received=found, next="flywheel gate, or name another run"
            )
        return read_facts(store, found)


def verify_receipt(file: str, key: str, *, as_json: bool) -> int:
    """Exit code 1 where it is not as it was signed. Raises UsageError where the file or the key
    cannot be read."""
    path = Path(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the receipt cannot be read: {error.strerror}", received=str(path)
        ) from None
    keys = [read_public(Path(key))] if key else keys_beside(path)
    if not keys:
        raise UsageError(
            "there is no public key to check it by",
            received=f"no key beside {path}",
            next="--key FILE, a key that flywheel receipt key printed",
        )
    try:
        found = checked(data, keys)
    except RefusedError as error:
        raise _not_verified(path, error, told=_told(path, error)) from None
    _require_as_in_store(path, found)
    _tell(found, path, is_trusted=bool(key), as_json=as_json)
    return 0


def _tell(found: Opened, path: Path, *, is_trusted: bool, as_json: bool) -> None:
    predicate = found.statement["predicate"]
    verdict = predicate["result"]
    verdict = verdict if isinstance(verdict, str) else verdict["verdict"]
    kind = found.statement["predicateType"]
    if as_json:
        print_json({"verified": True, "file": str(path), "key_id": found.key_id, "kind": kind,
                    "result": verdict, "run_id": predicate.get("run_id")})  # fmt: skip
        return
    screen = console()
    subjects = ", ".join(
        f"{one['name']} {one['digest']['sha256'][:_SHOWN]}" for one in found.statement["subject"]
    )
    print_pairs(
        screen,
        [
            ("verified", f"{path}: not a byte is another than was signed"),
            ("key", found.key_id),
            ("result", verdict),
            ("of", subjects),
        ],
    )
    if not is_trusted:
        say(screen, "the key lies beside the receipt: whoever wrote one may have written both. "
            "--key FILE names one that you trust")  # fmt: skip


def _not_verified(path: Path, error: RefusedError, *, told: str) -> NotVerifiedError:
    refused = NotVerifiedError(
        f"the receipt is not as it was signed: {told}",
        received=str(path),
        next="take the file from who signed it; flywheel reproduce RUN executes the run again",
    )
    refused.counts = {"verified": False, "place": error.place}
    return refused


def _told(path: Path, error: RefusedError) -> str:
    """With the field, where the file lies beside the store that it was made from."""
    made = _made_beside(path, error.value)
    difference = None if made is None else differs_from(made, error.value)
    if difference is None:
        return str(error)
    return f"{error}; the store has another {difference.path}: {difference.then}, and not " + (
        difference.now
    )


def _require_as_in_store(path: Path, found: Opened) -> None:
    """A receipt that lies beside a store says what that says."""
    made = _made_beside(path, found.statement)
    difference = None if made is None else differs_from(made, found.statement, is_signed=True)
    if difference is not None:
        error = RefusedError("store", f"{difference.path} is {difference.then} in the store, and "
                             f"{difference.now} in the receipt")  # fmt: skip
        raise _not_verified(path, error, told=str(error))


def _made_beside(path: Path, statement: Any) -> dict[str, Any] | None:
    """What the store beside a receipt makes of its run; None where there is no such store, run or
    kind of receipt."""
    if not isinstance(statement, dict) or statement.get("predicateType") != RECEIPT:
        return None
    store_path = path.resolve().parent.parent / _STORE
    predicate = statement.get("predicate")
    run_id = predicate.get("run_id") if isinstance(predicate, dict) else None
    # the run that the file is named for, where what it says cannot be trusted
    named = path.name.removesuffix(".receipt.json")
    if not store_path.exists() or not isinstance(run_id, str):
        return None
    try:
        with Store.open(store_path, read_only=True) as store:
            for one in dict.fromkeys((named, run_id)):
                if verdicts.read_verdicts(store, one):
                    return receipt(read_facts(store, one))
    except StoreError:
        return None
    return None


def show_key(*, config: str | None, as_json: bool) -> int:
    key = signing_key(read_settings(config)).public_key
    text = public_pem(key).decode()
    if as_json:
        print_json({"key_id": key.keyid, "public_key": text})
    else:
        print(text, end="")
    return 0


def _show(predicate: dict[str, Any], path: Path) -> None:
    policy, inputs = predicate["policy"], predicate["inputs"]
    eval_set, materials = inputs["eval_set"], predicate["materials"]
    source = materials["source"]
    commit = "an installed package" if source is None else (
        source["commit"][:_SHOWN] + (", changed since" if source["dirty"] else "")
    )  # fmt: skip
    fixed = "not written down beforehand" if policy["digest"] is None else (
        f"{_short(policy['digest'])}, fixed {policy['fixed_at']}"
    )  # fmt: skip
    screen = console()
    pairs = [
        ("receipt", str(path)),
        ("run", f"{predicate['run_id']}: {predicate['result']['verdict']}"),
    ]
    pairs += [
        ("release", f"{one['name']} ({one['role']}) {_short(one['digest'])}")
        for one in predicate["releases"]
    ]
    pairs.append(("policy", fixed))
    if policy["answers_before"]:
        pairs.append(
            ("answers", f"{policy['answers_before']:,} were there before, from other runs")
        )
    pairs.append(("eval set", f"{_short(eval_set['digest'])}, {eval_set['num_samples']:,} samples"))
    pairs += [
        ("log file", f"{one['name']} {_short(one['digest'])}, {one['rows']:,} rows")
        for one in inputs["logs"]
    ]
    held = ", ".join(f"{reason} {number:,}" for reason, number in inputs["quarantined"].items())
    pairs += [
        ("quarantined", held or "none"),
        ("looks", ", ".join(f"{role} {number}" for role, number in inputs["looks"].items())),
        ("scorers", ", ".join(f"{k}: {v}" for k, v in predicate["instrument"]["scorers"].items())),
        ("noise floor", ", ".join(
            f"{suite}: {'not known' if floor is None else f'{100 * floor:.2g} points'}"
            for suite, floor in predicate["instrument"]["noise_floor"].items())),
        ("materials", f"commit {commit}; on {', '.join(materials['devices']) or 'an API'}; seeds "
         + ", ".join(map(str, materials["seeds"]))),
        ("approval", "nobody has promoted it yet" if predicate["approval"] is None
         else str(predicate["approval"])),
    ]  # fmt: skip
    pairs += [("reproduced", _reproduced(one)) for one in predicate["reproduction"]]
    pairs.append(("kept until", predicate["retention_until"]))
    print_pairs(screen, pairs)
    for sentence in predicate["limits"]:
        say(screen, f"  · {sentence}")


def _reproduced(entry: dict[str, Any]) -> str:
    how = "equal to the bit" if entry["equal"] else f"not equal: {entry['first_link']}"
    return f"{entry['at']} on {entry['device']}: {how}"


def _short(digest: dict[str, str]) -> str:
    return digest["sha256"][:_SHOWN]
