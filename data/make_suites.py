"""Writes the eval suites of the sample application: `python data/make_suites.py`.

One line a sample, from the `suite` split of texts.py: every sentence is used once, a seeded
generator only fills in products and order numbers. The targets can be checked by eye.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import texts

HERE = Path(__file__).resolve().parent
SEED = 20260
NUM_SAMPLES = {"order": 34, "product": 44, "mood": 40}
#: answered right in production; a challenger that breaks one of them may not ship
MUST_PASS = {"Could you check order {order} for me?", "Please confirm that {order} was cancelled."}


def main() -> None:
    for suite, samples in {"order": orders(), "product": products(), "mood": moods()}.items():
        lines = [json.dumps(sample) for sample in samples][: NUM_SAMPLES[suite]]
        (HERE / "suites" / f"{suite}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"suites/{suite}.jsonl: {len(lines)} samples")


def orders() -> Iterator[dict[str, Any]]:
    rng = random.Random(SEED)
    for sentence in texts.ORDER["suite"]:
        order = order_number(rng)
        text = sentence.format(order=order, item=rng.choice(texts.PRODUCTS))
        slices = {"other_numbers": "yes" if any(c.isdigit() for c in sentence) else "no"}
        target = json.dumps({"order": order})
        sample = {"input": text, "target": target, "task": "order", "slices": slices}
        yield {**sample, "must_pass": True} if sentence in MUST_PASS else sample


def products() -> Iterator[dict[str, Any]]:
    rng = random.Random(SEED + 1)
    for sentence in texts.PRODUCT["suite"]:
        item = rng.choice(texts.PRODUCTS)
        slices = {"words": "two" if " " in item else "one"}
        text = sentence.format(item=item)
        yield {"input": text, "target": item, "task": "product", "slices": slices}


def moods() -> Iterator[dict[str, Any]]:
    rng = random.Random(SEED + 2)
    both = [(s, mood) for mood in ("good", "bad") for s in texts.MOOD["suite"][mood]]
    rng.shuffle(both)
    for sentence, mood in both:
        other = "bad" if mood == "good" else "good"
        text = sentence.format(item=rng.choice(texts.PRODUCTS))
        slices = {"mood": mood}
        yield {"input": text, "target": f"{mood} | {other}", "task": "mood", "slices": slices}


def order_number(rng: random.Random) -> str:
    return f"FW-{rng.randrange(10000, 100000)}"


if __name__ == "__main__":
    main()
