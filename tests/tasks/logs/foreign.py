"""Files of others: 200 of some 70 kinds, each by a small writer of our own with seeded content.

`told` is what the reason of a file has to hold: its kind, or its own keys or columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq

from tests.tasks.logs import foreign_writers as made
from tests.tasks.logs.foreign_writers import Draw


@dataclass(frozen=True, slots=True)
class Foreign:
    """`name`: with the number of the file in place of {n}."""

    name: str
    told: str
    write: Callable[[Draw], bytes]


def write_files(folder: Path, number: int = 200) -> dict[str, Foreign]:
    """Name → what the file is; every kind in turn, each time with other content."""
    written: dict[str, Foreign] = {}
    for n in range(number):
        kind = KINDS[n % len(KINDS)]
        path = folder / f"{n:03d}" / kind.name.format(n=n)
        path.parent.mkdir(parents=True)
        path.write_bytes(kind.write(Draw(n)))
        written[str(path)] = kind
    return written


KINDS = (
    Foreign(
        "package.json",
        "package manifest",
        made.document(
            lambda d: {"name": d.word(), "version": "1.0.0", "dependencies": {d.word(): "^1.2.0"}}
        ),
    ),
    Foreign(
        "package-lock.json",
        "lock file",
        made.document(
            lambda d: {
                "name": d.word(),
                "lockfileVersion": 3,
                "packages": {"": {"version": "1.0.0"}},
            }
        ),
    ),
    Foreign(
        "composer.json",
        "package manifest",
        made.document(lambda d: {"name": f"{d.word()}/{d.word()}", "require": {"php": ">=8.1"}}),
    ),
    Foreign("Cargo.lock", "lock file", made.text(lambda d: f'[[package]]\nname = "{d.word()}"\n')),
    Foreign(
        "Cargo.toml", "configuration", made.text(lambda d: f'[package]\nname = "{d.word()}"\n')
    ),
    Foreign(
        "go.sum",
        "Go modules",
        made.lines(lambda d, n: f"x.example/{d.word()} v1.{n}.0 h1:{d.hex(40)}="),
    ),
    Foreign("requirements.txt", "Python packages", made.lines(lambda d, n: f"{d.word()}==1.{n}")),
    Foreign(
        "tsconfig.json",
        "tsconfig",
        made.document(lambda d: {"compilerOptions": {"target": "es2022", "outDir": d.word()}}),
    ),
    Foreign(
        "a{n}.ipynb",
        "notebook",
        made.document(
            lambda d: {
                "cells": [{"cell_type": "code", "source": d.words(3)}],
                "nbformat": 4,
                "metadata": {},
            }
        ),
    ),
    Foreign("map{n}.geojson", "GeoJSON", made.document(made.geojson)),
    Foreign(
        "pod{n}.json",
        "Kubernetes",
        made.document(
            lambda d: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": d.word()}}
        ),
    ),
    Foreign(
        "deploy{n}.yaml",
        "Kubernetes",
        made.text(lambda d: f"apiVersion: v1\nkind: Pod\nname: {d.word()}\n"),
    ),
    Foreign(
        "values{n}.yaml", "configuration", made.text(lambda d: f"replicas: 3\nimage: {d.word()}\n")
    ),
    Foreign(
        "api{n}.json",
        "OpenAPI",
        made.document(
            lambda d: {"openapi": "3.1.0", "info": {"title": d.word()}, "paths": {d.path(): {}}}
        ),
    ),
    Foreign(
        "schema{n}.json",
        "JSON Schema",
        made.document(
            lambda d: {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": d.word(),
                "type": "object",
            }
        ),
    ),
    Foreign(
        "terraform.tfstate",
        "Terraform",
        made.document(
            lambda d: {
                "version": 4,
                "terraform_version": "1.9.0",
                "resources": [{"type": "x", "name": d.word()}],
            }
        ),
    ),
    Foreign("access{n}.log", "access log of a web server", made.lines(made.combined)),
    Foreign("nginx{n}.json", "access log of a web server", made.lines(made.nginx_json)),
    Foreign(
        "http{n}.jsonl",
        "access log of a web server: the keys request_id, status, path",
        made.lines(made.access_json),
    ),
    Foreign("envoy{n}.jsonl", "access log of a web server (Envoy)", made.lines(made.envoy_json)),
    Foreign("alb{n}.log", "load balancer", made.lines(made.alb)),
    Foreign("cdn{n}.log", "CloudFront", made.text(made.cloudfront)),
    Foreign("messages{n}", "syslog (RFC 3164)", made.lines(made.syslog_3164)),
    Foreign("syslog{n}.log", "syslog (RFC 5424)", made.lines(made.syslog_5424)),
    Foreign(
        "journal{n}.json",
        "journal of systemd",
        made.lines(
            lambda d, n: {
                "__REALTIME_TIMESTAMP": str(1_790_000_000 + n),
                "_PID": str(n),
                "MESSAGE": d.words(4),
            }
        ),
    ),
    Foreign(
        "audit{n}.log",
        "auditd",
        made.lines(lambda d, n: f"type=SYSCALL msg=audit(1790000000.{n:03d}:{n}): arch=c000003e"),
    ),
    Foreign(
        "postgres{n}.log",
        "PostgreSQL",
        made.lines(
            lambda d, n: (
                f"2026-11-12 10:00:{n:02d}.123 UTC [{d.randrange(9999)}] LOG:  {d.words(4)}"
            )
        ),
    ),
    Foreign(
        "mysql{n}.err",
        "MySQL",
        made.lines(
            lambda d, n: f"2026-11-12T10:00:{n:02d}.123456Z {n} [Note] [MY-010] {d.words(4)}"
        ),
    ),
    Foreign("crash{n}.txt", "traceback", made.text(made.traceback)),
    Foreign(
        "app{n}.log",
        "log of a program",
        made.lines(lambda d, n: f"2026-11-12 10:00:{n:02d},123 INFO {d.word()}: {d.words(4)}"),
    ),
    Foreign("app{n}.jsonl", "log of a program", made.lines(made.program_json)),
    Foreign(
        "sales{n}.csv",
        "the columns region, amount, customer, month",
        made.csv("region", "amount", "customer", "month"),
    ),
    Foreign(
        "stock{n}.tsv",
        "the columns item, shelf, pieces",
        made.csv("item", "shelf", "pieces", sign="\t"),
    ),
    Foreign(
        "people{n}.csv", "the columns name, city, age", made.csv("name", "city", "age", sign=";")
    ),
    Foreign(
        "table{n}.dat", "the columns sensor, room, degrees", made.csv("sensor", "room", "degrees")
    ),
    Foreign("sitemap{n}.xml", "sitemap", made.text(made.sitemap)),
    Foreign(
        "export{n}.xml",
        "XML document: its root is orders",
        made.text(lambda d: f"<orders><o>{d.word()}</o></orders>\n"),
    ),
    Foreign(
        "page{n}.html",
        "HTML page",
        made.text(lambda d: f"<!DOCTYPE html><html><body>{d.words(3)}</body></html>"),
    ),
    Foreign("webhook{n}.json", "GitHub webhook", made.document(made.github)),
    Foreign("stripe{n}.jsonl", "Stripe", made.lines(made.stripe)),
    Foreign("slack{n}.jsonl", "Slack", made.lines(made.slack)),
    Foreign("sentry{n}.jsonl", "Sentry", made.lines(made.sentry)),
    Foreign("trail{n}.json", "CloudTrail", made.document(made.cloudtrail)),
    Foreign(
        "flow{n}.log",
        "VPC",
        made.lines(
            lambda d, n: (
                f"2 123456789012 eni-{d.hex(8)} {d.ip()} {d.ip()} 443 {n} 6 10 84 0 60 ACCEPT OK"
            )
        ),
    ),
    Foreign(
        "node{n}.prom",
        "Prometheus",
        made.lines(lambda d, n: f'{d.word()}_total{{path="{d.path()}"}} {d.randrange(999)}'),
    ),
    Foreign("metrics{n}.json", "OpenTelemetry metrics", made.document(made.otel_metrics)),
    Foreign(
        "metrics{n}.ndjson",
        "metrics",
        made.lines(
            lambda d, n: {"metric": d.word(), "value": d.random(), "timestamp": 1_790_000_000 + n}
        ),
    ),
    Foreign("bulk{n}.ndjson", "Elasticsearch", made.bulk),
    Foreign(
        "export{n}.jsonl",
        "MongoDB",
        made.lines(
            lambda d, n: {"_id": {"$oid": d.hex(24)}, "name": d.word(), "age": d.randrange(90)}
        ),
    ),
    Foreign("dump{n}.bson", "BSON", made.bson),
    Foreign(
        "loss{n}",
        "metrics of a training (MLflow)",
        made.lines(lambda d, n: f"{1_790_000_000_000 + n} {d.random():.4f} {n}"),
    ),
    Foreign(
        "history{n}.jsonl",
        "Weights & Biases",
        made.lines(lambda d, n: {"_step": n, "_runtime": d.random(), "loss": d.random()}),
    ),
    Foreign(
        "squad{n}.jsonl",
        "SQuAD",
        made.lines(
            lambda d, n: {
                "id": d.hex(8),
                "context": d.words(9),
                "question": d.words(4),
                "answers": {"text": [d.word()]},
            }
        ),
    ),
    Foreign(
        "reviews{n}.jsonl",
        "labelled texts",
        made.lines(lambda d, n: {"text": d.words(6), "label": n % 2}),
    ),
    Foreign(
        "config.json",
        "configuration of a model",
        made.document(
            lambda d: {
                "model_type": d.word(),
                "hidden_size": d.randrange(512),
                "vocab_size": 32_000,
            }
        ),
    ),
    Foreign(
        "tokenizer.json",
        "tokenizer",
        made.document(
            lambda d: {
                "version": "1.0",
                "added_tokens": [],
                "model": {"type": "BPE", "vocab": {d.word(): 1}, "merges": []},
            }
        ),
    ),
    Foreign("managed{n}.jsonl", "managed agents", made.lines(made.managed)),
    Foreign("har{n}.har", "HAR", made.document(made.har)),
    Foreign("a{n}.zip", "ZIP archive", made.zip("calls.jsonl", "more/notes.txt")),
    Foreign("sheet{n}.xlsx", "Excel", made.zip("[Content_Types].xml", "xl/workbook.xml")),
    Foreign("a{n}.tar", "tar archive", made.tar),
    Foreign("a{n}.db", "SQLite", made.sqlite),
    Foreign(
        "a{n}.arrow",
        "Arrow",
        made.arrow(
            lambda table, held: pyarrow.feather.write_feather(
                table, held, compression="uncompressed"
            ),
            "a",
            "b",
        ),
    ),
    Foreign("a{n}.orc", "ORC", made.arrow(pyarrow.orc.write_table, "a", "b")),
    Foreign("a{n}.avro", "Avro", made.avro),
    Foreign(
        "trips{n}.parquet",
        "zone, fare, driver",
        made.arrow(pq.write_table, "zone", "fare", "driver"),
    ),
    Foreign("dump{n}.sql", "dump of a database", made.text(made.sql)),
    Foreign(
        "orders{n}.jsonl",
        "the keys order_no, customer, total",
        made.lines(lambda d, n: {"order_no": n, "customer": d.word(), "total": d.randrange(99)}),
    ),
    Foreign("points{n}.json", "numbers", made.document(lambda d: [d.random() for _ in range(9)])),
    Foreign("notes{n}.txt", "text that is no JSON", made.lines(lambda d, n: d.words(7))),
    Foreign(
        "trajectory{n}.json",
        "trajectory of an agent (ATIF)",
        made.document(
            lambda d: {
                "schema_version": "ATIF-v1.2",
                "session_id": d.word(),
                "agent": {"name": d.word(), "model_name": d.word()},
                "steps": [{"step_id": 1, "source": "user", "message": d.words(4)}],
            }
        ),
    ),
    Foreign(
        "apm{n}.json",
        "Datadog APM",
        made.document(
            lambda d: [
                [
                    {
                        "trace_id": d.randrange(99),
                        "span_id": d.randrange(99),
                        "name": "x.request",
                        "service": d.word(),
                        "resource": d.word(),
                        "meta": {},
                        "metrics": {},
                    }
                ]
            ]
        ),
    ),
)
