"""The receipt of a decided run, checked by securesystemslib, jsonschema and cryptography alone."""

from __future__ import annotations

import base64
import copy
import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from tasks.errors import UsageError
from tasks.receipts.checking import checked, keys_beside
from tasks.receipts.envelope import RefusedError, sealed
from tasks.receipts.facts import Facts
from tasks.receipts.files import add_reproduction, receipt_path, write_receipt
from tasks.receipts.keys import signing_key
from tasks.receipts.reading import read_facts
from tasks.receipts.statement import as_test_result, receipt
from tasks.run import Run
from tests.conftest import REPOSITORY
from tests.tasks.record.turns import RUN_ID, digest, fill, make_run

SCHEMAS = REPOSITORY / "tasks" / "model" / "schemas"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def facts_of(run: Run) -> Facts:
    with run.open_store(read_only=True) as store:
        return read_facts(store, run.run_id)


def payload_of(path: Path) -> dict[str, Any]:
    """As anybody would read it."""
    envelope = json.loads(path.read_bytes())
    value: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return value


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = make_run(tmp_path_factory.mktemp("receipts"))
    fill(made, num_samples=12)
    return made


@pytest.fixture(scope="module")
def path(run: Run) -> Path:
    return write_receipt(run.settings, facts_of(run))


def test_a_tool_that_is_not_ours_verifies_it(path: Path) -> None:
    (public,) = path.parent.glob("*.pub")
    key = SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()))
    for name in (f"{RUN_ID}.receipt.json", f"{RUN_ID}.test-result.json"):
        envelope = Envelope.from_dict(json.loads((path.parent / name).read_text()))
        assert set(envelope.verify([key], 1)) == {key.keyid}
        assert envelope.payload_type == PAYLOAD_TYPE
        assert rfc8785.dumps(json.loads(envelope.payload)) == envelope.payload
    other = CryptoSigner.generate_ed25519().public_key
    with pytest.raises(Exception, match="do not match threshold"):
        envelope.verify([other], 1)


