"""A turn as OpenLineage has it (spec 2-0-2): a START, then COMPLETE, FAIL or ABORT with what went
in and what came out. Pure.

https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from tasks.model.receipt import Receipt
from tasks.model.turn import LogFile
from tasks.model.urls import is_url

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]
_SPEC = "https://openlineage.io/spec"
_EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "dataQualityMetrics": "1-0-3/DataQualityMetricsInputDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
}
#: run ids are no UUIDs: each has one by its name in this space
_RUN_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:llm-flywheel:run")


@dataclass(frozen=True, slots=True)
class Told:
    """What a turn came to, as far as it came. `verdicts`: release of each challenger → verdict."""

    log_files: Sequence[LogFile] = ()
    receipts: Sequence[Receipt] = ()
    eval_set_digest: str | None = None
    verdicts: Mapping[str, str] | None = None
    error: str | None = None


def run_event(
    kind: EventType,
    run_id: str,
    at: datetime,
    told: Told,
    *,
    job: str,
    store: str,
    version: str,
) -> dict[str, Any]:
    """`at`: UTC without a zone. `store`: the path of the store, in which what comes out lies."""
    made_by = _Maker(f"urn:llm-flywheel:{version}")
    of_run = {"flywheel_run": made_by.own("RunFacet", run_id=run_id)}
    if told.error is not None:
        of_run["errorMessage"] = made_by.facet(
            "errorMessage", message=told.error, programmingLanguage="PYTHON"
        )
    return {
        "eventType": kind,
        "eventTime": f"{at.isoformat()}Z",
        "run": {"runId": str(uuid.uuid5(_RUN_IDS, run_id)), "facets": of_run},
        "job": {"namespace": "flywheel", "name": f"{job}.turn", "facets": {}},
        "inputs": _inputs(told, made_by, store),
        "outputs": _outputs(told, made_by, store, run_id),
        "producer": made_by.producer,
        "schemaURL": _EVENT_SCHEMA,
    }


@dataclass(frozen=True, slots=True)
class _Maker:
    producer: str

    def facet(self, name: str, **values: Any) -> dict[str, Any]:
        kind = _FACETS[name].partition("/")[2]
        url = f"{_SPEC}/facets/{_FACETS[name]}.json#/$defs/{kind}"
        return {"_producer": self.producer, "_schemaURL": url, **values}

    def own(self, kind: Literal["RunFacet", "DatasetFacet"], **values: Any) -> dict[str, Any]:
        """A facet that only we know: its schema is what every facet of the kind has."""
        url = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/{kind}"
        return {"_producer": self.producer, "_schemaURL": url, **values}


def _inputs(told: Told, made_by: _Maker, store: str) -> list[dict[str, Any]]:
    """The log files by content, and the calls that were judged."""
    files = [
        {
            **_place(file.path),
            "facets": {"version": made_by.facet("version", datasetVersion=file.digest)},
            "inputFacets": {"dataQualityMetrics": _count(made_by, file.rows_out)},
        }
        for file in told.log_files
    ]
    calls = [
        {
            **_table(store, "landing"),
            "facets": {},
            "inputFacets": {
                "dataQualityMetrics": _count(made_by, receipt.rows_in),
                "dataQualityAssertions": made_by.facet(
                    "dataQualityAssertions",
                    assertions=_broken(receipt.notes.get("by_reason") or {}),
                ),
            },
        }
        for receipt in told.receipts
        if receipt.stage == "validate"
    ]
    return files + calls


def _count(made_by: _Maker, num_rows: int) -> dict[str, Any]:
    return made_by.facet("dataQualityMetrics", rowCount=num_rows, columnMetrics={})


def _broken(by_reason: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"assertion": rule, "success": False, "severity": "error", "actual": f"{rows} rows"}
        for rule, rows in sorted(by_reason.items())
    ]


def _outputs(told: Told, made_by: _Maker, store: str, run_id: str) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    if told.eval_set_digest is not None:
        counted = {}
        for receipt in told.receipts:
            if receipt.stage == "curate":
                made = made_by.facet("outputStatistics", rowCount=receipt.rows_out)
                counted = {"outputStatistics": made}
        version = made_by.facet("version", datasetVersion=told.eval_set_digest)
        of_set = {"facets": {"version": version}, "outputFacets": counted}
        outputs.append({**_table(store, "eval_sets"), **of_set})
    if told.verdicts:
        outputs.append(
            {
                **_table(store, "verdicts"),
                "facets": {
                    "version": made_by.facet("version", datasetVersion=run_id),
                    "flywheel_verdict": made_by.own("DatasetFacet", verdicts=dict(told.verdicts)),
                },
                "outputFacets": {},
            }
        )
    return outputs


def _table(store: str, name: str) -> dict[str, str]:
    return {"namespace": f"duckdb://{store}", "name": name}


def _place(path: str) -> dict[str, str]:
    """As the naming of OpenLineage has files: those of this machine, and those in a bucket."""
    if not is_url(path):
        return {"namespace": "file", "name": path}
    parts = urlsplit(path)
    return {"namespace": f"{parts.scheme}://{parts.netloc}", "name": parts.path.lstrip("/")}
