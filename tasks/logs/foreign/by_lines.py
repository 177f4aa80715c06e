"""What a text is by its lines: logs of servers and programs, metrics, dumps.

Sources: the manuals of the servers named, RFC 3164 and RFC 5424, the W3C extended log file format,
the exposition format of Prometheus, the line protocol of InfluxDB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Kind:
    """`line`: what most lines begin with; where `is_first`, the first line alone."""

    what: str
    line: re.Pattern[str]
    is_first: bool = False


_DAY = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d"
_TIME = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?"
_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|FATAL|CRIT(?:ICAL)?|SEVERE)"


def _kind(what: str, line: str, *, is_first: bool = False, flags: int = 0) -> Kind:
    return Kind(what, re.compile(line, flags), is_first)


#: in the order they are asked
_KINDS = (
    _kind("an error with its traceback (Python)", r"Traceback \(most recent call last\):",
          is_first=True),
    _kind("an error with its stack (Java)", r"(?:Exception in thread|[\w.$]+(?:Exception|Error)\b)",
          is_first=True),
    _kind("a script", r"#!", is_first=True),
    _kind("a patch", r"(?:diff --git |--- a/|Index: |From [0-9a-f]{40} )", is_first=True),
    _kind("what git log prints", r"commit [0-9a-f]{40}", is_first=True),
    _kind("mail", r"(?:From \S+@\S+|Return-Path:|Received:|Delivered-To:)", is_first=True),
    _kind("subtitles", r"WEBVTT", is_first=True),
    _kind("a playlist", r"#EXTM3U", is_first=True),
    _kind("a dump of a database (SQL)",
          r"(?:-- (?:MySQL|MariaDB|PostgreSQL|SQLite|phpMyAdmin|Dump|Host)|CREATE TABLE|"
          r"INSERT INTO|BEGIN TRANSACTION|PRAGMA |SET (?:NAMES|statement_timeout)|DROP TABLE|--$)",
          is_first=True),
    _kind("a log in the format of the W3C (CloudFront, IIS)", r"#(?:Version|Software|Fields|Date):",
          is_first=True),
    _kind("a journal of systemd (export)", r"__CURSOR=", is_first=True),
    _kind("an access log of a load balancer (AWS ALB)",
          r"(?:https?|h2|wss?|grpcs) \d{4}-\d\d-\d\dT\S+ (?:app|net)/"),
    _kind("an access log of a load balancer (AWS ELB)",
          r"\d{4}-\d\d-\d\dT\S+ \S+ \d+\.\d+\.\d+\.\d+:\d+ (?:\d+\.\d+\.\d+\.\d+:\d+|-) [\d.-]+ "),
    _kind("an access log of AWS S3", r"[0-9a-f]{64} \S+ \[\d\d/\w{3}/\d{4}:"),
    _kind("an access log of a web server",
          r"(?:\S+ )?\S+ \S+ \S+ \[\d{1,2}/\w{3}/\d{4}[: ][^\]]*\] \""),
    _kind("an access log of a web server (Envoy)", r"\[\d{4}-\d\d-\d\dT[^\]]*\] \"[A-Z]+ \S+ HTTP"),
    _kind("an error log of a web server (nginx)",
          r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+:"),
    _kind("an error log of a web server (Apache)",
          r"\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4}\] \["),
    _kind("an access log of a proxy (Squid)", r"\d{10}\.\d{3} +\d+ \S+ [A-Z_]+/\d{3} "),
    _kind("syslog (RFC 5424)", r"<\d{1,3}>1 (?:\d{4}-|- )"),
    _kind("syslog (RFC 3164)", rf"(?:<\d{{1,3}}>)?{_DAY} \d\d:\d\d:\d\d \S+ \S"),
    _kind("syslog", rf"<\d{{1,3}}>|{_TIME} \S+ [\w./-]+\[\d+\]: "),
    _kind("an audit log of Linux (auditd)", r"(?:node=\S+ )?type=[A-Z_0-9]+ msg=audit\("),
    _kind("a log of PostgreSQL",
          rf"{_TIME}(?: \w{{3,5}})? \[?\d+[\]-].*?(?:LOG|ERROR|FATAL|STATEMENT|DETAIL|HINT|WARNING|"
          r"PANIC|CONTEXT|NOTICE):  "),
    _kind("a log of MySQL",
          rf"(?:{_TIME}\s+\d+ \[(?:Note|Warning|ERROR|System)\]|# Time: |# User@Host|"
          r"# Query_time: |\S+, Version: .* started with:)"),
    _kind("a log of Redis", r"\d+:[XCSM] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] "),
    _kind("flow logs of a network (AWS VPC)", r"(?:version account-id|\d \d{12} (?:eni|-)\S* )"),
    _kind("metrics of Prometheus",
          r"(?:# (?:HELP|TYPE|UNIT|EOF)\b|"
          r"[a-zA-Z_:][\w:]*(?:\{[^}]*\})? [+-]?(?:\d[\d.eE+-]*|Inf|NaN)(?: \d+)?$)"),
    _kind("metrics of InfluxDB", r"[\w./-]+(?:,[\w.-]+=[^,\s]+)* [\w.]+=[^ ]+(?: \d{10,19})?$"),
    _kind("metrics of Graphite or StatsD",
          r"(?:[\w-]+\.)+[\w-]+(?: [\d.eE+-]+ \d{10}$|:[\d.+-]+\|(?:c|g|ms|s|h)\b)"),
    _kind("metrics of a training (MLflow)", r"\d{13} [+-]?(?:\d[\d.eE+-]*|inf|nan) \d+(?: \S+)?$",
          flags=re.IGNORECASE),
    _kind("checksums", r"[0-9a-f]{32,128} [ *]\S"),
    _kind("checksums of Go modules", r"\S+ v\S+ h1:\S+=$"),
    _kind("references (BibTeX)", r"@\w+\{", is_first=True),
    _kind("sequences (FASTA)", r">\w+\S*.*$", is_first=True),
    _kind("a configuration file", r"\[[\w .:\"-]+\]\s*$", is_first=True),
    _kind("a Markdown document", r"#{1,3} \w", is_first=True),
    _kind("a log of a program",
          rf"(?:\[?{_TIME}\]?[ ,|-]+.{{0,60}}?\[?\b{_LEVEL}\b|\[?{_LEVEL}\]?\s*[:|\[\d-])",
          flags=re.IGNORECASE),
    _kind("a configuration file",
          r"(?:export )?[A-Za-z_][\w.-]*\s*=\s*\S|[#;]|\[[\w .:\"-]+\]\s*$"),
)  # fmt: skip


def told(lines: Sequence[str]) -> str | None:
    """Of the first lines of a text that are not empty."""
    some = [line[:_MAX_CHARS] for line in lines if line.strip()]
    if not some:
        return None
    for kind in _KINDS:
        if kind.is_first:
            if kind.line.match(some[0]):
                return kind.what
        elif 2 * sum(kind.line.match(line) is not None for line in some) > len(some):
            return kind.what
    return None
