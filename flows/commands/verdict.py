"""`flywheel verdict`: the verdict of a run for scripts and CI servers, and the schema of its JSON.

The schema is made from the values themselves; regenerate it with
`python -m flows.commands.verdict > tasks/model/schemas/verdict-1.json`.
"""

from __future__ import annotations

import json

from flows.commands.turn import judged_samples
from flows.outlets import Outlets
from flows.run_named import no_such_run
from flows.schema import verdict_schema
from flows.summary import print_verdict
from flows.terminal import print_json
from flows.turn import outcome
from tasks.errors import UsageError
from tasks.settings import read_settings
from tasks.store.control import ledger
from tasks.store.opening import open_store


def show_verdict(
    run_id: str,
    outlets: Outlets,
    *,
    verbose: bool,
    schema: bool,
    config: str | None,
    as_json: bool,
) -> int:
    """The exit code is that of the verdict. Raises UsageError where the run has none."""
    if schema:
        print(schema_text(), end="")
        return 0
    outlets.check()
    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        found = ledger.find_run(store, run_id)
        if found is None:
            raise no_such_run(run_id)
        result = outcome(store, found)
    if result.decided is None:
        raise UsageError(
            "the run has no verdict", received=found, next="flywheel gate, or name another run"
        )
    if as_json:
        print_json(result.to_dict())
    else:
        with outlets.shielded():
            print_verdict(result, verbose=verbose)
    judged = judged_samples(settings, result.run_id) if outlets.junit else ()
    outlets.write(result, judged, as_json=as_json)
    return int(not result.may_ship)


def schema_text() -> str:
    return json.dumps(verdict_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
