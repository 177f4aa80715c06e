"""Calls of lines that were read before, and once more with their rest now that the file has grown:
the later reading counts.

An answer that was cut off where the file ended is whole, a call of a trace knows what is around it,
a request in the log of a server has ended. Without an id of its own such a call is another one by
its content, with one it is a second version; the place where it began tells that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.store.db.connection import Store
from tasks.store.intake.readings import Counts
from tasks.store.intake.reports import note_merged

#: how an id begins that was made from what a call holds
_BY_CONTENT = "content:"
_PATH = "left({0}, length({0}) - strpos(reverse({0}), ':'))"
_CALL = "request_id, content_digest, ingested_at, input_tokens, output_tokens"
#: before sources are looked at, which in quarantine stand in the JSON of the row
_MAY_BE = (
    f"(starts_with(request_id, '{_BY_CONTENT}') OR request_id IN (SELECT request_id FROM new))"
)
#: what was met again in this reading stands; of several the one of the same id, else the latest
_PAIRS = (
    "WITH new AS ("
    "  SELECT rowid AS row_id, request_id, content_digest, sources[1] AS place, "
    f"  {_PATH.format('sources[1]')} AS path FROM landing "
    "  WHERE rowid > $1 AND path IN (SELECT unnest($2::VARCHAR[]))), "
    "held AS ("
    f"  SELECT 'landing' AS home, rowid::VARCHAR AS key, sources, {_CALL} FROM landing "
    "   WHERE rowid <= $1 UNION ALL "
    f"  SELECT 'requests', request_id, sources, {_CALL} FROM requests WHERE {_MAY_BE} UNION ALL "
    "   SELECT 'quarantine', quarantine_id, CAST(\"row\"->'sources' AS VARCHAR[]), request_id, "
    "   \"row\"->>'content_digest', created_at, NULL, NULL FROM quarantine WHERE state = 'held' "
    f"  AND {_MAY_BE}), "
    f"old AS (SELECT *, {_PATH.format('place')} AS path FROM ("
    "   SELECT * EXCLUDE (sources), unnest(sources) AS place FROM held) "
    "   WHERE path IN (SELECT unnest($2::VARCHAR[]))) "
    "SELECT new.row_id, new.path, new.request_id, new.content_digest, old.home, old.key, "
    "old.request_id, old.content_digest, old.input_tokens, old.output_tokens "
    "FROM new JOIN old ON old.path = new.path AND old.content_digest <> new.content_digest AND ("
    "  old.place = new.place AND (old.request_id = new.request_id "
    f"   OR starts_with(old.request_id, '{_BY_CONTENT}')) "
    "  OR old.request_id = new.request_id AND new.path IN (SELECT unnest($3::VARCHAR[]))) "
    "WHERE NOT EXISTS (FROM met_again met WHERE met.request_id = old.request_id "
    "  AND met.content_digest = old.content_digest AND met.source = old.place) "
    "ORDER BY new.row_id, old.request_id = new.request_id DESC, old.ingested_at DESC"
)
_TAKE_BACK = {
    "landing": "DELETE FROM landing WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
    "requests": "DELETE FROM requests WHERE request_id IN (SELECT unnest(?))",
    "quarantine": "UPDATE quarantine SET state = 'replayed' "
    "WHERE quarantine_id IN (SELECT unnest(?))",
}


@dataclass(frozen=True, slots=True)
class _Pair:
    """A call and what was in its place: under `key` in the table `home`, with its tokens."""

    path: str
    new: dict[str, str]
    home: str
    key: str
    old: dict[str, str]
    input_tokens: int
    output_tokens: int


def replace_earlier(
    store: Store, boundary: int, grown: Mapping[str, Counts], by_id: Sequence[str], run_id: str
) -> None:
    """Of calls that came in beyond row `boundary` of landing, from files that have grown: what an
    earlier reading had in their place goes. Inside the transaction of the reading.

    `grown`: path → counts of its reading, which are set right. `by_id`: those of them in which a
    call stands where it ended, so that its id alone tells.
    """
    if not grown:
        return
    pairs = _chosen(store.rows(_PAIRS, [boundary, list(grown), list(by_id)]))
    for home, statement in _TAKE_BACK.items():
        keys = [pair.key for pair in pairs if pair.home == home]
        if keys:
            store.execute(statement, [keys])
    note_merged(store, [(pair.new, pair.old) for pair in pairs], run_id)
    for pair in pairs:
        if pair.home == "landing":  # of what went on to another table this is a row more
            grown[pair.path].took_back(pair.input_tokens, pair.output_tokens)


def _chosen(rows: Sequence[tuple[Any, ...]]) -> list[_Pair]:
    """Each call in one pair only, the first of it."""
    chosen: list[_Pair] = []
    taken: set[object] = set()
    for row_id, path, new_id, new_digest, home, key, old_id, old_digest, asked, said in rows:
        if row_id not in taken and (home, key) not in taken:
            taken.update((row_id, (home, key)))
            new = {"request_id": new_id, "content_digest": new_digest}
            old = {"request_id": old_id, "content_digest": old_digest}
            chosen.append(_Pair(path, new, home, key, old, asked or 0, said or 0))
    return chosen
