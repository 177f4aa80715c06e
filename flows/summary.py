"""The end of a run as people read it: tables on a terminal, the same as Markdown for Prefect."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import terminal
from flows.commands.ui import mlflow_page
from flows.turn import Outcome
from tasks.model.comparison import Interval
from tasks.model.receipt import Receipt
from tasks.report import wording
from tasks.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

VERDICTS = {
    "better": "BETTER: the challenger may ship",
    "no_worse": "NO WORSE: the challenger may ship",
    "worse": "WORSE: the challenger must not ship",
    "cannot_tell": "CANNOT TELL: not a pass",
}
_COLOURS = {"better": "green", "no_worse": "green", "worse": "red", "cannot_tell": "yellow"}

_STAGE_COLUMNS = (
    "stage",
    "rows in",
    "rows out",
    "quarantined",
    "duplicates",
    "dead letters",
    "seconds",
)
_SUITE_COLUMNS = (
    "suite",
    "metric",
    "samples",
    "champion",
    "challenger",
    "difference",
    "margin",
    "verdict",
)


def stage_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    return [
        (
            receipt.stage,
            f"{receipt.rows_in:,}",
            f"{receipt.rows_out:,}",
            f"{receipt.quarantined:,}",
            f"{receipt.duplicates:,}",
            f"{receipt.dead_letters:,}",
            f"{receipt.seconds:.1f}",
        )
        for receipt in outcome.receipts
    ]


def suite_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    return [
        (
            suite.rule.name + ("" if suite.rule.is_gating else " (report only)"),
            suite.rule.metric,
            str(suite.num_samples),
            *(_with_interval(score.mean, score.interval) for score in suite.releases.values()),
            _with_interval(suite.difference, suite.interval, signed=True),
            wording.decimal(suite.rule.margin),
            suite.verdict,
        )
        for suite in outcome.suites
    ]


def facts(outcome: Outcome) -> list[tuple[str, str]]:
    """What happened to the data, a line each; only what the run really has."""
    return [
        fact
        for receipt in outcome.receipts
        if receipt.stage in _FACTS
        for fact in _FACTS[receipt.stage](receipt)
    ]


def _replay_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    read, letters = notes.get("letters_read", 0), notes.get("letters", 0)
    yield "dead letters", f"{read:,} of {letters:,} can be read now"
    failing = ", ".join(f"{name} {rows}" for name, rows in notes.get("by_reason", {}).items())
    passed = f"{notes.get('readmitted', 0):,} of {notes.get('held', 0):,} held calls pass now"
    yield "quarantine", passed + (f"; still held: {failing}" if failing else "")


def _ingest_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    files = f"{notes.get('new_files', 0)} new of {notes.get('files', 0)} files"
    yield "logs", f"{receipt.rows_out:,} new rows of {receipt.rows_in:,} read ({files})"
    if window := notes.get("window"):
        bounds = f"since {window['since'] or 'ever'} until {window['until'] or 'now'}"
        yield "window", f"{bounds}: {receipt.outside_window:,} calls outside were passed over"
    if changed := notes.get("changed_files"):
        names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
        yield "changed", f"{names}: not only grown since last read, so read anew"
    if empty := notes.get("empty_files"):
        count = empty if isinstance(empty, int) else len(empty)
        nothing = "" if receipt.rows_out else "; nothing new came in"
        yield "empty", f"{count:,} of {notes.get('files', 0):,} files hold no byte{nothing}"
    if receipt.dead_letters:
        yield "dead letters", f"{receipt.dead_letters:,}, kept with their bytes: table dead_letters"


def _validate_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    if receipt.quarantined:
        reasons = ", ".join(f"{name} {rows}" for name, rows in notes.get("by_reason", {}).items())
        yield "quarantined", f"{receipt.quarantined:,}: {reasons}"
    signals = notes.get("feedback", {})
    if signals.get("quarantined"):
        reasons = ", ".join(f"{name} {rows}" for name, rows in signals["by_reason"].items())
        yield "feedback", f"{signals['quarantined']:,} quarantined: {reasons}"


def _redact_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    kinds = {name: count for name, count in notes.get("redactions", {}).items() if count}
    if kinds:
        yield "redacted", ", ".join(f"{name} {count}" for name, count in kinds.items())
    if "drift" in notes:
        yield "drift", _drift_fact(notes["drift"])


def _drift_fact(drift: dict[str, Any]) -> str:
    if not drift["num_judged"]:
        return f"not judged: {next(iter(drift['not_judged'].values()))}"
    compared = f"{drift['num_new']:,} new calls beside {drift['num_reference']:,} before"
    alarms = ", ".join(f"{each['column']} (PSI {each['psi']:.2f})" for each in drift["alarms"])
    if not alarms:
        return f"none in {drift['num_judged']} columns, {compared}"
    return f"ALARM in {alarms}; {compared}: flywheel drift"


def _curate_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    near, exact = notes.get("near_duplicates", 0), notes.get("exact_duplicates", 0)
    yield (
        "duplicates",
        f"{exact:,} exact and {near:,} near among {receipt.rows_in:,} calls and samples",
    )
    origins = ", ".join(f"{n} from {name}" for name, n in notes.get("by_origin", {}).items())
    digest = str(notes.get("eval_set_digest", ""))[:12]
    yield "eval set", f"{notes.get('num_samples', 0):,} samples ({origins}), {digest}"


def _evaluate_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    computed, cached = notes.get("computed", 0), notes.get("cached", 0)
    speed = notes.get("tokens_per_s")
    text = f"{computed:,} computed, {cached:,} from cache"
    yield "completions", text + (f", {speed:,.0f} tokens/s" if computed and speed else "")


#: what is worth a line of a stage; one that is not here has only its row in the table
_FACTS = {
    "replay": _replay_facts,
    "ingest": _ingest_facts,
    "validate": _validate_facts,
    "redact": _redact_facts,
    "curate": _curate_facts,
    "evaluate": _evaluate_facts,
}


def pages(outcome: Outcome, settings: Settings) -> list[tuple[str, str]]:
    """Where to look next: what it is, and the path, link or command that opens it."""
    config = Path(settings.base) / "flywheel.toml"
    shown: list[tuple[str, str]] = []
    if outcome.report:
        shown.append(("report", Path(outcome.report).as_uri()))
    docs = settings.home_path / "data-docs" / "index.html"
    if docs.exists():
        shown.append(("data docs", docs.as_uri()))
    recorded = outcome.receipt("record")
    if recorded and recorded.notes.get("compare_url_path"):
        option = f" --config {_short(config)}" if config.parent != Path.cwd() else ""
        shown += mlflow_page(settings, recorded.notes["compare_url_path"], option)
    return shown


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_summary(outcome: Outcome, settings: Settings) -> None:
    from rich.text import Text

    console = terminal.console()
    console.print()
    if outcome.resumed_after:
        console.print(
            f"Run {outcome.run_id} was killed earlier; it went on after {outcome.resumed_after}."
        )
    if outcome.scores_of:
        console.print(f"Decided on the scores of run {outcome.scores_of}.")
    _print_table(console, _STAGE_COLUMNS, stage_rows(outcome))
    _print_pairs(console, facts(outcome))
    if outcome.suites:
        _print_table(console, _SUITE_COLUMNS, suite_rows(outcome))
    if outcome.verdict:
        console.print(Text(VERDICTS[outcome.verdict], style=f"bold {_COLOURS[outcome.verdict]}"))
        for reason in outcome.reasons:
            console.print(Text(f"  · {reason}"))
        console.print()
    _print_pairs(console, pages(outcome, settings))


def _print_table(console: Console, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table where it fits; on a narrow terminal a paragraph a row, for no number may be cut."""
    from rich import box
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    unbounded = console.options.update(width=10_000)
    for between_words in (" ", "\n"):  # headings on one line where they fit, else on several
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            right = name not in ("stage", "suite", "metric", "verdict")
            heading = name.replace(" ", between_words)
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(value) for value in row))
        if console.measure(table, options=unbounded).maximum <= console.width:
            console.print(table)
            return
    for row in rows:
        console.print(Text(row[0], style="bold"))
        named = zip(columns[1:], row[1:], strict=True)
        cells = [Text(f"{name} {value}") for name, value in named]
        console.print(Padding(Columns(cells, padding=(0, 3)), (0, 0, 0, 2)))
    console.print()


