"""What of a file was not taken in before: by size and time, by content, by the window asked for."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import fingerprint
from tasks.logs.formats import AnyFormat
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.store import Store
from tasks.store.intake import sources as readings
from tasks.store.intake.sources import LastReading


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
        self._unknown_version = formats.unknown_version(run.settings.ingest.columns)

    def is_read(self, file: LogFile) -> bool:
        """Whether size and time, or the version that its server names, tell that nothing is new."""
        last = readings.last_reading(self._store, file.source)
        if last is None or self._must_retry(last):
            return False
        known = (last.size_bytes, last.mtime_ns, last.etag)
        return (
            file.tells_version
            and known == (file.size_bytes, file.mtime_ns, file.etag)
            and self._took_in(file.source, last.digest, self._window)
        )

    def of(self, file: LogFile) -> Unread | None:
        """None where a file on this machine holds nothing that was not taken in before."""
        source = file.source
        last = readings.last_reading(self._store, source)
        if last is None:
            return Unread(file)
        prints = fingerprint(file, last.size_bytes if last.size_bytes <= file.size_bytes else None)
        again = self._must_retry(last)
        same = readings.readings_of(self._store, source, prints.digest)
        if same and not self._must_retry(same[0]):
            if not readings.took_in(same, self._window):
                return Unread(file, prints.digest)
            with self._store.transaction():
                now = self._run.clock()
                readings.touch(self._store, source, prints.digest, file.mtime_ns, file.etag, now)
            return None
        grown = prints.prefix_digest == last.digest and last.size_bytes < file.size_bytes
        changed = not grown and prints.digest != last.digest
        if not grown or again or not self._took_in(source, last.digest, self._window):
            return Unread(file, prints.digest, changed=changed)
        return Unread(file, prints.digest, last, self._took_in(source, last.digest, OPEN))

    def _took_in(self, source: str, digest: str, window: Window) -> bool:
        return readings.took_in(readings.readings_of(self._store, source, digest), window)

    def _must_retry(self, last: LastReading) -> bool:
        """Nothing recognised the file and there are other parsers, or another format is forced."""
        if self._forced is not None:
            return last.format != self._forced.NAME
        return last.format == formats.UNKNOWN and last.parser_version != self._unknown_version
