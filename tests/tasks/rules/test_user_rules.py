"""Rules of users: read from a folder, judged like ours, refused with file and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expectations.batches import BatchLimits, profile_rules
from expectations.calls import calls_rules
from expectations.checks import JudgedTable
from expectations.contracts import LANDING
from expectations.rules import RuleSet
from tasks.errors import UsageError
from tasks.rules.gx import judge
from tasks.rules.in_force import calls_rules as composed
from tasks.rules.outcomes import check_agreement
from tasks.rules.predicates import RefusedPredicateError, check_predicate
from tasks.rules.user_rules import with_own_rules
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.held import marks
from tasks.store.held.quarantine import CALLS
from tests.expectations.call_rows import NOW, call

OURS = calls_rules(300.0)
BATCH = JudgedTable("landing", NOW)
MODELS = """
[[rules]]
id = "our_models"
severity = "critical"
kind = "one_of"
column = "model"
values = ["smol", "o'model"]
meaning = "Only models we run cost $ {x} <b>."
"""
EVERY_KIND = (
    MODELS
    + """
[[rules]]
id = "has_release"
kind = "not_null"
column = "release"
when = { status = "ok", provider = "local" }
[[rules]]
id = "one_session_each"
kind = "unique"
column = "session_id"
[[rules]]
id = "cheap"
kind = "between"
column = "cost_usd"
max = 0.5
[[rules]]
id = "recent"
kind = "between"
column = "started_at"
min = 2026-11-24T12:00:00+02:00
[[rules]]
id = "http_known"
kind = "one_of"
column = "http_status"
values = [200, 429]
[[rules]]
id = "prompt_named"
kind = "matches"
column = "prompt_name"
pattern = '^[a-z]+$'
[[rules]]
id = "output_shorter"
kind = "at_least"
column = "input_tokens"
other = "output_tokens"
[[rules]]
id = "no_like"
kind = "sql"
columns = ["finish_reason", "messages"]
never = '''
finish_reason LIKE '%_len%' OR len(list_filter(
    json_extract_string(messages, '$[*].role'), lambda r : r = 'wizard')) > 0 -- %s :x
'''
[[rules]]
id = "mostly_chat"
severity = "batch"
kind = "one_of"
column = "operation"
values = ["chat"]
max_ratio = 0.5
"""
)
#: rows that violate each rule above, and how many
BAD: dict[str, list[dict[str, Any]]] = {
    "our_models": [{"model": "gpt"}],
    "has_release": [{"release": None}],
    "one_session_each": [{"session_id": "s"}, {"session_id": "s"}],
    "cheap": [{"cost_usd": 0.6}],
    "recent": [{"started_at": NOW.replace(hour=9)}],
    "http_known": [{"http_status": 301}],
    "prompt_named": [{"prompt_name": "Triage 1"}],
    "output_shorter": [{"output_tokens": 13}],
    "no_like": [{"finish_reason": "max_length"}, {"messages": '[{"role": "wizard"}]'}],
    "mostly_chat": [{"operation": "text_completion"}],
}


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def suite_of(folder: Path, text: str) -> RuleSet:
    return with_own_rules(OURS, write(folder / "rules", text), ("calls", "other"))


def test_every_kind_of_rule_finds_its_rows_by_gx_and_by_our_sql(tmp_path: Path) -> None:
    rule_set = suite_of(tmp_path, EVERY_KIND)
    own = RuleSet("calls", LANDING, rule_set.rules[len(OURS.rules) :])
    rows = [change for changes in BAD.values() for change in changes]
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        good = [call(n, session_id=str(n)) for n in range(5)]
        bad = [call(10 + n, **{"session_id": f"b{n}", **row}) for n, row in enumerate(rows)]
        store.insert(LANDING, [*good, *bad])
        sql = {rule.id: rule.violation_sql(BATCH) for rule in own.rules}
        found = marks.mark_violations(store, CALLS.rows, sql, {})
        outcomes = judge(store, own, BATCH)
    assert found == {name: len(changes) for name, changes in BAD.items()}
    check_agreement(outcomes, found, own)
    assert {outcome.rule_id for outcome in outcomes if outcome.success} == {"mostly_chat"}


def test_the_version_of_the_suite_covers_own_rules(tmp_path: Path) -> None:
    with_models = suite_of(tmp_path, MODELS)
    other_bound = suite_of(tmp_path, MODELS.replace("o'model", "other"))
    assert len({OURS.version, with_models.version, other_bound.version}) == 3
    assert suite_of(tmp_path, MODELS.replace("Only", "Just")).version == with_models.version


def test_the_folder_beside_the_settings_is_read_if_it_is_there(tmp_path: Path) -> None:
    settings = parse_settings({}, base=str(tmp_path))
    plain = composed(settings)
    assert all(rule.origin == "" for rule in plain.rules)
    write(tmp_path / "expectations", MODELS)
    assert composed(settings).rule("our_models").origin == "own.toml"
    nothing = parse_settings({"validate": {"rules": ""}}, base=str(tmp_path))
    assert composed(nothing).version == plain.version
    with pytest.raises(UsageError, match="does not exist"):
        composed(parse_settings({"validate": {"rules": "rulez"}}, base=str(tmp_path)))


def test_rules_of_another_suite_are_left_to_it(tmp_path: Path) -> None:
    assert suite_of(tmp_path, f'suite = "other"\n{MODELS}') == OURS


def test_a_rule_on_the_batch_as_a_whole_quarantines_nothing(tmp_path: Path) -> None:
    text = 'suite = "batch"\n[[rules]]\nid = "x"\nkind = "not_null"\ncolumn = "day"\n'
    rule_set = with_own_rules(
        profile_rules(BatchLimits()), write(tmp_path / "rules", text), ("calls", "batch")
    )
    assert rule_set.rule("x").severity == "warning"
    write(tmp_path / "rules", f'{text}severity = "critical"')
    with pytest.raises(UsageError, match=r"unknown severity.*allowed: warning, batch"):
        with_own_rules(rule_set, tmp_path / "rules", ("calls", "batch"))


def rule(**changes: str) -> str:
    keys = {"id": '"x"', "kind": '"not_null"', "column": '"model"', **changes}
    return "[[rules]]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items() if value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[[rules]", ["own.toml cannot be read", "line 1"]),
        ('suite = "call"', ["own.toml, top", "no such suite", "calls, other"]),
        ("rule = 1", ["own.toml, top", "unknown key: did you mean 'rules'"]),
        ("rules = 3", ["rules are tables"]),
        (rule(id='"X y"'), ["rule 1 (X y)", "needs an id"]),
        (rule(id='"has_model"'), ["rule 1 (has_model)", "a rule of that id already"]),
        (rule() + "\n" + rule(), ["rule 2 (x)", "a rule of that id already"]),
        (rule(kind='"nonull"'), ["unknown kind", "not_null, unique, between"]),
        (rule(kind='["unique"]'), ["unknown kind"]),
        (rule(id="3"), ["needs an id"]),
        (rule(severity='"fatal"'), ["unknown severity", "critical, warning, batch"]),
        (rule(column='"modell"'), ["no such column: did you mean 'model'"]),
        (rule(colum='"model"'), ["unknown key: did you mean 'column'"]),
        (rule(max_ratio="0.5"), ["max_ratio", "in a batch rule"]),
        (rule(severity='"batch"', max_ratio="1.0"), ["max_ratio"]),
        (rule(when='{ http_status = "200" }'), ["when is a number column"]),
        (rule(when="{ status = 3 }"), ["when"]),
        (rule(meaning='""'), ["meaning"]),
        (rule(kind='"between"'), ["a bound is missing"]),
        (rule(kind='"between"', min="3"), ["column is a text column"]),
        (rule(kind='"between"', column='"cost_usd"', min="nan"), ["a number or a time"]),
        (rule(kind='"between"', column='"cost_usd"', min="true"), ["a number or a time"]),
        (rule(kind='"between"', column='"retries"', min="99999999999999999999"), ["a number"]),
        (
            rule(kind='"between"', column='"started_at"', min="1", max="2026-01-01T00:00:00"),
            ["two numbers, or two times"],
        ),
        (rule(kind='"one_of"', values="[]"), ["a list of texts, or of numbers"]),
        (rule(kind='"one_of"', values='["a", 1]'), ["a list of texts, or of numbers"]),
        (rule(kind='"one_of"', values='["a\\u0000b"]'), ["NUL"]),
        (rule(kind='"matches"', pattern='"("'), ["a regular expression"]),
        (rule(kind='"at_least"', column='"cost_usd"', other='"model"'), ["other is a text"]),
        (rule(kind='"sql"', column="", columns="[]", never='"true"'), ["columns to show"]),
        (rule(kind='"sql"', column="", columns='["model"]'), ["never is missing"]),
        (
            rule(kind='"sql"', column="", columns='["model"]', never='"1; DROP TABLE landing"'),
            ["rule 1 (x)", "never: it cannot be read"],
        ),
    ],
)
def test_a_malformed_rule_is_one_line_that_names_file_and_rule(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        suite_of(tmp_path, text)
    line = caught.value.line()
    assert "own.toml" in line
    assert "\n" not in line
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    "text",
    [
        "model = 'a'; DROP TABLE landing",
        "model = 'a') OR (true",
        "model = 'a' FROM requests --",
        "model = 'a' FROM requests /*",
        "model IN (SELECT model FROM requests)",
        "EXISTS (FROM read_text('/etc/passwd'))",
        "model = (SELECT content FROM read_text('/etc/passwd'))",
        "model = getenv('HOME')",
        "model = current_setting('access_mode')",
        "nextval('s') > 1",
        "random() < 0.5",
        "now() > started_at",
        "current_date > started_at",
        "(current_date -> '$') IS NULL OR current_date > started_at",
        "rowid > 3",
        "landing.model = 'x'",
        "sum(input_tokens) > 3",
        "row_number() OVER () > 3",
        "error(model) IS NULL",
        "json_serialize_sql(model) IS NULL",
        "unnest([true])",
        "columns('m.*') = 'a'",
        "model = $1",
        "model = 'a' UNION SELECT true",
        "model",
        "*",
        "",
        "(" * 2000 + "true" + ")" * 2000,
        "nothing = 3",
        "pragma_version() IS NULL",
    ],
)
def test_a_predicate_that_is_more_than_one_expression_on_the_row_is_refused(text: str) -> None:
    with pytest.raises(RefusedPredicateError):
        check_predicate(text, LANDING)


@pytest.mark.parametrize(
    "text",
    [
        "model LIKE '%x%' AND NOT started_at BETWEEN TIMESTAMP '2020-01-01' AND started_at",
        "CASE WHEN latency_s > 3 THEN try_cast(model AS INTEGER) = 3 ELSE false END",
        "json_extract_string(messages, '$[0].role') = 'user' OR messages->>'$[0].role' = 'x'",
        "len(list_filter([1, 2], lambda i : i > input_tokens)) > 0",
        "regexp_matches(lower(model), '^gpt') -- ours only",
    ],
)
def test_one_boolean_expression_over_the_row_is_let_through(text: str) -> None:
    assert check_predicate(text, LANDING).strip() == text