def _print_pairs(console: Console, pairs: list[tuple[str, str]]) -> None:
    from rich.text import Text

    if not pairs:
        return
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        console.print(Text(f"{name:<{width}}  {value}"), soft_wrap=True)
    console.print()


def summary_markdown(outcome: Outcome) -> str:
    lines = [f"## {VERDICTS.get(outcome.verdict or '', 'No verdict')}", ""]
    lines += [f"- {_cell(reason)}" for reason in outcome.reasons]
    lines += [""] if outcome.reasons else []
    if outcome.suites:
        lines += [*_markdown_table(_SUITE_COLUMNS, suite_rows(outcome)), ""]
    lines += [*_markdown_table(_STAGE_COLUMNS, stage_rows(outcome)), ""]
    lines += [f"- **{name}**: {_cell(value)}" for name, value in facts(outcome)]
    return "\n".join(lines)


def _markdown_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    head = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return head + ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]


def _cell(text: str) -> str:
    """Text of names and data inside Markdown: no cell break, no markup of its own."""
    for mark in ("\\", "`", "*", "_", "<", ">", "[", "]", "|"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _with_interval(value: float | None, ends: Interval | None, *, signed: bool = False) -> str:
    text = wording.decimal(value, signed=signed)
    if ends is None:
        return text
    low, high = (wording.decimal(end, signed=signed) for end in (ends.low, ends.high))
    return f"{text} [{low}, {high}]"
