"""200 files of others, together and one by one: no call of any, and each is named with a reason."""

from __future__ import annotations

from pathlib import Path

from tasks.ingest.task import ingest
from tasks.logs.files.log_file import look_at
from tasks.logs.reading.batches import cap_of
from tasks.logs.reading.reader import LogReader
from tasks.logs.shapes.rows import Provenance
from tests.tasks.logs.builders import call, clock, make_run, query, write_lines
from tests.tasks.logs.foreign import KINDS, write_files

#: they are OpenTelemetry, which is read, and hold no span of a model
_READ = "OpenTelemetry metrics"


def test_200_files_of_others_are_no_calls_and_each_says_what_it_is(tmp_path: Path):
    written = write_files(tmp_path / "logs")
    assert (len(written), len(KINDS) >= 40) == (200, True)
    own = write_lines(tmp_path / "logs" / "calls.jsonl", call(1))
    run = make_run(tmp_path, tmp_path / "logs")
    notes = ingest(run).notes
    assert query(run, "SELECT request_id, sources[1] FROM landing") == [("r1", f"{own}:1")]
    assert query(run, "SELECT count(*) FROM feedback") == [(0,)]
    read = {path for path, kind in written.items() if kind.told == _READ}
    assert set(notes["without_calls"]["files"]) == read
    assert notes["unrecognised"]["num"] == 200 - len(read)
    reasons = dict(query(run, "SELECT source, error FROM dead_letters WHERE line_number IS NULL"))
    untold = {
        path: reasons.get(path)
        for path, kind in written.items()
        if path not in read and kind.told not in (reasons.get(path) or "")
    }
    assert untold == {}


def test_each_of_them_alone_is_a_letter_that_says_what_it_is(tmp_path: Path):
    limits, now = make_run(tmp_path).settings.ingest, clock()
    with LogReader(limits) as reader:
        for path, kind in write_files(tmp_path / "logs").items():
            with reader.open(look_at(Path(path)), None) as log:
                name = log.found.format or "unknown"
                made_by = Provenance(path, name, log.found.parser_version, "run-1", now)
                batches = list(log.rows(made_by, cap_of(limits)))
            assert sum(batch.calls.num_rows + len(batch.signals) for batch in batches) == 0
            said = [letter["error"] for batch in batches for letter in batch.notes]
            if kind.told == _READ:
                assert (said, sum(batch.counts.other_spans for batch in batches)) == ([], 1)
            else:
                assert [kind.told in error for error in said] == [True], (path, said)
