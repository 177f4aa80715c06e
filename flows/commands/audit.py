"""`flywheel audit`: who moved the champion, and whether what is written of it still is."""

from __future__ import annotations

from flows.terminal import Table, console, print_json, print_table
from tasks.model.audit import AuditRow, first_fault
from tasks.model.visible import one_line
from tasks.releases.promotion import misplaced
from tasks.report.wording import label
from tasks.settings import Settings, read_settings
from tasks.store.control.aliases import Aliases, read_aliases
from tasks.store.control.audit import read_audit
from tasks.store.opening import open_store, store_exists

_COLUMNS = ("row", "at", "by", "action", "of", "details", "hash")


def verify_audit(head: str, *, config: str | None, as_json: bool) -> int:
    """`head`: a hash that was noted before and has to be that of a row."""
    rows, aliases = _read(read_settings(config))
    fault = first_fault(rows)
    wrong = [] if fault is None else [f"row {fault.seq}: {fault.why}"]
    if fault is None and (told := misplaced(aliases, rows)):
        wrong.append(told)
    if head and head not in {row.hash for row in rows}:
        wrong.append("no row has the hash that was noted: rows were taken off or written anew")
    newest = rows[-1].hash if rows else ""
    if as_json:
        print_json(
            {
                "holds": not wrong,
                "num_rows": len(rows),
                "head": newest,
                "first_fault": None if fault is None else {"row": fault.seq, "why": fault.why},
                "wrong": wrong,
            }
        )
        return int(bool(wrong))
    for sentence in wrong:
        print(one_line(f"does not hold: {sentence}"))
    if not wrong:
        print(f"holds: {len(rows):,} rows" + (f", head {newest}" if newest else ""))
    return int(bool(wrong))


def list_audit(*, config: str | None, as_json: bool) -> int:
    rows, _ = _read(read_settings(config))
    if as_json:
        print_json({"rows": [row.to_json() for row in rows]})
        return 0
    if not rows:
        print("nothing was promoted yet · next: flywheel promote")
        return 0
    cells = [
        (f"{row.seq:,}", f"{row.at:%Y-%m-%d %H:%M:%S}", row.by, row.action, row.subject,
         one_line(_told(row)), row.hash[:12])
        for row in rows
    ]  # fmt: skip
    print_table(console(), Table(_COLUMNS, cells, texts=_COLUMNS[1:]))
    return 0


def _read(settings: Settings) -> tuple[list[AuditRow], Aliases]:
    if not store_exists(settings):
        return [], {}
    with open_store(settings, read_only=True) as store:
        return read_audit(store), read_aliases(store)


def _told(row: AuditRow) -> str:
    told = row.told
    override = told.get("override")
    parts = [
        f"run {told['run_id']}" if told.get("run_id") else "",
        label(str(told.get("verdict", ""))),
        f"override until {override['expires']}: {override['reason']}" if override else "",
        str(told.get("why", "")),
    ]
    return ", ".join(filter(None, parts))
