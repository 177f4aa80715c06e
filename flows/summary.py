"""The end of a run as people read it: tables on a terminal, the same as Markdown for Prefect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flows import terminal
from flows.commands.ui import mlflow_page, server_elsewhere
from flows.prefect_server import REPORTS
from flows.terminal import (
    Table,
    markdown_table,
    markdown_text,
    print_pairs,
    print_table,
    say,
)
from flows.turn import Outcome
from tasks.model.guardrail import GuardrailResult
from tasks.model.noise import Noise
from tasks.model.receipt import Receipt
from tasks.model.verdict import SuiteResult
from tasks.releases.retirement import due
from tasks.report import drift, intake, wording
from tasks.report.also import also_told
from tasks.report.brief import brief
from tasks.report.standings import standings, suites_of
from tasks.run import utc_now
from tasks.settings import Settings

_COLOURS = {
    "better": "green", "no_worse": "green", "worse": "red", "cannot_tell": "yellow",
    "blocked": "red",
}  # fmt: skip

#: what is said of files that no format recognises
_NOT_READ = "not read"


def stage_table(outcome: Outcome) -> Table:
    counts = ("rows in", "rows out", "quarantined", "duplicates", "dead letters")
    rows = [
        (
            receipt.stage,
            *(f"{getattr(receipt, name.replace(' ', '_')):,}" for name in counts),
            f"{receipt.seconds:.1f}",
        )
        for receipt in outcome.receipts
    ]
    return Table(("stage", *counts, "seconds"), rows, texts=("stage",))


def release_table(outcome: Outcome) -> Table:
    """All releases of a run with several challengers, best first; without a row where there is
    one."""
    suites = suites_of(outcome.ranking)
    rows = [
        (
            row.name,
            row.verdict or "champion",
            row.rank,
            *(wording.percent(mean) for mean in row.means),
        )
        for row in standings(outcome.releases, outcome.verdicts, outcome.ranking)
    ]
    return Table(("release", "verdict", "rank", *suites), rows, texts=("release", "verdict"))


def verdict_line(outcome: Outcome) -> str:
    """Of several challengers, which one is meant."""
    text = wording.conclusion(outcome.verdict) if outcome.verdict else "No verdict"
    if len(outcome.verdicts) < 2:
        return text
    (leader, *_) = outcome.verdicts
    return f"{outcome.releases[leader]}: {text}"


def run_name(outcome: Outcome) -> str:
    challengers = [role for role in outcome.releases if role != "champion"]
    roles = tuple(outcome.verdicts) or challengers
    names = [outcome.releases.get(role, role) for role in roles]
    return wording.run_name(names, outcome.releases.get("champion", "champion"), outcome.verdict)


def suite_table(suites: Sequence[SuiteResult]) -> Table:
    scores = ("champion", "challenger", "difference in points")
    columns = ("suite", "metric", "samples", *scores, "margin", "verdict")
    rows = [
        (
            suite.rule.name + ("" if suite.rule.is_gating else " (report only)"),
            suite.rule.metric,
            str(suite.num_samples),
            *(
                wording.with_interval(score.mean, score.interval)
                for score in suite.releases.values()
            ),
            wording.with_interval(suite.difference, suite.interval, signed=True),
            wording.margin(suite.rule.margin),
            suite.verdict,
        )
        for suite in suites
    ]
    return Table(columns, rows, texts=("suite", "metric", "verdict"))


def guardrail_table(guardrails: Sequence[GuardrailResult]) -> Table:
    columns = ("guardrail", "samples", "champion", "challenger", "more", "allowed", "verdict")
    rows = [
        (
            part.rule.name,
            str(part.num_samples),
            wording.measured(part.champion, part.rule),
            wording.measured(part.challenger, part.rule),
            wording.relative(part.ratio)
            + ("" if part.interval is None else f" [{wording.relative_interval(part.interval)}]"),
            f"{100 * part.rule.margin:g}%",
            part.verdict,
        )
        for part in guardrails
    ]
    return Table(columns, rows, texts=("guardrail", "verdict"))


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
    if sealed := notes.get("sealed"):
        yield "sealed", sealed


def _ingest_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    files = f"{notes.get('new_files', 0)} new of {notes.get('files', 0)} files"
    yield "logs", f"{receipt.rows_out:,} new rows of {receipt.rows_in:,} read ({files})"
    if window := notes.get("window"):
        bounds = f"since {window['since'] or 'ever'} until {window['until'] or 'now'}"
        yield "window", f"{bounds}: {receipt.outside_window:,} calls outside were passed over"
    if forgotten := notes.get("forgotten"):
        yield "forgotten", f"{forgotten:,} that were erased were passed over"
    if changed := notes.get("changed_files"):
        names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
        yield "changed", f"{names}: not only grown since last read, so read anew"
    if refused := notes.get("unreadable_files"):
        more = f" and {len(refused) - 3} more" if refused[3:] else ""
        yield "unreadable", "; ".join(refused[:3]) + f"{more}: passed over"
    if empty := notes.get("empty_files"):
        count = empty if isinstance(empty, int) else len(empty)
        nothing = "" if receipt.rows_out else "; nothing new came in"
        yield "empty", f"{count:,} of {notes.get('files', 0):,} files hold no byte{nothing}"
    for told in intake.unread(receipt):
        yield _NOT_READ, told
    for told in intake.unread_keys(receipt):
        yield "keys", told
    if without := intake.without_calls(receipt):
        yield "no call", without
    if talks := intake.sessions(receipt):
        yield "sessions", talks
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
        for alarm in notes["drift"].get("alarms", ()):
            if text := drift.moved(alarm):
                yield "moved", f"{alarm['column']}: {text}"


def _drift_fact(found: dict[str, Any]) -> str:
    if not found["num_judged"]:
        return f"not judged: {next(iter(found['not_judged'].values()))}"
    compared = f"{found['num_new']:,} new calls beside {found['num_reference']:,} before"
    alarms = ", ".join(f"{alarm['column']} (PSI {alarm['psi']:.2f})" for alarm in found["alarms"])
    if not alarms:
        return f"none in {found['num_judged']} columns, {compared}"
    return f"ALARM in {alarms}; {compared}: flywheel drift"


def _curate_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    if sampled := intake.read_in_part(notes.get("reading")):
        yield "history", sampled
    near, exact = notes.get("near_duplicates", 0), notes.get("exact_duplicates", 0)
    yield (
        "duplicates",
        f"{exact:,} exact and {near:,} near among {receipt.rows_in:,} calls and samples",
    )
    origins = ", ".join(f"{n} from {name}" for name, n in notes.get("by_origin", {}).items())
    digest = str(notes.get("eval_set_digest", ""))[:12]
    yield "eval set", f"{notes.get('num_samples', 0):,} samples ({origins}), {digest}"
    for caution in notes.get("cautions", ()):
        yield "caution", caution


def _plan_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    yield "plan", str(notes.get("headline", ""))
    for caution in notes.get("cautions", ()):
        yield "caution", caution


def _noise_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    yield "noise", str(notes.get("headline", ""))
    for caution in notes.get("cautions", ()):
        yield "caution", caution


def noise_table(receipt: Receipt) -> Table:
    """What each condition changed in each suite, and the floor that comes of it."""
    found = Noise.from_json(receipt.notes)
    rows = [
        (
            suite.suite,
            condition.what,
            f"{part.num_changed:,} of {part.num_answers:,}",
            f"{part.num_moved:,} of {part.num_samples:,}",
            wording.points(part.difference),
            wording.unsigned_points(suite.floor_of(condition.name, suite.num_samples)),
        )
        for suite in found.suites
        for condition in found.measured
        for part in [suite.repetitions[condition.name]]
    ]
    columns = (
        "suite",
        "condition",
        "answers changed",
        "scores changed",
        "difference in points",
        "floor",
    )
    return Table(columns, rows, texts=("suite", "condition"))


def plan_table(receipt: Receipt) -> Table:
    """What each gating suite can decide; only where a plan was asked for."""
    columns = ("suite", "role", "samples", "clusters", "margin", "changed answers",
               "equal release passes", "loss of margin stopped", "80% with")  # fmt: skip
    rows = [
        (
            suite["suite"],
            suite["role"],
            f"{suite['num_samples']:,}",
            f"{suite['num_clusters']:,}",
            wording.margin(suite["margin"]),
            f"{suite['discordance']:.0%}{'' if suite['basis'] else ' assumed'}",
            f"{suite['pass_probability']:.0%}",
            f"{suite['stop_probability']:.1%}",
            "–" if suite["num_samples_for_80"] is None else f"{suite['num_samples_for_80']:,}",
        )
        for suite in receipt.notes["suites"]
    ]
    return Table(columns, rows, texts=("suite", "role"))


def plan_cost(receipt: Receipt) -> str:
    """At most: what is stored already is not computed again."""
    notes = receipt.notes
    text = f"at most {notes['num_completions']:,} completions"
    if notes["num_tokens"] is None:
        return f"{text}; tokens and time are known after a first run"
    text += f", about {notes['num_tokens']:,} tokens"
    if notes.get("cost") is not None:
        text += f", {notes['cost']:,.2f} {notes['currency']}"
    return text if notes["seconds"] is None else f"{text}, {notes['seconds'] / 60:.1f} minutes here"


def _evaluate_facts(receipt: Receipt) -> Iterable[tuple[str, str]]:
    notes = receipt.notes
    computed, cached = notes.get("computed", 0), notes.get("cached", 0)
    speed = notes.get("tokens_per_s")
    text = f"{computed:,} computed, {cached:,} from cache"
    yield "completions", text + (f", {speed:,.0f} tokens/s" if computed and speed else "")
    for name, told in notes.get("hosted", {}).items():
        yield from _hosted_facts(name, told)
    for caution in (*notes.get("cautions", ()), *notes.get("of_champion", ())):
        yield "caution", caution


def _hosted_facts(name: str, told: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Of a release that an API answered for."""
    spent, builds = told["spent"], told["served_by"]
    text = f"{name}: {spent['requests']:,} requests, "
    text += f"{spent['input_tokens'] + spent['output_tokens']:,} tokens"
    if told["currency"]:
        text += f", {spent['cost']:,.4f} {told['currency']}"
    yield "asked", text + (f", answered by {next(iter(builds))}" if builds else "")
    if len(builds) > 1:
        shown = ", ".join(f"{build} ({num:,})" for build, num in builds.items())
        yield "caution", f"{name} changed behind its API: its answers came from {shown}"
    if told["num_unfinished"]:
        why, num = next(iter(told["unfinished"].items()))
        more = f" ({num:,} of them)" if num < told["num_unfinished"] else ""
        yield (
            "caution",
            (
                f"{name}: {told['num_unfinished']:,} answers are not there: {why}{more}; the same "
                "command asks for them again, and for nothing else"
            ),
        )


