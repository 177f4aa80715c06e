"""What the store knows of one thing, and which things a name may mean. Owns the SQL for lineage;
decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.model.lineage import Key, Kind
from tasks.store.db.connection import Store
from tasks.store.held.dead_letters import WITHOUT_DATA

#: of a kind, as many are named where a name may mean several
_MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a kind are: what to select from, the id, and attribute → SQL."""

    source: str
    row_id: str
    attributes: Mapping[str, str]


def _columns(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_ROWS: Mapping[Kind, _Rows] = {
    "log_file": _Rows(
        "(SELECT path, last(digest ORDER BY read_at, rowid) AS digest, "
        "last(format ORDER BY read_at, rowid) AS format, "
        "last(size_bytes ORDER BY read_at, rowid) AS size_bytes, "
        "sum(rows_out)::BIGINT AS rows_out, sum(dead_letters)::BIGINT AS dead_letters, "
        "count(*) AS num_readings, max(read_at) AS read_at FROM sources GROUP BY path)",
        "path",
        _columns(
            "digest", "format", "size_bytes", "rows_out", "dead_letters", "num_readings", "read_at"
        ),
    ),
    "arrival": _Rows("landing", "request_id", _columns("started_at", "prompt_name", "run_id")),
    "request": _Rows(
        "requests",
        "request_id",
        _columns("started_at", "prompt_name", "model", "release", "status", "session_id", "run_id"),
    ),
    "held": _Rows(
        "quarantine",
        "quarantine_id",
        _columns("request_id", "expectation", "state", "run_id", "created_at"),
    ),
    "dead_letter": _Rows(
        "dead_letters",
        "dead_letter_id",
        _columns("source", "line_number", "num_records", "state", "run_id", "created_at")
        | {"error": "regexp_extract(error, $2)"},  # what was read may be quoted behind it
    ),
    "feedback": _Rows(
        "feedback", "feedback_id", _columns("request_id", "kind", "value", "given_at", "run_id")
    ),
    "suite": _Rows(
        "(SELECT suite, count(*) AS num_samples FROM samples GROUP BY suite)",
        "suite",
        _columns("num_samples"),
    ),
    "sample": _Rows(
        "samples",
        "sample_id",
        _columns("suite", "task", "origin", "target_kind", "must_pass", "request_id"),
    ),
    "eval_set": _Rows(
        "eval_sets", "eval_set_digest", _columns("num_samples", "created_at", "run_id")
    ),
    "model": _Rows(
        "(SELECT model_digest, last(model ORDER BY created_at) AS model, count(*) AS num_releases "
        "FROM releases GROUP BY 1)",
        "model_digest",
        _columns("model", "num_releases"),
    ),
    "prompt": _Rows(
        "(SELECT prompt_digest, json_keys(any_value(prompts)) AS tasks, count(*) AS num_releases "
        "FROM releases GROUP BY 1)",
        "prompt_digest",
        _columns("tasks", "num_releases"),
    ),
    "release": _Rows(
        "releases",
        "release_digest",
        _columns("name", "model", "model_digest", "prompt_digest", "created_at"),
    ),
    "completion": _Rows(
        "(SELECT concat_ws(':', release_digest, sample_id, seed) AS id, * FROM completions)",
        "id",
        _columns("seed", "finish_reason", "fault", "run_id", "created_at"),
    ),
    "score": _Rows(
        "(SELECT concat_ws(':', release_digest, sample_id, seed, scorer) AS id, * FROM scores)",
        "id",
        _columns("scorer", "value", "unscored_reason", "fault"),
    ),
    "run": _Rows(
        "(SELECT r.*, v.verdict, r.request->>'champion' AS champion, "
        "CAST(r.request->'challengers' AS VARCHAR[]) AS challengers "
        "FROM runs r LEFT JOIN verdicts v ON v.run_id = r.run_id AND v.is_leading)",
        "run_id",
        _columns(
            "state", "started_at", "verdict", "champion", "challengers", "mlflow_run_id", "report"
        ),
    ),
    "alias": _Rows("aliases", "alias", _columns("release", "release_digest", "run_id", "since")),
}


def describe(store: Store, kind: Kind, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Id → attributes, of those that have a row."""
    rows = _ROWS[kind]
    selected = ", ".join(f"{sql} AS {name}" for name, sql in rows.attributes.items())
    parameters: list[Any] = [list(ids)]
    if "$2" in selected:
        parameters.append(WITHOUT_DATA)
    return {
        row_id: dict(zip(rows.attributes, values, strict=True))
        for row_id, *values in store.rows(
            f"SELECT {rows.row_id}, {selected} FROM {rows.source} "
            f"WHERE {rows.row_id} IN (SELECT unnest($1::VARCHAR[]))",
            parameters,
        )
    }


@dataclass(frozen=True, slots=True)
class Named:
    """What a name may mean; exact where it is its whole name and not only how it begins or ends."""

    key: Key
    is_exact: bool


_ANSWERS: tuple[Kind, ...] = ("completion", "score")
#: kind → SQL of ids, and whether $1 is the whole of the name
_MEANT: tuple[tuple[Kind, str], ...] = (
    ("run", "SELECT run_id AS id, run_id = $1 AS is_exact FROM runs WHERE starts_with(run_id, $1)"),
    (
        "release",
        # its name is that of its latest use; runs know by which they asked for it
        "SELECT release_digest AS id, $1 IN (name, release_digest) AS is_exact FROM releases "
        "WHERE name = $1 OR starts_with(release_digest, $1) "
        "UNION ALL SELECT champion_digest, false FROM runs WHERE request->>'champion' = $1 "
        "UNION ALL SELECT digest, false FROM ("
        "  SELECT unnest(CAST(request->'challengers' AS VARCHAR[])) AS name, "
        "  unnest(list_prepend(challenger_digest, coalesce(more_challengers, []))) AS digest "
        "  FROM runs) WHERE name = $1",
    ),
    (
        "eval_set",
        "SELECT eval_set_digest AS id, eval_set_digest = $1 AS is_exact FROM eval_sets "
        "WHERE starts_with(eval_set_digest, $1)",
    ),
    (
        "sample",
        "SELECT sample_id AS id, sample_id = $1 AS is_exact FROM samples "
        "WHERE starts_with(sample_id, $1)",
    ),
    ("suite", "SELECT DISTINCT suite AS id, true AS is_exact FROM samples WHERE suite = $1"),
    (
        "prompt",
        "SELECT DISTINCT prompt_digest AS id, prompt_digest = $1 AS is_exact FROM releases "
        "WHERE starts_with(prompt_digest, $1)",
    ),
    (
        "model",
        "SELECT DISTINCT model_digest AS id, model_digest = $1 AS is_exact FROM releases "
        "WHERE starts_with(model_digest, $1)",
    ),
    (
        "request",
        "SELECT request_id AS id, request_id = $1 AS is_exact FROM requests "
        "WHERE starts_with(request_id, $1) "
        "UNION ALL SELECT merged_into, true FROM merged_reports JOIN requests "
        "ON requests.request_id = merged_into WHERE merged_reports.request_id = $1",
    ),
    (
        "arrival",
        "SELECT request_id AS id, request_id = $1 AS is_exact FROM landing "
        "WHERE starts_with(request_id, $1)",
    ),
    (
        "held",  # a call that was let in is found as the request it became
        "SELECT quarantine_id AS id, $1 IN (quarantine_id, request_id) AS is_exact FROM quarantine "
        "WHERE starts_with(quarantine_id, $1) OR (request_id = $1 AND quarantine_id NOT IN "
        "(SELECT feedback_id FROM feedback) AND request_id NOT IN "
        "(SELECT request_id FROM requests))",
    ),
    (
        "dead_letter",
        "SELECT dead_letter_id AS id, dead_letter_id = $1 AS is_exact FROM dead_letters "
        "WHERE starts_with(dead_letter_id, $1)",
    ),
    (
        "feedback",
        "SELECT feedback_id AS id, feedback_id = $1 AS is_exact FROM feedback "
        "WHERE starts_with(feedback_id, $1)",
    ),
    ("alias", "SELECT alias AS id, true AS is_exact FROM aliases WHERE alias = $1"),
    # whole ids alone, as --json has them: they begin with that of a release
    *(
        (kind, f"SELECT id, true AS is_exact FROM {_ROWS[kind].source} WHERE id = $1")
        for kind in _ANSWERS
    ),
)


def named(store: Store, text: str, kind: Kind | None = None) -> list[Named]:
    """What of the store the text may mean, but log files; of a kind at most ten."""
    return [
        Named(Key(one, row_id), is_exact)
        for one, sql in _MEANT
        if kind in (None, one)
        for row_id, is_exact in store.rows(
            f"SELECT id, bool_or(is_exact) AS is_exact FROM ({sql}) WHERE id IS NOT NULL "
            f"GROUP BY id ORDER BY is_exact DESC, id LIMIT {_MAX_NAMED}",
            [text],
        )
    ]


def named_files(store: Store, text: str, path: str) -> list[Named]:
    """Log files of this name: as the store knows it, by their `path`, or by how it ends."""
    return [
        Named(Key("log_file", row_id), is_exact)
        for row_id, is_exact in store.rows(
            "SELECT DISTINCT path, path IN ($1, $2) AS is_exact FROM sources "
            "WHERE path IN ($1, $2) OR ends_with(path, '/' || $1) "
            f"ORDER BY is_exact DESC, path LIMIT {_MAX_NAMED}",
            [text, path],
        )
    ]
