"""From measured seconds to what is printed and kept: rates, ratios to ours, the share of the
machine's bound, agreement of the answers, and on what all of it was measured.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.comparison import Comparison, Measured
from benchmarks.workloads import Workloads, generate_s, score_s
from engine.measuring.roofline import Roofline, best

__all__ = ["FOLDER", "command", "compare", "hardware", "header", "table", "write"]

FOLDER = Path(__file__).resolve().parent / "results"
REFERENCES = ("transformers-static", "transformers-cb", "ours-not-invariant")


def hardware() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [x.split(":", 1)[1].strip() for x in cpuinfo.splitlines() if x.startswith("model name")]
    flags = set(next((x for x in cpuinfo.splitlines() if x.startswith("flags")), "").split())
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(names),
        "instructions": [flag for flag in known if flag in flags],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def command(argv: Sequence[str]) -> list[str]:
    """As it was typed, without folders: where files lay says nothing, and is nobody's business."""
    program, *arguments = argv
    told = []
    for argument in arguments:
        option, is_given, value = argument.partition("=") if argument[:2] == "--" else ("", "", "")
        path = Path(value if is_given else argument)
        told.append(f"{option}{is_given}{path.name or path}" if len(path.parts) > 1 else argument)
    return ["python", "-m", f"benchmarks.{Path(program).stem}", *told]