#: what is worth a line of a stage; one that is not here has only its row in the table
_FACTS = {
    "replay": _replay_facts,
    "ingest": _ingest_facts,
    "validate": _validate_facts,
    "redact": _redact_facts,
    "curate": _curate_facts,
    "plan": _plan_facts,
    "evaluate": _evaluate_facts,
    "noise": _noise_facts,
}


def pages(outcome: Outcome, settings: Settings) -> list[tuple[str, str]]:
    """Where to look next: what it is, and the path, link or command that opens it."""
    shown: list[tuple[str, str]] = []
    if outcome.report:
        shown.append(("report", Path(outcome.report).as_uri()))
    docs = settings.home_path / "data-docs" / "index.html"
    if docs.exists():
        shown.append(("data docs", docs.as_uri()))
    option = config_option(settings)
    recorded = outcome.receipt("record")
    if recorded and recorded.notes.get("compare_url_path"):
        shown += mlflow_page(settings, recorded.notes["compare_url_path"], option)
    if recorded and recorded.notes.get("receipt"):
        shown.append(("receipt", recorded.notes["receipt"]))
    champion, *challengers = outcome.releases.values() or ("",)
    if recorded and outcome.may_ship and challengers != [champion]:
        shown.append(("promote", f"flywheel promote {outcome.run_id}{option}"))
    return shown


