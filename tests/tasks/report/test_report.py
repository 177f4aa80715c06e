from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from tasks.model.answer import Answer, JudgedSample
from tasks.model.comparison import Interval, Look
from tasks.model.explanation import Amount, Cell, Explanation, Interaction, Part, Used
from tasks.model.health import Flag
from tasks.model.judge import JudgeCard
from tasks.model.receipt import Receipt
from tasks.model.turn import Turn
from tasks.model.verdict import Rank, Standing
from tasks.report import commands, flips, funnel, note, page, plot, wording
from tasks.report.standings import ReleaseRow
from tasks.run import Run
from tests.tasks.record.stores import read
from tests.tasks.record.turns import HOSTILE


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


_LINKS: Any = {
    "compare_url_path": "/#/compare", "report_url_path": "/#/report", "runs_url_path": "/#/all",
    "num_rows": 40,
}  # fmt: skip


def _parsed(html: str) -> _Elements:
    parser = _Elements()
    parser.feed(html)
    return parser


def _hostile(turn: Turn) -> Turn:
    """Hostile text in every place that text of others can reach."""
    release = replace(turn.releases["champion"], name=HOSTILE, model=HOSTILE, prompts={HOSTILE: []},
                      sampling={HOSTILE: HOSTILE}, engine={HOSTILE: HOSTILE})  # fmt: skip
    item, first = turn.judged[1], turn.verdict.suites[0]
    bad = Answer(is_missing=True, error=HOSTILE, unscored_reason=HOSTILE)
    sample = replace(item.sample, suite=HOSTILE, target=HOSTILE, slices={HOSTILE: HOSTILE},
                     target_kind=HOSTILE)  # fmt: skip
    judged = JudgedSample(sample, {**item.answers, "challenger": (bad,)})
    assert first.comparison is not None
    rule = replace(first.rule, name=HOSTILE, owner=HOSTILE, role=HOSTILE)
    card = JudgeCard(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), why_not=(HOSTILE,))
    suite = replace(
        first, rule=rule, comparison=replace(first.comparison, method=HOSTILE), judge=card
    )
    verdict = turn.verdict
    part = replace(verdict.slices[0], suite=HOSTILE, slice=HOSTILE, value=f"{HOSTILE}\x00\x1b")
    verdict = replace(verdict, suites=(suite, *verdict.suites), slices=(part, *verdict.slices),
                      reasons=(HOSTILE,))  # fmt: skip
    health = turn.health
    health = replace(
        health, suites=(replace(health.suites[0], suite=HOSTILE), *health.suites),
        samples=(replace(health.samples[0], sample=replace(
            sample, messages=({"role": "user", "content": HOSTILE},)), flags=("flaky",)),),
    )  # fmt: skip
    return replace(
        turn, health=health, releases={**turn.releases, "champion": release},
        judged=(judged, *turn.judged), verdicts={"challenger": verdict},
        versions={HOSTILE: HOSTILE},
        request={**turn.request, "logs": [HOSTILE]}, quarantined_by_reason={HOSTILE: 3},
        receipts=(Receipt("validate", "k", 3, 0, quarantined=3),),
    )  # fmt: skip


def _decided(turn: Turn, **verdict: Any) -> Turn:
    """The same turn with a verdict that differs in these."""
    return replace(turn, verdicts={"challenger": replace(turn.verdict, **verdict)})


