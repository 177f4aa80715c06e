"""Where a verdict goes besides the terminal: files for a CI server, and GitHub's own ways.

GitHub reads commands (`::error …`) from what a step prints, so what is printed of names and data is
shielded from being read as one.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.summary import summary_markdown, verdict_line
from flows.turn import Outcome
from tasks.errors import UsageError
from tasks.model.answer import JudgedSample
from tasks.model.verdict import SHIPS, SuiteResult
from tasks.model.visible import visible
from tasks.record.pages import write_pages
from tasks.report import wording
from tasks.report.junit import junit

_SUMMARY = "GITHUB_STEP_SUMMARY"
#: GitHub shows no more of a step's summary, nor more annotations of a kind
_MAX_SUMMARY_BYTES = 1_000_000
_MAX_ANNOTATIONS = 10


def page_target(named: str, option: str) -> Path | None:
    """A file to write; None where none is named. Raises UsageError before anything is read."""
    if not named:
        return None
    target = Path(os.path.abspath(named))
    if not target.parent.is_dir() or target.is_dir():
        raise UsageError(f"{option} wants a file in a folder that is there", received=str(target))
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """Files named on the command line, and whether GitHub is told."""

    junit: str = ""
    markdown: str = ""
    github: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.junit or self.markdown or self.github)

    def check(self) -> None:
        """Raises UsageError where a file cannot be written, before anything is computed."""
        page_target(self.junit, "--junit")
        page_target(self.markdown, "--markdown")

    @contextmanager
    def shielded(self, *, as_json: bool = False) -> Iterator[None]:
        """What is printed inside is read by GitHub as text alone; one line of JSON is no command
        anyhow, and standard output belongs to it."""
        if not self.github or as_json:
            yield
            return
        token = secrets.token_hex(16)
        print(f"::stop-commands::{token}", flush=True)
        try:
            yield
        finally:
            sys.stdout.flush()
            print(f"::{token}::", flush=True)

    def write(self, result: Outcome, judged: Sequence[JudgedSample], *, as_json: bool) -> None:
        """Nothing where the run came to no verdict. `as_json`: standard output belongs to an
        object, so annotations go to standard error, which GitHub reads too."""
        if result.decided is None:
            return
        markdown = summary_markdown(result) + "\n"
        if target := page_target(self.junit, "--junit"):
            seconds = sum(receipt.seconds for receipt in result.receipts)
            document = junit(result.verdicts, result.releases, judged, seconds=seconds)
            write_pages(target.parent, {target.name: document})
        if target := page_target(self.markdown, "--markdown"):
            write_pages(target.parent, {target.name: markdown.encode()})
        if self.github:
            _tell_github(result, markdown, sys.stderr if as_json else sys.stdout)


def _tell_github(result: Outcome, markdown: str, stream: object) -> None:
    summary = os.environ.get(_SUMMARY)
    if summary:
        data = markdown.encode()
        if len(data) > _MAX_SUMMARY_BYTES:
            kept = data[:_MAX_SUMMARY_BYTES].rpartition(b"\n")[0]
            data = kept + b"\n\n(shortened; the whole of it: --markdown FILE)\n"
        try:
            with open(summary, "ab") as file:
                file.write(data)
        except OSError as error:
            raise UsageError(
                f"the summary of the step cannot be written: {error.strerror or error}",
                received=f"{_SUMMARY}={summary}",
            ) from None
    else:
        print(f"flywheel: {_SUMMARY} is not set, so there is no summary of a step", file=sys.stderr)
    for line in github_commands(result):
        print(line, file=stream, flush=True)  # type: ignore[call-overload]


def github_commands(result: Outcome) -> list[str]:
    """GitHub's commands: an error for what holds the release, a warning for what is probably wrong
    with the set-up, a notice where it may ship."""
    decided = result.decided
    if decided is None:
        return []
    title = verdict_line(result)
    kind = "notice" if result.may_ship else "error"
    lines = [_command(kind, title, decided.reasons[0])]
    lines += [
        _command("error", f"suite {suite.rule.name}: {suite.verdict}", _numbers(suite))
        for suite in decided.suites
        if suite.rule.is_gating and suite.verdict not in SHIPS
    ]
    lines += [
        _command("error", f"guardrail {part.rule.name}: {part.verdict}", part.rule.measure)
        for part in decided.guardrails
        if part.holds
    ]
    lines = lines[:_MAX_ANNOTATIONS]
    lines += [_command("warning", "set-up", text) for text in result.warnings[:_MAX_ANNOTATIONS]]
    return lines


def _numbers(suite: SuiteResult) -> str:
    return (
        f"difference {wording.points(suite.difference)} points "
        f"({wording.interval(suite.interval, signed=True)}) on {suite.num_samples:,} samples, "
        f"margin {wording.margin(suite.rule.margin)}"
    )


def _command(kind: str, title: str, message: str) -> str:
    """As the runner reads it: what would end a property or a line is escaped."""
    title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    text = visible(text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