def config_option(settings: Settings) -> str:
    """What a command needs to find these settings from here; empty where it finds them itself."""
    config, here = Path(settings.base) / "flywheel.toml", Path.cwd()
    shortest = config.relative_to(here) if config.is_relative_to(here) else config
    return f" --config {shortest}" if config.parent != here else ""


def report_link(settings: Settings, shown: Outcome) -> str:
    """A page of a run that a browser opens: of MLflow where it is a server, of `flywheel up`; empty
    where there is none."""
    recorded, server = shown.receipt("record"), server_elsewhere(settings)
    if recorded and server:
        return server + str(recorded.notes["run_url_path"])
    pages = os.environ.get(REPORTS, "")
    return f"{pages}/{shown.run_id}/report.html" if pages and shown.report else ""


def print_summary(outcome: Outcome, settings: Settings, *, verbose: bool = False) -> None:
    """`verbose`: every sentence of the verdict."""
    console = terminal.console()
    console.print()
    if outcome.resumed_after:
        after = outcome.resumed_after
        say(console, f"Run {outcome.run_id} was killed earlier; it went on after {after}.")
    if outcome.scores_of:
        say(console, f"Decided on the scores of run {outcome.scores_of}.")
    print_table(console, stage_table(outcome))
    if told := facts(outcome):
        print_pairs(console, told, {_NOT_READ: "yellow"})
        console.print()
    planned = outcome.receipt("plan")
    if planned is not None and outcome.decided is None:
        print_table(console, plan_table(planned))
        print_pairs(console, [("cost", plan_cost(planned))])
        console.print()
    measured = outcome.receipt("noise")
    if measured is not None and measured.notes["suites"]:
        print_table(console, noise_table(measured))
    print_verdict(outcome, verbose=verbose)
    if outcome.unrecorded:
        say(console, f"  · {not_recorded(outcome)}", "yellow")
    if ending := due(settings, outcome.releases.get("champion", ""), utc_now().date()):
        say(console, f"  · {ending.sentence}", "yellow")
    if opened := pages(outcome, settings):
        print_pairs(console, opened)
        console.print()