def test_hostile_text_never_becomes_an_element_or_an_attribute(decided: Run) -> None:
    turn = _hostile(read(decided))
    html = page.render(turn, plot.draw(turn), compare_url_path="/#/x")
    found = _parsed(html)
    assert html.lower().count("<script") == 1  # ours
    assert not found.tags & {"img", "iframe", "object", "link", "form", "foreignobject"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_the_card_of_a_judge_stands_with_its_suite_and_says_that_it_informs(decided: Run) -> None:
    turn = read(decided)
    first = turn.verdict.suites[0]
    card = JudgeCard(
        "fair", "pointwise", "judge:fair@1", ("m",),
        declared_role="guard", why_not=("kappa is low",),
    )  # fmt: skip
    told = _decided(turn, suites=(replace(first, judge=card), *turn.verdict.suites[1:]))
    html = page.render(told, plot.draw(told))
    section = html[html.index("<h2>Judges") : html.index("<h2>What the answers are like")]
    assert f"suite {first.rule.name}" in section
    assert "informs only" in section
    assert "no: kappa is low" in section
    assert "does not decide: its judge fair informs only, because kappa is low." in html
    assert "<h2>Judges" not in page.render(turn, plot.draw(turn))


def test_health_names_what_to_look_at_and_leaves_alone_what_all_got_right(decided: Run) -> None:
    turn = read(decided)
    flags: tuple[Flag, ...] = ("always_right", "flaky", "always_wrong", "negative")
    samples = [
        replace(turn.health.samples[place], flags=(flag,), adjusted_p=0.01)
        for place, flag in enumerate(flags)
    ]
    health = replace(turn.health, samples=tuple(samples))
    html = page.render(replace(turn, health=health), plot.draw(turn))
    section = html[html.index("Health of the set") : html.index("<h2>Lineage")]
    places = [section.find(one.sample.sample_id[:12]) for one in samples]
    assert places[0] == -1
    assert 0 < places[3] < places[2] < places[1]
    assert "3 of 3" in section
    assert "Ticket 3: my parcel" in section


def test_all_releases_of_a_run_are_shown_and_the_pages_of_the_others_linked(decided: Run) -> None:
    turn = read(decided)
    ranking = (Rank("", "challenger", 0.5, 1, 2, 9), Rank(HOSTILE, "challenger", 0.5, 1, 2, 9))
    rows = (
        ReleaseRow("challenger_2", HOSTILE, "worse", "1–2", (0.25,)),
        ReleaseRow("champion", "prod", "", "1–2", (None,)),
    )
    several = replace(turn, ranking=ranking)
    pages = {"challenger_2": "report-challenger_2.html"}
    html = page.render(several, plot.draw(turn), standings=rows, pages=pages)
    found = _parsed(html)
    assert html.lower().count("<script") == 1
    assert not found.tags & {"img", "iframe", "object", "link", "form", "foreignobject"}
    links = [value for name, value in found.attributes if name == "href" and value[:1] != "#"]
    assert links == ["report-challenger_2.html"]
    text = note.note(several, standings=rows, **_LINKS)
    assert "<script" not in text
    assert "| prod | champion | 1–2 | – |" in text


def test_page_loads_nothing_from_elsewhere_and_allows_its_own_script_alone(decided: Run) -> None:
    turn = read(decided)
    html = page.render(turn, plot.draw(turn))
    found = _parsed(html)
    for name, value in found.attributes:
        if name in ("src", "href", "xlink:href", "action"):
            assert value.startswith("#"), (name, value)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_page_of_one_turn_is_always_the_same(decided: Run) -> None:
    turn = read(decided)
    first, second = (page.render(turn, plot.draw(turn)) for _ in range(2))
    assert first == second


def test_long_texts_are_shortened_with_a_visible_mark(decided: Run) -> None:
    turn = read(decided)
    flip = turn.flips[0]
    long = replace(flip, sample=replace(flip.sample, target="x" * 5_000))
    html = page.render(replace(turn, judged=(long,)), None)
    assert "shortened by 3 800 characters" in html
    assert "x" * 1_201 not in html


def test_page_names_the_columns_that_drifted(decided: Run) -> None:
    turn = read(decided)
    assert "differ from those before" not in page.render(turn, None)
    moved = [{"value": "<b>m-9", "old_share": 0.1, "new_share": 0.4}]
    alarm = {"column": "model", "psi": 0.319, "adjusted_p": 1.2e-8, "moved": moved}
    redacted = Receipt("redact", turn.run_id, 9, 9, notes={"drift": {"alarms": [alarm]}})
    html = page.render(replace(turn, receipts=(*turn.receipts, redacted)), None)
    assert "differ from those before</strong> in <code>model</code> (PSI 0.32, p 1.2e-08)" in html
    assert "&lt;b&gt;m-9 10% → 40%" in html


def test_page_shows_verdict_denominators_lineage_and_commands(decided: Run) -> None:
    turn = read(decided)
    html = page.render(turn, plot.draw(turn), compare_url_path="/#/c", mlflow_run_id="abc123")
    shown = [
        "candidate is worse than prod",
        "It must not ship.",
        "−25.5",
        "−42.0 to −9.0",
        "scored 13 / 12",
        "failed 0 / 1 · missing 0 / 0 · unscored 0 / 1",
        "only challenger right 1 · only champion right 7",
        "29.0%",
        "80% with 345 samples",
        turn.eval_set.digest,
        turn.log_files[0].digest,
        turn.releases["champion"].model_digest,
        "duckdb 2.0",
        "abc123",
        "has_messages: 2",
        "flywheel run --logs",
        "the prompt is longer than",
        "20.6 output tokens",
        "+3.0%",
        "-0.9% to +6.8%",
        "of 1 more it is not known",
    ]
    for text in shown:
        assert text in html, text


def test_page_is_whole_when_nothing_was_judged(decided: Run) -> None:
    turn = _decided(
        replace(read(decided), judged=(), receipts=(), log_files=()),
        suites=(), slices=(), reasons=(), verdict="cannot_tell",
    )  # fmt: skip
    html = page.render(turn, plot.draw(turn))
    for text in ("No suite was judged", "No difference could be computed",
                 "No samples.", "This is not a pass"):  # fmt: skip
        assert text in html


def test_plot_marks_every_difference_and_counts_what_it_leaves_out(decided: Run) -> None:
    turn = read(decided)
    rows, left_out = plot.bars(turn)
    assert (len(rows), left_out) == (8, 0)
    slices, (first, *suites) = turn.verdict.slices, turn.verdict.suites
    without = replace(first, comparison=None)
    many = tuple(replace(slices[0], value=f"v{i}") for i in range(61))
    rows, left_out = plot.bars(_decided(turn, suites=(without, *suites), slices=many))
    assert len(rows) == plot.MAX_ROWS
    assert left_out == 3 + 61 - plot.MAX_ROWS


def test_plot_is_valid_xml_whatever_a_slice_is_called(decided: Run) -> None:
    turn = read(decided)
    parts = tuple(
        replace(turn.verdict.slices[0], value=value)
        for value in (
            HOSTILE,
            "$\\frac{",
            "a\x00b\x1b",
            "-- -->",
            "失敗 😀",
            "x" * 900,
            "עברית",
            "",
        )
    )
    drawn = plot.draw(_decided(turn, slices=parts))
    assert drawn is not None
    ElementTree.fromstring(drawn.svg)
    ElementTree.fromstring(drawn.inline)
    assert drawn.png.startswith(b"\x89PNG")
    assert "x" * 60 not in drawn.inline


def test_interval_that_is_not_known_is_not_drawn(decided: Run) -> None:
    turn = read(decided)
    part = replace(turn.verdict.slices[0], ci_low=None, ci_high=None)
    (suite, *_) = turn.verdict.suites
    alone = _decided(turn, suites=(replace(suite, comparison=None),), slices=(part,))
    assert plot.draw(alone) is not None


def test_losses_come_first_and_suites_take_turns(decided: Run) -> None:
    turn = read(decided)
    changes = flips.choose(turn.judged, 6)
    assert (changes.num_flips, changes.num_losses, changes.num_gains) == (11, 10, 0)
    assert (changes.num_one_sided, changes.num_samples) == (1, 40)
    assert len({item.sample.suite for item in changes.chosen[:3]}) == 3


def test_gains_get_a_third_of_the_room_and_must_pass_comes_first(decided: Run) -> None:
    losses = list(read(decided).flips)
    gains = [
        replace(item, answers=dict(zip(item.answers, reversed(item.answers.values()), strict=True)))
        for item in losses
    ]
    losses[-1] = replace(losses[-1], sample=replace(losses[-1].sample, must_pass=True))
    changes = flips.choose([*gains, *losses], 9)
    assert len(changes.chosen) == 9
    assert changes.chosen[0].sample.must_pass
    assert [flips._is_loss(pair) for pair in changes.chosen] == [True] * 6 + [False] * 3


def test_the_note_begins_with_what_was_decided_by_how_much_and_why(decided: Run) -> None:
    """MLflow shows three lines of it before it fades."""
    turn = read(decided)
    first, _, links, _, reason, *_ = note.note(turn, **_LINKS).splitlines()
    assert first == (
        "**WORSE: candidate is worse than prod. It must not ship.** Suite tickets: −25.5 points "
        "(−42.0 to −9.0) at a margin of 5."
    )
    assert links.startswith("[Report](")
    assert reason.startswith("- tickets (primary): ")


def test_note_escapes_tables_and_html_and_always_fits(decided: Run) -> None:
    turn = _hostile(read(decided))
    text = note.note(turn, **_LINKS)
    assert "<script" not in text
    assert "[Report](#/report) · [all answers side by side](#/compare) · [all verdicts](#/all)" in (
        text
    )
    assert "| +3.0% (-0.9% to +6.8%) | 10% | 39 | no worse |" in text
    one = turn.verdict.suites[1]
    many = tuple(replace(one, rule=replace(one.rule, name=f"suite-{i}" * 10)) for i in range(200))
    text = note.note(_decided(turn, suites=many), **_LINKS)
    assert len(text) <= note.MAX_CHARS
    assert "more suites in the report" in text
    reasons = tuple(f"reason {i} " * 200 for i in range(50))
    text = note.note(_decided(turn, reasons=reasons), **_LINKS)
    assert len(text) <= note.MAX_CHARS
    assert "and 38 more" in text


def test_funnel_takes_reasons_from_the_receipt_and_else_from_the_table(decided: Run) -> None:
    turn = read(decided)
    validate = next(receipt for receipt in turn.receipts if receipt.stage == "validate")
    reasons = funnel.reasons(validate, turn)
    assert reasons == (("has_messages", 2), ("tokens_possible", 1))
    bare = Receipt("validate", "k", 4, 1, quarantined=3)
    assert funnel.reasons(bare, turn) == reasons
    assert funnel.shares(bare) == (0.25, 0.75, 0.0, 0.0)


def test_commands_are_quoted_for_a_shell(decided: Run) -> None:
    turn = read(decided)
    turn = replace(turn, request={**turn.request, "logs": ["a b; rm -rf /"]})
    first = commands.commands(turn, None)[0]
    assert "'a b; rm -rf /'" in first.line


def test_the_same_turn_again_is_of_the_same_settings_and_window(decided: Run) -> None:
    turn = read(decided)
    asked = {"config": "/my app/flywheel.toml", "since": "2026-11-01", "until": ""}
    line = commands.commands(replace(turn, request={**turn.request, **asked}), None)[0].line
    assert " --since 2026-11-01 --config '/my app/flywheel.toml' --champion " in line
    assert "--until" not in line


def test_of_several_challengers_the_page_explains_its_own(decided: Run) -> None:
    turn = read(decided)
    explain = next(c.line for c in commands.commands(turn, None) if "explain" in c.line)
    assert explain == f"flywheel explain {turn.run_id}"
    several = replace(turn, request={**turn.request, "challengers": ["a", "b"]})
    (line,) = (c.line for c in commands.commands(several, None) if "explain" in c.line)
    assert line == f"{explain} --challenger {turn.releases['challenger'].name}"
    (line,) = (c.line for c in commands.commands(several, None) if "show" in c.line)
    assert line == f"flywheel show {turn.run_id} --lost --challenger candidate"


def test_numbers_read_as_people_write_them() -> None:
    assert wording.points(-0.255) == "−25.5"
    assert wording.points(-0.0001) == "0.0"
    assert wording.points(None) == wording.percent(None) == wording.count(None) == "–"
    assert wording.count(1234567) == "1 234 567"
    assert wording.interval(None) == "–"


def test_contents_in_parts_are_read_as_text() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert wording.content_text(parts) == "one\ntwo"
    assert wording.content_text([{"type": "image"}]) == '[{"type": "image"}]'
    messages = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"})
    assert wording.message_text(messages) == "[user] hi\n[assistant] yo"


def test_evidence_over_looks_is_drawn_where_there_were_two(decided: Run) -> None:
    turn = read(decided)
    assert "Evidence over all looks" not in page.render(turn, plot.draw(turn))
    looks = tuple(Look(100 * n, 100 * n, 0.01, Interval(-0.3 / n, 0.3 / n)) for n in (1, 2, 3))
    stands = Standing(300, 0.01, Interval(-0.1, 0.1), 200, 200, (1.0, 1.0), (1.0, 1.0), looks)
    suites = tuple(replace(suite, standing=stands) for suite in turn.verdict.suites)
    drawn = plot.draw(_decided(turn, suites=suites))
    assert drawn is not None
    html = page.render(_decided(turn, suites=suites), drawn)
    assert html.count('aria-label="evidence look by look"') == 1
    assert plot._VARIABLES[plot.MARGIN] in drawn.curves


def test_page_of_a_split_escapes_what_settings_say_and_draws_every_part() -> None:
    def amount(value: float) -> Amount:
        return Amount(value, Interval(value - 0.02, value + 0.02))

    hostile = "<script>alert(1)</script>"
    found = Explanation(
        run_id="r1", champion=hostile, challenger="b", suites=("route",), confidence=0.96,
        difference=amount(-0.13), estimate=amount(-0.13),
        parts=(Part("prompt", hostile, "new.md", amount(-0.13), 1.0),
               Part("engine", "dtype auto", "dtype float32", amount(0.0), 0.0)),
        interactions=(Interaction(("prompt", "engine"), amount(0.01)),),
        cells=(Cell((), "d1", 0.8), Cell(("prompt",), "d2", 0.67), Cell(("engine",), "d3", 0.8),
               Cell(("prompt", "engine"), "d4", 0.67)),
        used=Used(40, 60, 30, 30, num_unknown=2, num_lost=1), num_computed=120, num_cached=0,
        sentences=(f"prompt of {hostile}",),
    )  # fmt: skip
    html = page.render_explanation(found)
    assert page.render_explanation(found) == html
    assert "<script" not in html
    for said in ("−13.0", "100%", "30 of 40", "less 1", "may be nothing", "96% interval",
                 "2 samples of the run are left out"):  # fmt: skip
        assert said in html, said
    drawn = html[html.index("<svg") : html.index("</svg>")]
    assert "prompt" in drawn
    assert "engine" in drawn
    nothing = replace(found, cells=(), parts=(), interactions=())
    assert "Nothing was split" in page.render_explanation(nothing)


def test_the_page_names_the_files_that_were_not_read_and_tells_of_sessions(decided: Run) -> None:
    turn = read(decided)
    notes = {
        "files": 3,
        "unrecognised": {
            "num": 1, "num_new": 1, "next": "flywheel run --format NAME",
            "files": [{"file": f"/l/{HOSTILE}", "reason": HOSTILE}],
        },
        "unread_keys": {f"/l/{HOSTILE}": {HOSTILE: 3}},
        "without_calls": {"num": 1, "files": {f"/l/{HOSTILE}": HOSTILE}},
        "sessions": {"num_sessions": 2, "median_calls": 1.5, "max_calls": 2, "num_tool_calls": 4,
                     "num_tool_results": 3, "num_tool_errors": 1},
    }  # fmt: skip
    others = [receipt for receipt in turn.receipts if receipt.stage != "ingest"]
    took_in = Receipt("ingest", "r", 1, 1, notes=notes)
    html = page.render(replace(turn, receipts=(took_in, *others)), None)
    assert "1 of 3 files, which no format recognises" in html
    assert "keys not understood: " in html
    assert "2 sessions with 1.5 calls in the median and 2 at most" in html
    assert HOSTILE not in html
    assert "which no format recognises" not in page.render(turn, None)
