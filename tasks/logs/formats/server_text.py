"""What text logs of servers written in Python have in common: uvicorn's access lines, and times.

An access line names no request. In the order of their lines it ends, of the requests of its
address that wait for one, the oldest: that is right wherever answers are not overtaken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import UnreadableError

_ACCESS = re.compile(r'"POST (\S{1,2000}) HTTP/[\d.]+" (\d{3})')
_GENERATING = ("/completions", "/responses", "/messages", "/generate", "/embeddings", "/chat")
#: a full time before the line, as docker, Kubernetes and journald may write
_FULL = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)(?=[\s\]|,])"
)
_YEARLESS = re.compile(r"\b(\d\d)-(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)\b")
#: the same as a line begins that vLLM writes, and not as a prompt in it may have it
_BEGINS = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d")
#: the zone of a server's clock is not told
_ZONES = timedelta(days=1)
#: lines of several threads, and an hour that a clock was put back
_DISORDER = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Access:
    path: str
    status: int

    @property
    def failed(self) -> bool:
        return self.status >= 400

    @property
    def operation(self) -> str:
        if self.path.endswith("/embeddings"):
            return "embeddings"
        chat = self.path.endswith(("/chat/completions", "/responses", "/messages", "/chat"))
        return "chat" if chat else "text_completion"


def access_of(line: str) -> Access | None:
    """Of a request to an address that generates."""
    found = _ACCESS.search(line)
    path = found[1].split("?")[0] if found else ""
    return Access(path, int(found[2])) if found and path.endswith(_GENERATING) else None


def full_time(line: str) -> datetime | None:
    """The first time with a year among the first characters of the line, in UTC."""
    found = _FULL.search(line[:200])
    try:
        return coerce.moment("time", found[1].replace(",", ".")) if found else None
    except UnreadableError:
        return None


def last_told(tail: str, written_at: datetime) -> datetime:
    """The time of the last line of a log that was last written then; where it tells none, the
    latest that it could be."""
    latest = written_at + _ZONES
    begins = (_BEGINS.search(line[:200]) for line in reversed(tail.splitlines()))
    told = (yearless_time(found[0], latest) for found in begins if found is not None)
    return next((moment for moment in told if moment is not None), latest)


def yearless_time(said: str, latest: datetime | None) -> datetime | None:
    """Of "04-10 03:35:45" the last such moment that is not after the latest line of the log; None
    where that is not known. In a log that spans a New Year the last line tells which is which."""
    found = _YEARLESS.search(said)
    if found is None or latest is None:
        return None
    for year in range(latest.year + 1, latest.year - 9, -1):  # a leap day has few years
        try:
            moment = coerce.moment("time", f"{year:04d}-{found[1]}-{found[2]}T{found[3]}")
        except UnreadableError:
            continue
        if moment is not None and moment <= latest + _DISORDER:
            return moment
    return None
