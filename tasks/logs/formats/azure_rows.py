"""Rows of Azure's logs out of their envelopes, under one name a column.

Names are told in three ways: ModelName (tables of Log Analytics), modelName in `properties`
(storage, event hubs) and modelName_s (AzureDiagnostics). All become small letters without ending.
"""

from __future__ import annotations

import re
from datetime import datetime

from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Json

#: categories of logs
LLM, GATEWAY, REQUEST = "GatewayLlmLogs", "GatewayLogs", "RequestResponse"
_TABLES = {"ApiManagementGatewayLlmLog": LLM, "ApiManagementGatewayLogs": GATEWAY}
_SERVICES = {LLM: "apimanagement", GATEWAY: "apimanagement", REQUEST: "cognitiveservices"}
#: columns of GatewayLlmLogs where no column tells the category
_LLM_COLUMNS = ("correlationid", "sequencenumber")
_LLM_ANY = ("prompttokens", "requestmessages", "responsemessages", "modelname")
_GATEWAY_COLUMNS = ("correlationid", "backendresponsecode", "isrequestsuccess", "apiid")
_SUFFIX = re.compile(r"(?<=[a-zA-Z])_(?:s|d|b|g|t)$|\s*\[UTC\]$")
#: as the portal writes times into CSV
_PORTAL_TIME = "%m/%d/%Y, %I:%M:%S.%f %p"
_TICKS_A_SECOND = 10_000_000
#: seconds from the year 1, where .NET begins to count, to 1970
_YEAR_1 = 62_135_596_800


def rows_of(value: dict[str, Json]) -> list[dict[str, Json]]:
    """One, or those of an envelope or of a query; columns of the row win over its properties."""
    inside = value.get("records")
    if isinstance(value.get("tables"), list):
        inside = [row for table in value["tables"] for row in _of_table(table)]
    items = inside if isinstance(inside, list) else [value]
    return [_flat(item) for item in items if isinstance(item, dict)]


def _of_table(table: Json) -> list[Json]:
    """{"columns": [{"name"}], "rows": [[…]]}, as the API of Log Analytics answers."""
    names = [
        coerce.first(column, "name") for column in coerce.sequence(coerce.first(table, "columns"))
    ]
    rows = coerce.sequence(coerce.first(table, "rows"))
    return [dict(zip(map(str, names), row, strict=False)) for row in rows if isinstance(row, list)]


def _flat(item: dict[str, Json]) -> dict[str, Json]:
    row: dict[str, Json] = {}
    for key, each in item.items():
        name = _name(str(key))
        if name == "properties":
            inner = coerce.mapping(nested(each))
            row = {**{_name(str(k)): v for k, v in inner.items()}, **row}
        elif each not in (None, ""):
            row[name] = each
    return row


def _name(key: str) -> str:
    return _SUFFIX.sub("", key).lower()


def category_of(row: dict[str, Json]) -> str | None:
    """Which log a row is of; None: of another one."""
    if not isinstance(row.get("correlationid"), str | None):
        return None
    category = row.get("category")
    if isinstance(category, str) and category in _SERVICES:
        resource = str(row.get("resourceid", row.get("resourceprovider", ""))).lower()
        ours = not resource or _SERVICES[category] in resource
        return category if ours and ("correlationid" in row or "durationms" in row) else None
    table = row.get("type")
    if isinstance(table, str) and table in _TABLES:
        return _TABLES[table]
    if all(key in row for key in _LLM_COLUMNS) and any(key in row for key in _LLM_ANY):
        return LLM
    return GATEWAY if all(key in row for key in _GATEWAY_COLUMNS) else None


def moment(value: Json) -> datetime | None:
    """ISO 8601, or as the portal exports it."""
    if isinstance(value, str) and value.endswith((" AM", " PM")):
        try:
            return datetime.strptime(value, _PORTAL_TIME)  # noqa: DTZ007 - it is UTC
        except ValueError:
            pass
    return coerce.moment("TimeGenerated", value)


def of_ticks(value: Json) -> datetime | None:
    """From .NET's ticks of 100 ns since the year 1."""
    ticks = coerce.integer("requestTime", value)
    if ticks is None:
        return None
    return coerce.from_nanoseconds("requestTime", (ticks - _YEAR_1 * _TICKS_A_SECOND) * 100)
