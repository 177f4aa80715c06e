"""The history of calls in groups, and which of them are read of one that is too long for that.

Whole sessions are taken or left, by a number that their id alone decides (md5, which no version of
DuckDB changes): in no order, night after night the same, and of two chances the smaller one takes
some of what the larger one takes. A session id with more calls than a conversation has names an
application: its calls are taken one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from tasks.model.logged_call import MAX_CONVERSATION_CALLS
from tasks.model.reading import EVERYTHING, Part
from tasks.store.db.connection import Store, afterwards

#: whether a call is of a Part: of its until, since and task
ASKED_FOR = (
    "($1 IS NULL OR started_at IS NULL OR started_at < $1) AND ($2 IS NULL OR started_at > $2) "
    "AND ($3 IS NULL OR prompt_name = $3)"
)
#: feedback that says something of a call (tasks/model/logged_call.py, opinion_of), and what of it
#: is the right answer in somebody's words
SAYS_SOMETHING = "(corrected IS NOT NULL OR kind IN ('thumbs', 'incident'))"
_IS_WRITTEN = "trim(corrected) <> ''"
_LARGEST = 2**64 - 1

#: (place in KINDS, place of the task)
Key = tuple[int, int]

_DIVIDED = f"""
CREATE TEMP TABLE divided_calls AS
WITH said AS (
    SELECT request_id, min(CASE WHEN {_IS_WRITTEN} THEN 0 ELSE 1 END) AS kind
    FROM feedback WHERE {SAYS_SOMETHING} GROUP BY request_id
), named AS (
    SELECT unnest($4::VARCHAR[]) AS task, unnest(range(len($4::VARCHAR[]))) AS place
), calls AS MATERIALIZED (
    SELECT requests.rowid AS row_id,
        coalesce(said.kind, 2)::UTINYINT AS kind,
        coalesce(named.place, len($4::VARCHAR[]))::USMALLINT AS task,
        md5_number_lower($5 || 'session' || chr(10) || nullif(session_id, '')) AS session,
        md5_number_lower($5 || 'call' || chr(10) || request_id) AS call
    FROM requests LEFT JOIN said USING (request_id)
    LEFT JOIN named ON named.task = coalesce(prompt_name, '')
    WHERE {ASKED_FOR}
), sessions AS (
    SELECT session, min(kind) AS kind, min(task) AS task FROM calls
    WHERE session IS NOT NULL GROUP BY session HAVING count(*) <= {MAX_CONVERSATION_CALLS}
)
SELECT row_id,
    coalesce(sessions.kind, calls.kind) AS kind,
    coalesce(sessions.task, calls.task) AS task,
    coalesce(sessions.session, call) AS lot,
    sessions.session IS NULL AND calls.session IS NOT NULL AS is_apart
FROM calls LEFT JOIN sessions USING (session)
"""


def bound(part: Part) -> list[object]:
    """The parameters of ASKED_FOR."""
    return [part.until, part.since, part.task]


def count_calls(store: Store, part: Part = EVERYTHING) -> int:
    return int(store.scalar(f"SELECT count(*) FROM requests WHERE {ASKED_FOR}", bound(part)))


def newest_call(store: Store) -> datetime | None:
    newest: datetime | None = store.scalar("SELECT max(started_at) FROM requests")
    return newest


def count_tasks(store: Store, part: Part) -> dict[str, int]:
    """Calls by task; those without one have the empty name."""
    sql = f"SELECT coalesce(prompt_name, ''), count(*) FROM requests WHERE {ASKED_FOR} GROUP BY 1"
    return dict(store.rows(sql, bound(part)))


@contextmanager
def divided(store: Store, tasks: Sequence[str], salt: str, part: Part) -> Iterator[dict[Key, int]]:
    """Group → its calls. A session belongs to the first kind and task of any of its calls; tasks
    that are not named come last, together. The groups stand until the block ends."""
    store.execute(_DIVIDED, [*bound(part), list(tasks), f"{salt}\n"])
    with afterwards(lambda: store.execute("DROP TABLE divided_calls")):
        counts = store.rows(
            "SELECT kind, task, count(*) FROM divided_calls GROUP BY ALL ORDER BY ALL"
        )
        yield {(kind, task): number for kind, task, number in counts}


@contextmanager
def drawing(store: Store) -> Iterator[None]:
    """`drawn_calls` (row_id, kind, task, stands_for, is_apart), empty, until the block ends."""
    columns = "row_id BIGINT, kind UTINYINT, task USMALLINT, stands_for DOUBLE, is_apart BOOLEAN"
    store.execute(f"CREATE TEMP TABLE drawn_calls ({columns})")
    with afterwards(lambda: store.execute("DROP TABLE drawn_calls")):
        yield


def draw(store: Store, chances: Mapping[Key, float]) -> dict[Key, tuple[int, float]]:
    """Put calls of the groups that `divided` made into `drawn_calls`, with these chances. Group →
    calls that were drawn, and the chance as it was, to the last of 64 bits."""
    last = {
        key: max(0, min(_LARGEST, round(chance * 2**64) - 1)) for key, chance in chances.items()
    }
    exact = {key: (lot + 1) / 2**64 for key, lot in last.items()}
    keys = list(chances)
    store.execute(
        "INSERT INTO drawn_calls WITH groups AS ("
        "  SELECT unnest($1::UTINYINT[]) AS kind, unnest($2::USMALLINT[]) AS task, "
        "  unnest($3::UBIGINT[]) AS last, unnest($4::DOUBLE[]) AS stands_for) "
        "SELECT row_id, kind, task, stands_for, is_apart "
        "FROM divided_calls JOIN groups USING (kind, task) WHERE lot <= last",
        [
            [kind for kind, _ in keys],
            [task for _, task in keys],
            [last[key] for key in keys],
            [1 / exact[key] for key in keys],
        ],
    )
    counts = {
        (kind, task): number
        for kind, task, number in store.rows(
            "SELECT kind, task, count(*) FROM drawn_calls GROUP BY ALL"
        )
    }
    return {key: (counts.get(key, 0), exact[key]) for key in keys}


def sessions_apart(store: Store) -> frozenset[str]:
    """The sessions of which single calls were drawn."""
    rows = store.rows(
        "SELECT DISTINCT session_id FROM requests JOIN drawn_calls ON requests.rowid = row_id "
        "WHERE is_apart"
    )
    return frozenset(session for (session,) in rows)