def header() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(command(sys.argv)),
        "hardware": hardware(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def compare(
    comparison: Comparison, work: Workloads, readings: Sequence[Roofline], options: Namespace
) -> dict[str, Any]:
    bound = best(readings)
    least = {
        "generate": generate_s(bound, work.generate),
        "score": score_s(bound, work.score, shared=True),
        "score_unshared": score_s(bound, work.score, shared=False),
    }
    ours = comparison.systems.get("ours")
    systems = {
        name: _system(measured, work, ours, least) for name, measured in comparison.systems.items()
    }
    return {
        **header(),
        "threads": options.threads,
        "work": {
            "share": options.share,
            "prompts": len(work.generate),
            "prompt_tokens": sum(len(prompt) for prompt, _ in work.generate),
            "output_tokens": work.num_output_tokens,
            "score_requests": len(work.score),
            "score_contexts": len({tuple(context) for context, _ in work.score}),
        },
        "roofline": {
            **_rates(bound),
            "readings": [_rates(reading) for reading in readings],
            "generate_tokens_per_s": work.num_output_tokens / least["generate"],
            "score_requests_per_s": len(work.score) / least["score"],
            "score_requests_per_s_unshared": len(work.score) / least["score_unshared"],
        },
        "systems": systems,
        "not_measured": comparison.absent,
        "agreement": _agreement(comparison, work, options.check),
    }


def _rates(bound: Roofline) -> dict[str, Any]:
    flops = bound.matmul_flops_per_s
    return {
        "gflops_per_s": {str(n): rate / 1e9 for n, rate in flops.items()},
        "gb_per_s": bound.bytes_per_s / 1e9,
    }


def _system(
    measured: Measured, work: Workloads, ours: Measured | None, least: dict[str, float]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dtype": measured.process.dtype,
        "versions": measured.process.versions,
        "load_s": measured.process.load_s,
        "peak_mib": measured.peak_mib,
    }
    units = {"generate": work.num_output_tokens, "score": len(work.score)}
    for kind, seconds in measured.seconds.items():
        row[kind] = {
            "seconds": seconds,
            "per_s": units[kind] / median(seconds),
            "share_of_roofline": least[kind] / median(seconds),
        }
        if ours is not None and kind in ours.seconds:
            row[kind]["ours_is_times_faster"] = median(seconds) / median(ours.seconds[kind])
    return row


def _agreement(comparison: Comparison, work: Workloads, limit: int) -> dict[str, Any]:
    """Of every other system with ours: equal answers of the first prompts, and how close the two
    tokens were, in our log-probabilities, where an answer first differs; largest difference of
    log-likelihoods.
    """
    ours = comparison.systems.get("ours")
    found: dict[str, Any] = {}
    if ours is None:
        return found
    for name, measured in comparison.systems.items():
        entry: dict[str, Any] = {}
        if name != "ours" and "generate" in measured.output and "generate" in ours.output:
            pairs = list(zip(ours.output["generate"], measured.output["generate"], strict=True))
            differ = [i for i, (a, b) in enumerate(pairs[:limit]) if a != b]
            entry["equal_answers"] = min(limit, len(pairs)) - len(differ)
            entry["of"] = min(limit, len(pairs))
            if name in REFERENCES:
                entry["gaps"] = [_gap(ours, work.generate[i][0], *pairs[i]) for i in differ]
        if name != "ours" and "score" in measured.output and "score" in ours.output:
            pairs = list(zip(ours.output["score"], measured.output["score"], strict=True))
            entry["largest_logprob_difference"] = max(abs(a - b) for a, b in pairs)
        if entry:
            found[name] = entry
    return found


def _gap(ours: Measured, prompt: list[int], mine: list[int], theirs: list[int]) -> dict[str, Any]:
    """Where two answers part: the place, and the difference of the two tokens' log-probabilities. A
    gap near zero is a tie that rounding decides.
    """
    place = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
    context = [*prompt, *mine[:place]]
    items = [(context, [mine[place]]), (context, [theirs[place]])]
    first, second = ours.process.ask("score", items, 60).output
    return {"place": place, "logprob_gap": first - second}


def table(report: dict[str, Any]) -> str:
    where, work, roof = report["hardware"], report["work"], report["roofline"]
    lines = [
        f"{where['processor']}, {report['threads']} threads, {' '.join(where['instructions'])}; "
        f"G: {work['prompts']} prompts, {work['output_tokens']} tokens; S: "
        f"{work['score_requests']} requests on {work['score_contexts']} contexts",
        "",
        "| system | dtype | G tokens/s | ours is | S requests/s | ours is | repeats | load s "
        "| peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["systems"].items():
        cells = [name, row["dtype"]]
        for kind in ("generate", "score"):
            part = row.get(kind)
            cells.append(f"{part['per_s']:.1f}" if part else "")
            ratio = part.get("ours_is_times_faster") if part and name != "ours" else None
            cells.append("" if ratio is None else f"{ratio:.2f}×")
        counts = [str(len(row[kind]["seconds"])) for kind in ("generate", "score") if kind in row]
        cells += ["+".join(counts), f"{row['load_s']:.1f}", f"{row['peak_mib']:,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    apart = f"contexts apart: {roof['score_requests_per_s_unshared']:.1f}"
    lines.append(
        f"| roofline | | {roof['generate_tokens_per_s']:.1f} | "
        f"| {roof['score_requests_per_s']:.1f} ({apart}) | | | | |"
    )
    rates = ", ".join(f"{n}: {rate:.0f}" for n, rate in roof["gflops_per_s"].items())
    bandwidths = ", ".join(f"{reading['gb_per_s']:.1f}" for reading in roof["readings"])
    lines += [
        "",
        f"Roofline: {roof['gb_per_s']:.1f} GB/s, the best of {bandwidths} (before and after); "
        f"GFLOP/s by rows {rates}.",
    ]
    if "ours" in report["systems"]:
        parts = report["systems"]["ours"]
        kinds = [("G", "generate"), ("S", "score")]
        reached = [f"{x} {parts[k]['share_of_roofline']:.0%}" for x, k in kinds if k in parts]
        lines.append("We reach " + ", ".join(reached) + " of it.")
    for name, entry in report["agreement"].items():
        lines.append(f"{name} and ours: {_words(entry)}.")
    lines += [f"{name} was not measured: {why}" for name, why in report["not_measured"].items()]
    return "\n".join(lines)


def _words(entry: dict[str, Any]) -> str:
    words = []
    if "of" in entry:
        words.append(f"{entry['equal_answers']} of {entry['of']} answers equal to the token")
    gaps = [gap["logprob_gap"] for gap in entry.get("gaps", [])]
    if gaps:
        words.append(f"where they part, the tokens are {max(map(abs, gaps)):.1e} apart at most")
    if "largest_logprob_difference" in entry:
        words.append(f"largest difference of S {entry['largest_logprob_difference']:.1e}")
    return ", ".join(words)


def write(report: dict[str, Any], out: Path, name: str) -> Path:
    """To the file `out` where it ends in .json, else to a new one of this name in that folder."""
    path = out
    if out.suffix != ".json":
        path = out / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written: {path}", file=sys.stderr)
    return path
