"""The traces of a run in MLflow, page by page, and which row each is of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.tracking.links import row_id_in
from tasks.tracking.session import Session

_PAGE = 100


def traces_of(session: Session, run_id: str) -> Iterator[tuple[str | None, Any]]:
    """(row id, MLflow's facts of the trace); None: it does not say of which row."""
    token = None
    while True:
        page = session.client.search_traces(
            locations=[session.experiment_id],
            run_id=run_id,
            include_spans=False,
            max_results=_PAGE,
            page_token=token,
        )
        for trace in page:
            yield row_id_in(trace.info.request_preview or ""), trace.info
        token = page.token
        if not token:
            return
