"""How the rows of the store hang together, for lineage. Owns the SQL; decides nothing.

One query a link gives all its pairs, and is read from either end: what is found going down from one
thing is found going up from the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tasks.model.lineage import Direction, Kind, Link, Neighbour
from tasks.store.db.connection import Store
from tasks.store.evals.nodes import describe

#: of so many ids each is compared with every row, where the row is read; more are joined
_MAX_COMPARED = 64

_COMPLETION = "concat_ws(':', release_digest, sample_id, seed)"
_SCORE = "concat_ws(':', release_digest, sample_id, seed, scorer)"
_CHALLENGERS = "list_prepend(r.challenger_digest, coalesce(r.more_challengers, []))"


def _at_lines(table: str, row_id: str, places: str) -> str:
    """Pairs of a log file and what stands at lines of it; `places`: SQL for a list of file:line."""
    return f"""
        SELECT regexp_replace(place, ':[0-9]+$', '') AS from_id, to_id,
            coalesce('line ' || string_agg(line, ', ' ORDER BY line::BIGINT), '') AS note,
            min(line::BIGINT) AS rank
        FROM (SELECT to_id, place, nullif(regexp_extract(place, ':([0-9]+)$', 1), '') AS line
            FROM (SELECT {row_id} AS to_id, unnest({places}) AS place FROM {table}))
        WHERE place IS NOT NULL GROUP BY 1, 2"""


#: what a held row was read from: feedback has one source, a call several
_HELD_PLACES = "coalesce(CAST(\"row\"->'sources' AS VARCHAR[]), [\"row\"->>'source'])"
#: every scorer whose scores a run decided on, of a suite; older builds named no version
_DECIDED = """
    decided AS (
        SELECT DISTINCT run_id, judged->>'suite' AS suite, (judged->>'margin')::DOUBLE AS margin,
            coalesce(nullif(judged->>'scorer', ''), judged->>'metric') AS scorer
        FROM (SELECT run_id, unnest(CAST(suites AS JSON[])) AS judged FROM verdicts))"""
_ASKED_BY = "coalesce(nullif(r.request->>'scores_of', ''), r.run_id)"
_FIRST_SEED = "coalesce((r.request->>'seed')::BIGINT, 0)"
_REPEATS = "greatest(coalesce((r.request->>'repeats')::BIGINT, 1), 1)"

#: link → SQL of its pairs: from_id, to_id, what is said of the pair, and its order
_PAIRS: Mapping[Link, str] = {
    Link("log_file", "eval_set", "has calls in"): """
        SELECT from_id, eval_set_digest AS to_id,
            concat(count(DISTINCT request_id), ' of its calls') AS note,
            -epoch_us(any_value(created_at)) AS rank
        FROM (SELECT request_id, regexp_replace(unnest(sources), ':[0-9]+$', '') AS from_id
            FROM requests)
        JOIN samples USING (request_id) JOIN eval_set_samples USING (sample_id)
        JOIN eval_sets USING (eval_set_digest) GROUP BY 1, 2""",
    Link("log_file", "request", "holds"): _at_lines("requests", "request_id", "sources"),
    Link("log_file", "arrival", "holds"): _at_lines("landing", "request_id", "sources"),
    Link("log_file", "held", "holds"): _at_lines("quarantine", "quarantine_id", _HELD_PLACES),
    Link("log_file", "dead_letter", "holds"): """
        SELECT source AS from_id, dead_letter_id AS to_id,
            CASE WHEN line_number IS NULL THEN '' WHEN last_line IS NULL
            THEN concat('line ', line_number) ELSE concat('lines ', line_number, ' to ', last_line)
            END AS note, coalesce(line_number, 0) AS rank
        FROM dead_letters""",
    Link("log_file", "feedback", "holds"): _at_lines("feedback", "feedback_id", "[source]"),
    Link("held", "request", "was let in as"): """
        SELECT quarantine_id AS from_id, request_id AS to_id, '' AS note, 0 AS rank
        FROM quarantine JOIN requests USING (request_id)
        WHERE state = 'replayed' AND quarantine_id NOT IN (SELECT feedback_id FROM feedback)""",
    Link("held", "feedback", "was let in as"): """
        SELECT quarantine_id AS from_id, feedback_id AS to_id, '' AS note, 0 AS rank
        FROM quarantine JOIN feedback ON feedback_id = quarantine_id WHERE state = 'replayed'""",
    Link("dead_letter", "request", "was read as"): """
        SELECT dead_letter_id AS from_id, request_id AS to_id, '' AS note, 0 AS rank
        FROM dead_letters JOIN (SELECT request_id, unnest(sources) AS place FROM requests)
        ON place = concat(source, ':', line_number) WHERE state = 'replayed'""",
    Link("feedback", "request", "speaks of"): """
        SELECT feedback_id AS from_id, request_id AS to_id, '' AS note, 0 AS rank
        FROM feedback JOIN requests USING (request_id)""",
    Link("request", "sample", "became"): """
        SELECT request_id AS from_id, sample_id AS to_id, '' AS note, 0 AS rank
        FROM samples JOIN requests USING (request_id)""",
    Link("request", "sample", "was pinned as"): """
        SELECT p.request_id AS from_id, sample_id AS to_id, 'pinned' AS note, 0 AS rank
        FROM pinned_calls p JOIN samples USING (sample_id)
        JOIN requests r ON r.request_id = p.request_id""",
    Link("suite", "sample", "declares"): """
        SELECT suite AS from_id, sample_id AS to_id, '' AS note, 0 AS rank
        FROM samples WHERE origin IN ('suite', 'pin')""",
    Link("sample", "eval_set", "is in"): """
        SELECT sample_id AS from_id, eval_set_digest AS to_id,
            CASE WHEN coalesce(is_counted, true) THEN '' ELSE 'not counted' END AS note,
            position AS rank
        FROM eval_set_samples""",
    Link("eval_set", "eval_set", "was replaced by", is_followed=False): """
        SELECT parent_digest AS from_id, eval_set_digest AS to_id, '' AS note,
            -epoch_us(created_at) AS rank
        FROM eval_sets WHERE parent_digest IS NOT NULL""",
    Link("model", "release", "is of"): """
        SELECT model_digest AS from_id, release_digest AS to_id, '' AS note, 0 AS rank
        FROM releases""",
    Link("prompt", "release", "is of"): """
        SELECT prompt_digest AS from_id, release_digest AS to_id, '' AS note, 0 AS rank
        FROM releases""",
    Link("eval_set", "run", "was asked in"): """
        SELECT eval_set_digest AS from_id, run_id AS to_id, '' AS note,
            -epoch_us(started_at) AS rank
        FROM runs WHERE eval_set_digest IS NOT NULL""",
    Link("release", "run", "took part in"): f"""
        SELECT from_id, run_id AS to_id, string_agg(role, ' and ' ORDER BY role) AS note,
            any_value(-epoch_us(started_at)) AS rank
        FROM (SELECT run_id, started_at, champion_digest AS from_id, 'champion' AS role FROM runs
            UNION ALL
            SELECT run_id, started_at, unnest({_CHALLENGERS}), 'challenger' FROM runs r)
        WHERE from_id IS NOT NULL GROUP BY 1, 2""",
    Link("release", "alias", "is"): """
        SELECT release_digest AS from_id, alias AS to_id, '' AS note, 0 AS rank FROM aliases""",
    Link("run", "alias", "allowed"): """
        SELECT run_id AS from_id, alias AS to_id, '' AS note, 0 AS rank
        FROM aliases WHERE run_id IS NOT NULL""",
    Link("run", "run", "lent its scores to"): """
        SELECT request->>'scores_of' AS from_id, run_id AS to_id, '' AS note,
            -epoch_us(started_at) AS rank
        FROM runs WHERE nullif(request->>'scores_of', '') IS NOT NULL""",
    Link("run", "run", "fed the evidence of", is_followed=False): f"""
        WITH {_DECIDED}
        SELECT f.run_id AS from_id, r.run_id AS to_id,
            concat(count(DISTINCT f.sample_id), ' samples') AS note,
            -epoch_us(any_value(r.started_at)) AS rank
        FROM evidence_samples f JOIN evidence e USING (evidence_id)
        JOIN runs r ON r.champion_digest = e.champion_digest AND r.run_id > f.run_id
            AND list_contains({_CHALLENGERS}, e.challenger_digest)
        JOIN decided d ON d.run_id = r.run_id AND d.suite = e.suite AND d.scorer = e.scorer
            AND d.margin = e.margin
        GROUP BY 1, 2""",
    Link("release", "completion", "wrote"): f"""
        SELECT release_digest AS from_id, {_COMPLETION} AS to_id, '' AS note, 0 AS rank
        FROM completions""",
    Link("sample", "completion", "was answered by"): f"""
        SELECT sample_id AS from_id, {_COMPLETION} AS to_id, '' AS note, 0 AS rank
        FROM completions""",
    Link("completion", "score", "was scored"): f"""
        SELECT {_COMPLETION} AS from_id, {_SCORE} AS to_id, '' AS note, 0 AS rank
        FROM scores""",
    Link("score", "run", "decided"): f"""
        WITH {_DECIDED}
        SELECT DISTINCT concat_ws(':', s.release_digest, s.sample_id, s.seed, s.scorer) AS from_id,
            r.run_id AS to_id, '' AS note, e.position AS rank
        FROM decided d JOIN runs r USING (run_id) JOIN eval_set_samples e USING (eval_set_digest)
        JOIN samples m ON m.sample_id = e.sample_id AND m.suite = d.suite
        JOIN scores s ON s.sample_id = e.sample_id
            AND s.seed >= {_FIRST_SEED} AND s.seed < {_FIRST_SEED} + {_REPEATS}
            AND list_contains(list_prepend(r.champion_digest, {_CHALLENGERS}), s.release_digest)
            AND CASE WHEN contains(d.scorer, '@') THEN s.scorer
                ELSE split_part(s.scorer, '@', 1) END = d.scorer
        WHERE {_ASKED_BY} NOT IN (SELECT run_id FROM run_samples)
            OR EXISTS (SELECT 1 FROM run_samples a
                WHERE a.run_id = {_ASKED_BY} AND a.sample_id = e.sample_id)""",
}


class LineageReader:
    """What `tasks.lineage.walk` asks of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def links(self) -> Sequence[Link]:
        return tuple(_PAIRS)

    def neighbours(
        self, link: Link, direction: Direction, ids: Sequence[str], limit: int | None
    ) -> Iterator[Neighbour]:
        """At most `limit` for each id; those of one id stand together, in the order of lines, of
        places in a set, of runs and sets the newest first."""
        near, far = ("from_id", "to_id") if direction == "down" else ("to_id", "from_id")
        wanted = (
            f"list_contains($1::VARCHAR[], {near})"
            if len(ids) <= _MAX_COMPARED
            else f"{near} IN (SELECT unnest($1::VARCHAR[]))"
        )
        order = f"rank, {far}"
        for row in self._store.rows(
            f"SELECT {near}, {far}, note, count(*) OVER (PARTITION BY {near}) "
            f"FROM ({_PAIRS[link]}) AS pairs WHERE {wanted} AND {far} IS NOT NULL "
            f"QUALIFY $2::BIGINT IS NULL OR "
            f"row_number() OVER (PARTITION BY {near} ORDER BY {order}) <= $2 "
            f"ORDER BY {near}, {order}",
            [list(ids), limit],
        ):
            yield Neighbour(*row)

    def describe(self, kind: Kind, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        return describe(self._store, kind, ids)


@contextmanager
def lineage_reader(store: Store, pinned: Mapping[str, str]) -> Iterator[LineageReader]:
    """`pinned`: sample → the call it was pinned from, which only the file of pins tells."""
    import pyarrow as pa

    columns = {
        "sample_id": pa.array(list(pinned.keys()), pa.string()),
        "request_id": pa.array(list(pinned.values()), pa.string()),
    }
    with store.lent("pinned_calls", pa.table(columns)):
        yield LineageReader(store)
