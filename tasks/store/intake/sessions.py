"""Queries on the new calls of a run: conversations, and what agents did with their tools."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tasks.store.db.connection import Store

#: what a call was told by tools stands behind the last answer among its messages: what stands
#: before was told to an earlier call. The text is cut there, so that no long history is parsed
_ANSWER = '"role":"assistant"'
_COUNTS = f"""
WITH calls AS (
    SELECT session_id, tool_calls, messages::VARCHAR AS messages FROM landing WHERE run_id = $1
), sizes AS (
    SELECT count(*) AS num_calls FROM calls WHERE session_id IS NOT NULL GROUP BY session_id
), cut AS (
    SELECT string_split(messages, '{_ANSWER}') AS pieces FROM calls
    WHERE contains(messages, '"role":"tool"')
), tails AS (
    SELECT try_cast(CASE WHEN len(pieces) = 1 THEN pieces[1]
        ELSE '[{{{_ANSWER}' || pieces[-1] END AS JSON) AS tail FROM cut
    WHERE contains(pieces[-1], '"role":"tool"')
), results AS (
    SELECT message, message->>'content' AS said
    FROM (SELECT unnest(CAST(tail AS JSON[])) AS message FROM tails WHERE json_type(tail) = 'ARRAY')
    WHERE message->>'role' = 'tool'
), told AS (
    SELECT message->>'is_error' = 'true'
        OR regexp_matches(said, '^\\s*(<tool_use_error>|(?i:error|exception)\\b|Traceback \\()')
        OR CASE WHEN said LIKE '{{%' AND json_valid(said) THEN
            coalesce(said->>'isError', said->>'is_error') = 'true'
            OR lower(said->>'status') IN ('error', 'failed', 'failure')
            OR coalesce(said->>'error', '') NOT IN ('', 'false', '0')
        END AS is_error FROM results
)
SELECT (SELECT count(*) FROM sizes),
    (SELECT coalesce(median(num_calls), 0)::DOUBLE FROM sizes),
    (SELECT coalesce(max(num_calls), 0) FROM sizes),
    (SELECT coalesce(sum(json_array_length(tool_calls)), 0)::BIGINT FROM calls),
    (SELECT count(*) FROM told),
    (SELECT count(*) FROM told WHERE is_error)
"""


@dataclass(frozen=True, slots=True)
class Sessions:
    """`num_tool_results`: what tools answered, as the call after each says; `num_tool_errors`:
    those that say of themselves that they failed."""

    num_sessions: int
    median_calls: float
    max_calls: int
    num_tool_calls: int
    num_tool_results: int
    num_tool_errors: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def sessions_of(store: Store, run_id: str) -> Sessions | None:
    """Of the calls that this run took in; None where they tell of no session and no tool."""
    row = store.one(_COUNTS, [run_id])
    assert row is not None
    return Sessions(*row) if any(row) else None