def test_it_says_what_the_store_holds(run: Run, path: Path) -> None:
    statement = payload_of(path)
    predicate = statement["predicate"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [
        {"name": name, "digest": {"sha256": digest("release", name)}}
        for name in ("candidate", "prod")
    ]
    (log,) = predicate["inputs"]["logs"]
    assert log["name"] == "day <1>.jsonl"
    assert (log["digest"], log["rows"]) == ({"sha256": digest("log")}, 12)
    assert predicate["inputs"]["quarantined"] == {"has_messages": 2, "tokens_possible": 1}
    assert predicate["inputs"]["looks"] == {"challenger": 1}
    assert predicate["inputs"]["eval_set"]["owners"]["tickets"] == "support team"
    assert predicate["result"]["verdict"] == "worse"
    (suite, *_) = predicate["result"]["challengers"][0]["suites"]
    assert (suite["ci_low"], suite["margin"]) == (-0.42, 0.05)
    assert predicate["approval"] is None
    assert (predicate["reproduction"], predicate["erasures"]) == ([], [])
    assert predicate["decided_at"] == "2026-11-24T16:07:00.000000Z"
    assert predicate["retention_until"] == "2027-05-26T16:07:00.000000Z"
    # of a run that was not bound to anything beforehand, nothing is made up
    assert (predicate["policy"]["digest"], predicate["policy"]["fixed_at"]) == (None, None)
    assert any("did not write its policy down" in text for text in predicate["limits"])
    assert str(run.settings.home_path) not in json.dumps(statement)


@pytest.mark.parametrize("name", ["receipt-1.json", "test-result-0.1.json"])
def test_both_statements_follow_their_schemas_key_by_key(run: Run, name: str) -> None:
    schema = json.loads((SCHEMAS / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    facts = facts_of(run)
    made = receipt(facts) if name.startswith("receipt") else as_test_result(facts, "challenger")
    statement = json.loads(rfc8785.dumps(json.loads(json.dumps(made))))
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(statement)) == []
    for key in statement["predicate"]:
        lacking = copy.deepcopy(statement)
        del lacking["predicate"][key]
        (error,) = validator.iter_errors(lacking)
        assert key in error.message


@pytest.mark.parametrize(
    ("verdict", "result"),
    [("better", "PASSED"), ("no_worse", "PASSED"), ("worse", "FAILED"), ("blocked", "FAILED"),
     ("cannot_tell", "FAILED")],
)  # fmt: skip
def test_cannot_tell_is_failed_and_nothing_is_ever_a_warning(
    verdict: str, result: str, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    fill(run, num_samples=6, verdict=verdict)
    write_receipt(run.settings, facts_of(run))
    statement = payload_of(tmp_path / "receipts" / f"{RUN_ID}.test-result.json")
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert (predicate["result"], predicate["warnedTests"]) == (result, [])
    # orders cannot be told, logged gates nothing
    assert (predicate["passedTests"], predicate["failedTests"]) == ([], ["tickets", "orders"])
    assert statement["subject"] == [
        {"name": "candidate", "digest": {"sha256": digest("release", "candidate")}}
    ]


def test_two_writings_give_the_same_bytes(run: Run, path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    facts = facts_of(run)
    signer = signing_key(run.settings)
    assert sealed(receipt(facts), signer) == before
    path.unlink()
    assert write_receipt(run.settings, facts).read_bytes() == before
    inode = path.stat().st_ino
    write_receipt(run.settings, facts)
    assert path.stat().st_ino == inode  # what says the same stays


def test_what_later_runs_read_changes_no_receipt(run: Run, path: Path) -> None:
    before = receipt(facts_of(run))
    with run.open_store() as store:
        store.execute(
            "INSERT INTO sources SELECT * REPLACE ('later' AS run_id, md5('x') AS digest) "
            "FROM sources WHERE run_id <> 'later'"
        )
        try:
            assert receipt(read_facts(store, RUN_ID)) == before
        finally:
            store.execute("DELETE FROM sources WHERE run_id = 'later'")


def test_the_key_is_made_once_for_its_owner_alone(run: Run, path: Path) -> None:
    file = run.settings.home_path / "receipts.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_key(run.settings).public_key == signing_key(run.settings).public_key
    assert [key.keyid for key in keys_beside(path)] == [signing_key(run.settings).public_key.keyid]
    assert b"PRIVATE" not in b"".join(p.read_bytes() for p in path.parent.iterdir() if p.is_file())


def test_a_key_of_ones_own_is_taken_and_another_kind_refused(tmp_path: Path) -> None:
    own = CryptoSigner.generate_ed25519()
    home = tmp_path / "home"
    (tmp_path / "own.pem").write_bytes(own.private_bytes)
    (tmp_path / "rsa.pem").write_bytes(CryptoSigner.generate_ecdsa().private_bytes)
    settings = make_run(home).settings

    def with_key(name: str) -> Any:
        section = settings.receipts.model_copy(update={"key_file": str(tmp_path / name)})
        return settings.model_copy(update={"receipts": section})

    assert signing_key(with_key("own.pem")).public_key == own.public_key
    assert not (home / "receipts.key").exists()
    with pytest.raises(UsageError, match="no key that receipts can be signed with"):
        signing_key(with_key("rsa.pem"))


def test_killed_anywhere_there_is_no_receipt_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    run = make_run(tmp_path)
    fill(run, num_samples=6)
    facts, target = facts_of(run), receipt_path(run.settings.home_path, RUN_ID)
    for number in range(1, 20):
        calls = iter(range(1, 100))

        def stopped(*words: Any, real: Callable[..., Any], at: int = number, count: Any = calls):
            if next(count) == at:
                raise Killed
            return real(*words)

        with monkeypatch.context() as patch:
            for module, name in ((os, "fsync"), (Path, "replace"), (os, "link")):
                real = getattr(module, name)
                patch.setattr(module, name, lambda *words, real=real: stopped(*words, real=real))
            try:
                write_receipt(run.settings, facts)
            except Killed:
                if target.exists():
                    checked(target.read_bytes(), keys_beside(target))
            else:
                break
    assert 4 < number < 19  # it was stopped in several places
    assert checked(write_receipt(run.settings, facts).read_bytes(), keys_beside(target))
    assert not [name for name in os.listdir(target.parent) if name.endswith(".new")]


ENTRY = {"at": "2026-12-01T00:00:00.000000Z", "device": "cpu", "equal": True, "first_link": None}


def test_a_reproduction_is_added_and_the_receipt_before_it_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    fill(run, num_samples=6)
    facts = facts_of(run)
    first = write_receipt(run.settings, facts).read_bytes()
    path = add_reproduction(run.settings, facts, ENTRY)
    second = path.read_bytes()
    add_reproduction(run.settings, facts, {**ENTRY, "equal": False, "first_link": "weights"})
    history = path.parent / "history"
    assert (history / f"{RUN_ID}.receipt.1.json").read_bytes() == first
    assert (history / f"{RUN_ID}.receipt.2.json").read_bytes() == second
    opened = checked(path.read_bytes(), keys_beside(path)).statement
    assert [one["equal"] for one in opened["predicate"]["reproduction"]] == [True, False]
    # written again, it keeps what was added; one that says something else goes aside
    assert write_receipt(run.settings, facts) == path
    assert len(payload_of(path)["predicate"]["reproduction"]) == 2
    with run.open_store() as store:
        store.execute("UPDATE verdicts SET verdict = 'better'")
    write_receipt(run.settings, facts_of(run))
    assert payload_of(path)["predicate"]["result"]["verdict"] == "better"
    assert (history / f"{RUN_ID}.receipt.refused.json").exists()


# what is no receipt any more


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def mutants(data: bytes, other: bytes, signer: CryptoSigner) -> Iterator[tuple[str, bytes]]:
    """Kind → a file that is not what was signed, 500 in all. `other`: the receipt of another run;
    `signer`: somebody else's key."""
    draw = random.Random(7)
    envelope = json.loads(data)
    payload = base64.b64decode(envelope["payload"])
    value = json.loads(payload)

    def with_payload(changed: bytes) -> bytes:
        return rfc8785.dumps({**envelope, "payload": _b64(changed)})

    def changed_value(change: Callable[[dict[str, Any]], object]) -> bytes:
        copied = copy.deepcopy(value)
        change(copied["predicate"])
        return with_payload(rfc8785.dumps(copied))

    for _ in range(240):
        place = draw.randrange(len(data))
        flipped = bytes([data[place] ^ 1 << draw.randrange(8)])
        yield "flip", data[:place] + flipped + data[place + 1 :]
    for _ in range(60):
        place = draw.randrange(len(payload))
        flipped = bytes([payload[place] ^ 1 << draw.randrange(8)])
        yield "flip in payload", with_payload(payload[:place] + flipped + payload[place + 1 :])
    for _ in range(50):
        yield "truncated", data[: draw.randrange(len(data))]
    keys = sorted(value["predicate"])
    for key in keys:
        yield "key taken out", changed_value(lambda p, key=key: p.pop(key))
        yield "key renamed", changed_value(lambda p, key=key: p.update({f"{key}2": p.pop(key)}))
    yield "verdict", changed_value(lambda p: p["result"].update(verdict="better"))
    for _ in range(20):
        items = list(value["predicate"].items())
        draw.shuffle(items)
        text = json.dumps({**value, "predicate": dict(items)}, separators=(",", ":"))
        yield "reordered payload", with_payload(text.encode())
    for indent in range(1, 21):
        yield "reworded payload", with_payload(json.dumps(value, indent=indent).encode())
        yield "reworded envelope", json.dumps(envelope, indent=indent).encode()
    for names in (
        ("signatures", "payloadType", "payload"),
        ("payloadType", "payload", "signatures"),
    ):
        text = json.dumps({name: envelope[name] for name in names}, separators=(",", ":"))
        yield "reordered envelope", text.encode()
    theirs = json.loads(other)
    yield "swapped payload", rfc8785.dumps({**envelope, "payload": theirs["payload"]})
    yield "swapped signature", rfc8785.dumps({**envelope, "signatures": theirs["signatures"]})
    (signature,) = envelope["signatures"]
    for number in range(10):
        forged = copy.deepcopy(value)
        forged["predicate"]["materials"]["seeds"] = [number + 1]
        by_other = json.loads(sealed(forged, signer))
        yield "another key", rfc8785.dumps(by_other)
        by_other["signatures"][0]["keyid"] = signature["keyid"]
        yield "another key under our name", rfc8785.dumps(by_other)
    text = envelope["payload"]
    for place in sorted(draw.sample(range(1, len(text)), 10)):
        yield (
            "base64 broken into lines",
            rfc8785.dumps({**envelope, "payload": f"{text[:place]}\n{text[place:]}"}),
        )
    sig = signature["sig"]
    yield "base64 without its end", _signed(envelope, {"sig": sig.rstrip("=")})
    yield "base64 with stray bits", _signed(envelope, {"sig": _stray(sig)})
    for letter in "-_":
        swapped = sig.replace("+", "-").replace("/", "_")
        yield "base64 of another alphabet", _signed(envelope, {"sig": f"{letter}{swapped[1:]}"})
    yield "hexadecimal", _signed(envelope, {"sig": base64.b64decode(sig).hex()})
    yield "a field more", _signed(envelope, {"cert": ""})
    yield "a field more", rfc8785.dumps({**envelope, "note": ""})
    yield "no signature", rfc8785.dumps({**envelope, "signatures": []})
    yield "two signatures", rfc8785.dumps({**envelope, "signatures": [signature, signature]})
    for kind in ("application/json", "", PAYLOAD_TYPE.upper(), None):
        yield "another type", rfc8785.dumps({**envelope, "payloadType": kind})
    for name in ("payload", "payloadType", "signatures"):
        twice = json.dumps(envelope[name], separators=(",", ":"))
        yield "a key twice", data.replace(b"{", f'{{"{name}":{twice},'.encode(), 1)
    for key in keys[:8]:
        twice = json.dumps(value["predicate"][key], separators=(",", ":"))
        head = b'"predicate":{'
        yield (
            "a key twice in the payload",
            with_payload(payload.replace(head, head + f'"{key}":{twice},'.encode(), 1)),
        )
    for more in (b" ", b"\n", b"\0", b"\xef\xbb\xbf"):
        yield "a byte more", data + more
        yield "a byte more", more + data
    for number in range(24):
        yield (
            "not a receipt",
            [b"", b"null", b"[]", b"{}", b"\xff", b'""'][number % 6] * (number + 1),
        )


def _signed(envelope: dict[str, Any], changes: dict[str, str]) -> bytes:
    (signature,) = envelope["signatures"]
    return rfc8785.dumps({**envelope, "signatures": [{**signature, **changes}]})


def _stray(text: str) -> str:
    """The same bytes in base64, with bits behind them that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    changed = body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + "=" * (len(text) - len(body))
    assert base64.b64decode(changed) == base64.b64decode(text)
    return changed


#: where each kind is found; the rest may be found in the envelope or further in
PLACES = {
    "flip in payload": {"signature"},
    "truncated": {"envelope"},
    "key taken out": {"signature"},
    "verdict": {"signature"},
    "reordered payload": {"signature"},
    "reworded payload": {"signature"},
    "reworded envelope": {"envelope"},
    "reordered envelope": {"envelope"},
    "swapped payload": {"signature"},
    "another key": {"signature"},
    "another key under our name": {"signature"},
    "base64 broken into lines": {"payload encoding"},
    "base64 with stray bits": {"signature"},
    "a key twice": {"envelope"},
    "a key twice in the payload": {"signature"},
    "a byte more": {"envelope"},
    "two signatures": {"envelope"},
    "another type": {"envelope"},
}


def test_five_hundred_mutants_are_all_refused_with_the_place(
    run: Run, path: Path, tmp_path: Path
) -> None:
    other = make_run(tmp_path, run_id="20261125-160700-3f9a1c")
    fill(other, num_samples=6)
    signer = CryptoSigner.generate_ed25519()
    keys = keys_beside(path)
    data = path.read_bytes()
    theirs = write_receipt(other.settings, facts_of(other)).read_bytes()
    number, passed, wrong = 0, [], []
    for kind, mutant in mutants(data, theirs, signer):
        assert mutant != data, kind
        number += 1
        try:
            checked(mutant, keys)
        except RefusedError as error:
            allowed = PLACES.get(kind, {"envelope", "payload encoding", "signature"})
            if error.place not in allowed:
                wrong.append((kind, str(error)))
        else:
            passed.append(kind)
    assert (passed, wrong) == ([], [])
    assert number >= 500
    assert checked(data, keys)  # and the receipt itself still is one


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda p: p.pop("limits"), r"schema: \$\.predicate: 'limits'"),
        (lambda p: p["policy"].update(digest="x"), r"schema: \$\.predicate\.policy\.digest"),
        (lambda p: p["result"].update(verdict="fine"), r"\$\.predicate\.result\.verdict"),
        (lambda p: p["inputs"]["looks"].update(challenger=0), r"inputs\.looks\.challenger"),
    ],
)
def test_what_is_signed_and_no_receipt_is_refused_by_its_path(
    run: Run, change: Callable[[dict[str, Any]], object], place: str
) -> None:
    made = json.loads(json.dumps(receipt(facts_of(run))))
    change(made["predicate"])
    signer = signing_key(run.settings)
    with pytest.raises(RefusedError, match=place):
        checked(sealed(made, signer), [signer.public_key])


def test_a_payload_that_is_signed_and_not_canonical_is_refused_by_its_byte(run: Run) -> None:
    signer = signing_key(run.settings)
    text = json.dumps(receipt(facts_of(run)), indent=1).encode()
    envelope = Envelope(text, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    envelope.verify([signer.public_key], 1)  # in order for DSSE, and yet not ours
    with pytest.raises(RefusedError, match=r"canonical form: byte 1 is not") as caught:
        checked(rfc8785.dumps(envelope.to_dict()), [signer.public_key])
    assert caught.value.place == "canonical form"
