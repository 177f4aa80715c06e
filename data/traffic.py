"""The plan of the production traffic: who writes what, when, and how the answer is sampled.

Owns everything about a call that is known before the model is asked, drawn from one seed. Knows
no engine and no log format. Texts that must later count as duplicates, and texts with an address
or a password in them, are planned here too, because the model has to answer them as well.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import texts

#: fixed, so that the logs never begin in the future
FIRST_DAY = datetime(2026, 9, 7)  # noqa: DTZ001 - UTC
NUM_DAYS = 7
TASKS = {"product": 0.4, "order": 0.3, "mood": 0.3}
#: an accidental text this much like another would be counted as an injected near-duplicate
MAX_LIKENESS = 0.6
SUITES = Path(__file__).resolve().parent / "suites"


@dataclass(frozen=True, slots=True)
class Planned:
    """One call before it is made. `target` is the right answer; `note` what was planted in it."""

    index: int
    session: str
    user: str
    task: str
    text: str
    target: str
    temperature: float
    top_p: float
    seed: int
    started_at: datetime
    note: str = ""


class Writer:
    """Draws customer texts that are not like any other text of logs or suites."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._shingles: list[frozenset[tuple[str, ...]]] = []
        for file in sorted(SUITES.glob("*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                self._shingles.append(shingles(json.loads(line)["input"]))

    def write(self, task: str, min_words: int = 0) -> tuple[str, str]:
        """(text, right answer)."""
        while True:
            text, target = self._draw(task)
            own = shingles(text)
            if len(text.split()) >= min_words and self._is_new(own):
                self._shingles.append(own)
                return text, target

    def _draw(self, task: str) -> tuple[str, str]:
        rng = self._rng
        item, order = rng.choice(texts.PRODUCTS), f"FW-{rng.randrange(10000, 100000)}"
        if task == "mood":
            target = rng.choice(("good", "bad"))
            sentence = rng.choice(texts.MOOD["logs"][target])
        elif task == "order":
            sentence, target = rng.choice(texts.ORDER["logs"]), json.dumps({"order": order})
        else:
            sentence, target = rng.choice(texts.PRODUCT["logs"]), item
        opener, closer = rng.choice(texts.OPENERS), rng.choice(texts.CLOSERS)
        body = sentence.format(item=item, order=order)
        if not opener:
            body = body[0].upper() + body[1:]
        end = rng.choice((".", ".", "!", "")) if not closer else "."
        return " ".join(part for part in (opener, body + end, closer) if part), target

    def _is_new(self, own: frozenset[tuple[str, ...]]) -> bool:
        return all(len(own & s) < MAX_LIKENESS * len(own | s) for s in self._shingles)


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of three words or signs, as curate looks at texts."""
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return frozenset(tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def plan(seed: int, num_calls: int) -> list[Planned]:
    """Calls in the order of their time; sessions of one to four calls."""
    rng = random.Random(seed)
    writer = Writer(rng)
    calls: list[Planned] = []
    while len(calls) < num_calls:
        session = f"s-{seed}-{len(calls):04d}"
        user = f"customer-{rng.randrange(400):03d}"
        at = FIRST_DAY + timedelta(days=rng.randrange(NUM_DAYS), seconds=_second_of_day(rng))
        for _ in range(min(rng.choice((1, 1, 2, 2, 3, 4)), num_calls - len(calls))):
            task = rng.choices(list(TASKS), list(TASKS.values()))[0]
            text, target = writer.write(task)
            calls.append(_call(rng, len(calls), session, user, task, text, target, at))
            at += timedelta(seconds=rng.uniform(20, 240))
    return calls


def plant(calls: list[Planned], seed: int, counts: dict[str, int]) -> list[Planned]:
    """Further calls whose texts are made for a purpose: each in a session of its own."""
    rng = random.Random(f"{seed} plant")
    planted: list[Planned] = []
    originals = rng.sample(
        [c for c in calls if len(c.text.split()) >= 12],
        counts["exact_duplicate"] + counts["near_duplicate"],
    )
    for number, call in enumerate(originals):
        if number < counts["exact_duplicate"]:
            # curate folds case and white space before it compares
            text = call.text.replace(" ", "  ", 1) if number % 2 else call.text.upper()
            planted.append(_copy(rng, call, text, f"exact_duplicate of {call.index}"))
        else:
            text = f"{call.text.rstrip('.!')} {rng.choice(('now', 'today', 'really'))}."
            planted.append(_copy(rng, call, text, f"near_duplicate of {call.index}"))
    used = {call.index for call in originals}
    free = [call for call in calls if call.index not in used and call.task != "order"]
    hosts = rng.sample(free, counts["email"] + counts["secret"])
    for number, call in enumerate(hosts):
        name = f"{call.user.replace('-', '.')}{number}"
        if number < counts["email"]:
            text = f"{call.text} Write to {name}@mail.example, reference {number}."
            planted.append(_copy(rng, call, text, "email"))
        else:
            text = f"{call.text} My login fails with password: Tulip{4711 + 13 * number}x there."
            planted.append(_copy(rng, call, text, "secret"))
    planted = [_numbered(call, len(calls) + i) for i, call in enumerate(planted)]
    # the text with the address or the password replaces the one it was made from
    return [c for c in calls if c.index not in {h.index for h in hosts}] + planted


def _call(
    rng: random.Random, index: int, session: str, user: str, task: str, text: str, target: str,
    at: datetime,
) -> Planned:  # fmt: skip
    warm = rng.random() < 0.4
    return Planned(
        index=index, session=session, user=user, task=task, text=text, target=target,
        temperature=0.7 if warm else 0.0, top_p=0.95 if warm else 1.0,
        seed=rng.randrange(2**31), started_at=at.replace(microsecond=0),
    )  # fmt: skip


def _copy(rng: random.Random, call: Planned, text: str, note: str) -> Planned:
    at = call.started_at + timedelta(seconds=rng.randrange(600, 40_000))
    copy = _call(
        rng, -1, "", f"customer-{rng.randrange(400):03d}", call.task, text, call.target, at
    )
    return _with(copy, note=note)


def _numbered(call: Planned, index: int) -> Planned:
    return _with(call, index=index, session=f"p-{index:04d}")


def _with(call: Planned, **changes: object) -> Planned:
    values = {name: getattr(call, name) for name in call.__slots__} | changes
    return Planned(**values)  # type: ignore[arg-type]


def _second_of_day(rng: random.Random) -> int:
    """More traffic by day than by night."""
    return int(rng.triangular(0, 86_399, 50_000))
