"""Writes the eval suites of the sample application: `python data/make_suites.py`.

One line a sample, one sample a sentence of sentences/. Only order numbers are filled in, drawn from
the sentence itself, so that a sentence added or moved changes no other sample. The targets can be
checked by eye.
"""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SEED = 20261
#: words of the longest text of each length; anything above is long
MAX_WORDS = {"short": 8, "medium": 16}


def main() -> None:
    for suite, samples in {"order": orders(), "product": products(), "mood": moods()}.items():
        lines = [json.dumps(sample) for sample in samples]
        (HERE / "suites" / f"{suite}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"suites/{suite}.jsonl: {len(lines)} samples")


def orders() -> Iterator[dict[str, Any]]:
    sentences = _sentences("order")
    for sentence in sentences["must_pass"] + sentences["sentences"]:
        order = f"FW-{random.Random(f'{SEED} {sentence}').randrange(10000, 100000)}"
        slices = {"other_numbers": "yes" if any(c.isdigit() for c in sentence) else "no"}
        target = json.dumps({"order": order})
        sample = _sample("order", sentence.format(order=order), target, slices)
        yield sample | ({"must_pass": True} if sentence in sentences["must_pass"] else {})


def products() -> Iterator[dict[str, Any]]:
    for item, sentences in _sentences("product").items():
        for sentence in sentences:
            slices = {"words": "two" if " " in item else "one"}
            yield _sample("product", sentence.format(item=item), item, slices)


def moods() -> Iterator[dict[str, Any]]:
    for tone, by_mood in _sentences("mood").items():
        for mood, other in (("good", "bad"), ("bad", "good")):
            for sentence in by_mood[mood]:
                yield _sample("mood", sentence, f"{mood} | {other}", {"mood": mood, "tone": tone})


def _sentences(suite: str) -> dict[str, Any]:
    return tomllib.loads((HERE / "sentences" / f"{suite}.toml").read_text(encoding="utf-8"))


def _sample(task: str, text: str, target: str, slices: dict[str, str]) -> dict[str, Any]:
    num_words = len(text.split())
    length = next((name for name, most in MAX_WORDS.items() if num_words <= most), "long")
    return {
        "input": text, "target": target, "task": task, "slices": slices | {"length": length},
    }  # fmt: skip


if __name__ == "__main__":
    main()