def print_verdict(outcome: Outcome, *, verbose: bool, more: str = "") -> None:
    """Tables of releases, suites and guardrails, the verdict and why; `more`: what tells all."""
    decided = outcome.decided
    if decided is None:
        return
    console = terminal.console()
    if (releases := release_table(outcome)).rows:
        print_table(console, releases)
    if decided.suites:
        print_table(console, suite_table(decided.suites))
    if decided.guardrails:
        print_table(console, guardrail_table(decided.guardrails))
    if also := [("also", text) for text in also_told(decided.suites)]:
        print_pairs(console, also)
        console.print()
    say(console, verdict_line(outcome), f"bold {_COLOURS[decided.verdict]}")
    if outcome.erased:
        say(console, f"  · {outcome.erased}")
    for sentence in decided.reasons if verbose else briefly(outcome, more):
        say(console, f"  · {sentence}")
    console.print()


def briefly(outcome: Outcome, more: str = "") -> list[str]:
    """What the verdict is told by where nobody asked for all, and where all other sentences are."""
    if outcome.decided is None:
        return []
    told, others = brief(outcome.decided, outcome.warnings)
    where = more or f"flywheel report -v {outcome.run_id}"
    return [*told, *([f"{len(others)} more sentences: {where}"] if others else ())]


def not_recorded(outcome: Outcome) -> str:
    """Empty where the run is in MLflow, or was not to be."""
    if not outcome.unrecorded:
        return ""
    return f"kept, and not in MLflow ({outcome.unrecorded}): flywheel record, once it is back"


def summary_markdown(outcome: Outcome, link: str = "") -> str:
    """The decision and its numbers first, then all sentences and what became of the data. `link`:
    of the whole report."""
    lines = [f"## {markdown_text(verdict_line(outcome))}", ""]
    lines += [f"[The whole report]({link})", ""] if link else []
    others: Sequence[str] = ()
    if decided := outcome.decided:
        told, others = brief(decided, outcome.warnings)
        besides = filter(None, [outcome.erased, not_recorded(outcome)])
        lines += [*_list((*besides, *told)), ""]
        if (releases := release_table(outcome)).rows:
            lines += [markdown_table(releases), ""]
        lines += [markdown_table(_verdict_second(suite_table(decided.suites))), ""]
        if decided.guardrails:
            lines += [markdown_table(_verdict_second(guardrail_table(decided.guardrails))), ""]
    if others:
        lines += ["### In full", "", *_list(others), ""]
    lines += [markdown_table(stage_table(outcome)), ""]
    lines += [f"- **{name}**: {markdown_text(value)}" for name, value in facts(outcome)]
    return "\n".join(lines)


def _list(sentences: Iterable[str]) -> list[str]:
    return [f"- {markdown_text(sentence)}" for sentence in sentences]


def _verdict_second(shown: Table) -> Table:
    """Pages cut a table off at its right, which is where a terminal has the verdict."""
    (name, *columns, verdict) = shown.columns
    rows = [(first, last, *between) for first, *between, last in shown.rows]
    return Table((name, verdict, *columns), rows, texts=shown.texts)


def noise_markdown(receipt: Receipt) -> str:
    told = [markdown_text(text) for text in (receipt.notes["headline"], *receipt.notes["cautions"])]
    head = f"## Noise floor of {markdown_text(receipt.notes['release'])}"
    return "\n\n".join([head, *told, markdown_table(noise_table(receipt))])
