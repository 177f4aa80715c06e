"""What of a file was not taken in before: by size and time, by content, by the window asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import fingerprint
from tasks.logs.formats import AnyFormat
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.store import Store
from tasks.store.intake import sources as readings
from tasks.store.intake.sources import LastReading, MetAgain

#: files at a time; asking takes a pass over all readings
_LOOKED_UP = 2_000


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that has something new, and the reading to go on from.

    `digest` of its content, where it had to be known before reading. `is_whole`: the reading to go
    on from took in every call. `changed`: other than by growing.
    """

    file: LogFile
    digest: str | None = None
    appended_to: LastReading | None = None
    is_whole: bool = True
    changed: bool = False


class Unreads:
    """Asks for one run, whose window and forced format are the same for every file."""

    def __init__(self, run: Run, store: Store, forced: AnyFormat | None, window: Window) -> None:
        self._run = run
        self._store = store
        self._forced = forced
        self._window = window
        self._unknown_version = formats.unknown_version(run.settings.ingest.tables)
        self._known: dict[str, list[LastReading]] = {}
        self._met_again: list[MetAgain] = []

    def of_each(self, files: Sequence[LogFile]) -> Iterator[LogFile]:
        """The files; what is known of the next ones is looked up for many at a time."""
        for start in range(0, len(files), _LOOKED_UP):
            some = files[start : start + _LOOKED_UP]
            sources = [file.source for file in some]
            none: dict[str, list[LastReading]] = {source: [] for source in sources}
            self._known = none | readings.readings_by_path(self._store, sources)
            yield from some

    def new(self, files: Sequence[LogFile]) -> list[LogFile]:
        """Those of which nothing was ever taken in."""
        found: list[LogFile] = []
        for start in range(0, len(files), _LOOKED_UP):
            some = files[start : start + _LOOKED_UP]
            known = readings.readings_by_path(self._store, [file.source for file in some])
            found += [file for file in some if file.source not in known]
        return found

    def is_read(self, file: LogFile) -> bool:
        """Whether size and time, or the version that its server names, tell that nothing is new."""
        past = self._readings(file.source)
        if not past or self._must_retry(past[0]):
            return False
        known = (past[0].size_bytes, past[0].mtime_ns, past[0].etag)
        return (
            file.tells_version
            and known == (file.size_bytes, file.mtime_ns, file.etag)
            and _took_in(past, past[0].digest, self._window)
        )

    def of(self, file: LogFile) -> Unread | None:
        """None where a file on this machine holds nothing that was not taken in before."""
        past = self._readings(file.source)
        if not past:
            return Unread(file)
        last = past[0]
        prints = fingerprint(file, last.size_bytes if last.size_bytes <= file.size_bytes else None)
        again = self._must_retry(last)
        same = [reading for reading in past if reading.digest == prints.digest]
        if same and not self._must_retry(same[0]):
            if not readings.took_in(same, self._window):
                return Unread(file, prints.digest)
            now = self._run.clock()
            self._met_again.append(
                MetAgain(file.source, prints.digest, file.mtime_ns, file.etag, now)
            )
            if len(self._met_again) >= _LOOKED_UP:
                self.finish()
            return None
        grown = prints.prefix_digest == last.digest and last.size_bytes < file.size_bytes
        changed = not grown and prints.digest != last.digest
        if not grown or again or not _took_in(past, last.digest, self._window):
            return Unread(file, prints.digest, changed=changed)
        return Unread(file, prints.digest, last, _took_in(past, last.digest, OPEN))

    def finish(self) -> None:
        """Note what was met again under another time; a run killed before looks once more."""
        if self._met_again:
            with self._store.transaction():
                readings.touch(self._store, self._met_again)
            self._met_again = []

    def _readings(self, source: str) -> list[LastReading]:
        """Of this path, the newest first."""
        if source not in self._known:
            return readings.readings_by_path(self._store, [source]).get(source, [])
        return self._known[source]

    def _must_retry(self, last: LastReading) -> bool:
        """Nothing recognised the file and there are other parsers, or another format is forced."""
        if self._forced is not None:
            return last.format != self._forced.NAME
        return last.format == formats.UNKNOWN and last.parser_version != self._unknown_version


def _took_in(past: Sequence[LastReading], digest: str, window: Window) -> bool:
    return readings.took_in([each for each in past if each.digest == digest], window)
