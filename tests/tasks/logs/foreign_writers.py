"""Writers of files that are no logs of model calls, each by a seed: what others write, in small."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa

_WORDS = (
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "karst",
    "lagoon",
    "maple",
    "north",
    "olive",
    "pearl",
)


class Draw(random.Random):
    """Seeded: the same file has the same content at every run."""

    def word(self) -> str:
        return self.choice(_WORDS)

    def words(self, number: int) -> str:
        return " ".join(self.word() for _ in range(number))

    def ip(self) -> str:
        return ".".join(str(self.randrange(1, 255)) for _ in range(4))

    def time(self, number: int = 0) -> str:
        return f"2026-11-{self.randrange(1, 29):02d}T10:{number % 60:02d}:{self.randrange(60):02d}Z"

    def status(self) -> int:
        return self.choice((200, 200, 201, 304, 404, 500))

    def path(self) -> str:
        return f"/{self.word()}/{self.word()}/{self.randrange(1000)}"

    def hex(self, number: int) -> str:
        return f"{self.getrandbits(4 * number):0{number}x}"


def lines(one: Callable[[Draw, int], Any], least: int = 3) -> Callable[[Draw], bytes]:
    """Lines of a text, or of JSON where `one` makes values."""

    def write(draw: Draw) -> bytes:
        made = [one(draw, n) for n in range(draw.randrange(least, least + 9))]
        texts = [item if isinstance(item, str) else json.dumps(item) for item in made]
        return ("\n".join(texts) + "\n").encode()

    return write


def document(one: Callable[[Draw], Any]) -> Callable[[Draw], bytes]:
    """Pretty at times, and on one line at times."""

    def write(draw: Draw) -> bytes:
        value = one(draw)
        return json.dumps(value, indent=draw.choice((None, 1, 2, 4))).encode()

    return write


def text(one: Callable[[Draw], str]) -> Callable[[Draw], bytes]:
    return lambda draw: one(draw).encode()


def csv(*columns: str, sign: str = ",") -> Callable[[Draw], bytes]:
    def write(draw: Draw) -> bytes:
        rows = [
            [str(draw.choice((draw.word(), draw.randrange(999)))) for _ in columns]
            for _ in range(draw.randrange(3, 12))
        ]
        return "".join(sign.join(row) + "\n" for row in [columns, *rows]).encode()

    return write


def table(*columns: str) -> Callable[[Draw], pa.Table]:
    return lambda draw: pa.table(
        {
            name: [draw.choice((1, 2)) * draw.random() for _ in range(5)]
            if n % 2
            else [draw.word() for _ in range(5)]
            for n, name in enumerate(columns)
        }
    )


def arrow(save: Callable[[pa.Table, io.BytesIO], None], *columns: str) -> Callable[[Draw], bytes]:
    def write(draw: Draw) -> bytes:
        held = io.BytesIO()
        save(table(*columns)(draw), held)
        return held.getvalue()

    return write


def zip(*names: str) -> Callable[[Draw], bytes]:
    def write(draw: Draw) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, draw.words(30))
        return held.getvalue()

    return write


def tar(draw: Draw) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        data = draw.words(40).encode()
        entry = tarfile.TarInfo("calls.jsonl")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def sqlite(draw: Draw) -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE sales (region TEXT, amount REAL)")
        database.execute("INSERT INTO sales VALUES (?, ?)", (draw.word(), draw.random()))
        database.commit()
        data = database.serialize()
    database.close()
    return data


def avro(draw: Draw) -> bytes:
    schema = json.dumps({"type": "record", "name": draw.word(), "fields": []}).encode()
    return b"Obj\x01\x04\x16avro.schema" + bytes([2 * len(schema)]) + schema + draw.randbytes(40)


def bson(draw: Draw) -> bytes:
    one = b"\x02name\x00" + struct.pack("<i", 6) + draw.word()[:5].encode() + b"\x00"
    one += b"\x10n\x00" + struct.pack("<i", draw.randrange(1000))
    return b"".join(struct.pack("<i", len(one) + 5) + one + b"\x00" for _ in range(4))


def combined(draw: Draw, n: int) -> str:
    return (
        f'{draw.ip()} - - [12/Nov/2026:10:00:{n:02d} +0000] "GET {draw.path()} HTTP/1.1" '
        f'{draw.status()} {draw.randrange(9000)} "-" "curl/8.5.0"'
    )


def syslog_3164(draw: Draw, n: int) -> str:
    sign = f"<{draw.randrange(1, 190)}>" if n % 2 else ""
    return f"{sign}Nov {draw.randrange(10, 28)} 10:00:{n:02d} host sshd[{n}]: {draw.words(5)}"


def syslog_5424(draw: Draw, n: int) -> str:
    return (
        f"<{draw.randrange(1, 190)}>1 {draw.time(n)} {draw.word()} app {n} ID47 - {draw.words(4)}"
    )


def alb(draw: Draw, n: int) -> str:
    return (
        f"https {draw.time(n)} app/{draw.word()}/{draw.hex(16)} {draw.ip()}:2817 {draw.ip()}:80 "
        f'0.000 0.001 0.000 {draw.status()} 200 34 366 "GET https://x{draw.path()} HTTP/1.1"'
    )


def cloudfront(draw: Draw) -> str:
    rows = [
        f"2026-11-12\t10:00:{n:02d}\tFRA2\t{draw.ip()}\tGET\t{draw.path()}\t200" for n in range(5)
    ]
    head = "#Version: 1.0\n#Fields: date time x-edge c-ip cs-method cs-uri-stem sc-status\n"
    return head + "\n".join(rows) + "\n"


def nginx_json(draw: Draw, n: int) -> Any:
    return {
        "time_local": draw.time(n),
        "remote_addr": draw.ip(),
        "request": f"GET {draw.path()} HTTP/1.1",
        "status": str(draw.status()),
        "body_bytes_sent": draw.randrange(999),
    }


def access_json(draw: Draw, n: int) -> Any:
    return {"request_id": draw.hex(12), "status": draw.status(), "path": draw.path()}


def envoy_json(draw: Draw, n: int) -> Any:
    return {
        "start_time": draw.time(n),
        "method": "GET",
        "path": draw.path(),
        "response_code": draw.status(),
        "response_flags": "-",
        "authority": "shop.example",
        "upstream_host": f"{draw.ip()}:80",
        "duration": draw.randrange(300),
        "request_id": draw.hex(32),
    }


def program_json(draw: Draw, n: int) -> Any:
    return {
        "level": draw.choice(("info", "warn")),
        "ts": draw.time(n),
        "msg": draw.words(4),
        "n": n,
    }


def github(draw: Draw) -> Any:
    return {
        "action": draw.choice(("opened", "closed")),
        "repository": {"full_name": f"{draw.word()}/x"},
        "sender": {"login": draw.word()},
        "issue": {"number": draw.randrange(99), "title": draw.words(3)},
    }


def stripe(draw: Draw, n: int) -> Any:
    return {
        "id": f"evt_{draw.hex(12)}",
        "object": "event",
        "type": "charge.succeeded",
        "livemode": False,
        "created": 1_790_000_000 + n,
        "data": {"object": {"id": "ch_1", "amount": draw.randrange(999)}},
    }


def slack(draw: Draw, n: int) -> Any:
    return {
        "token": draw.hex(8),
        "team_id": "T1",
        "api_app_id": "A1",
        "type": "event_callback",
        "event": {"type": "message", "text": draw.words(4), "user": "U1"},
    }


def sentry(draw: Draw, n: int) -> Any:
    return {
        "event_id": draw.hex(32),
        "platform": "python",
        "timestamp": draw.time(n),
        "level": "error",
        "exception": {"values": [{"type": "KeyError", "value": draw.word()}]},
    }


def cloudtrail(draw: Draw) -> Any:
    return {
        "Records": [
            {
                "eventVersion": "1.08",
                "eventSource": "s3.amazonaws.com",
                "awsRegion": "eu-west-1",
                "eventName": draw.choice(("GetObject", "PutObject")),
                "eventTime": draw.time(),
            }
            for _ in range(3)
        ]
    }


def otel_metrics(draw: Draw) -> Any:
    point = {"timeUnixNano": "1790000000000000000", "asDouble": draw.random()}
    metric = {"name": draw.word(), "unit": "1", "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def geojson(draw: Draw) -> Any:
    spot = {"type": "Point", "coordinates": [draw.random(), draw.random()]}
    features = [{"type": "Feature", "geometry": spot, "properties": {"name": draw.word()}}] * 3
    return {"type": "FeatureCollection", "features": features}


def har(draw: Draw) -> Any:
    entry = {
        "startedDateTime": draw.time(),
        "request": {"method": "GET", "url": f"https://x{draw.path()}"},
        "response": {"status": draw.status()},
    }
    return {"log": {"version": "1.2", "creator": {"name": "browser"}, "entries": [entry]}}


def bulk(draw: Draw) -> bytes:
    pairs = [
        ({"index": {"_index": draw.word(), "_id": str(n)}}, {"title": draw.words(3), "price": n})
        for n in range(4)
    ]
    return "".join(json.dumps(one) + "\n" for pair in pairs for one in pair).encode()


def managed(draw: Draw, n: int) -> Any:
    event = {
        "id": f"sevt_{draw.hex(12)}",
        "processed_at": draw.time(n),
        "type": "session.status_running",
    }
    return ["client.beta.sessions.events.stream", event]


def traceback(draw: Draw) -> str:
    return (
        f'Traceback (most recent call last):\n  File "{draw.word()}.py", line 7, in main\n'
        f"    run()\nKeyError: {draw.word()!r}\n"
    )


def sql(draw: Draw) -> str:
    rows = ", ".join(f"({n}, '{draw.word()}')" for n in range(4))
    return (
        f"-- MySQL dump 10.13\nCREATE TABLE t (id INT, name TEXT);\nINSERT INTO t VALUES {rows};\n"
    )


def sitemap(draw: Draw) -> str:
    urls = "".join(f"<url><loc>https://x.example{draw.path()}</loc></url>" for _ in range(4))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://s.example">{urls}</urlset>\n'
