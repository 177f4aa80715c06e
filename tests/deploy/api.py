"""The part of Kubernetes' API that Prefect's worker asks, over HTTPS, with the rights that the
manifests give: discovery, and get, list, watch, create and delete of jobs and pods.

Written from Kubernetes' own API reference. It keeps objects and tells of them; what becomes of a
job is the business of node.py.
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

#: resource → group, version, kind
RESOURCES = {"pods": ("", "v1", "Pod"), "jobs": ("batch", "v1", "Job")}
Object = dict[str, Any]


@dataclass(frozen=True)
class Change:
    version: int
    resource: str
    kind: str
    object: Object


@dataclass
class Objects:
    """resource, name → object; and every change that there was. Of any thread."""

    namespace: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    kept: dict[tuple[str, str], Object] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def add(self, resource: str, body: Object) -> Object:
        group, version, kind = RESOURCES[resource]
        about = body.setdefault("metadata", {})
        about.setdefault("name", f"{about.get('generateName', '')}{uuid.uuid4().hex[:5]}")
        about |= {"namespace": self.namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
        body |= {"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind}
        body.setdefault("status", {})
        return self._change(resource, "ADDED", body)

    def set_status(self, resource: str, name: str, status: Mapping[str, Any]) -> None:
        with self.lock:
            thing = copy.deepcopy(self.kept[resource, name])
            thing["status"] |= status
            self._change(resource, "MODIFIED", thing)

    def remove(self, resource: str, name: str) -> None:
        with self.lock:
            self._change(resource, "DELETED", copy.deepcopy(self.kept[resource, name]))

    def all(self, resource: str, labels: str = "") -> list[Object]:
        with self.lock:
            found = [thing for (kind, _), thing in self.kept.items() if kind == resource]
        return [thing for thing in found if fits(thing, labels)]

    def _change(self, resource: str, kind: str, thing: Object) -> Object:
        with self.lock:
            version = len(self.changes) + 1
            thing["metadata"]["resourceVersion"] = str(version)
            key = resource, thing["metadata"]["name"]
            if kind == "DELETED":
                del self.kept[key]
            else:
                self.kept[key] = thing
            self.changes.append(Change(version, resource, kind, copy.deepcopy(thing)))
            return thing


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def fits(thing: Object, selector: str) -> bool:
    """Of equality and existence, as `a=b,c`."""
    labels = thing["metadata"].get("labels") or {}
    parts = [part.partition("=") for part in selector.split(",") if part]
    return all(name in labels and (not sign or labels[name] == v) for name, sign, v in parts)


@dataclass(frozen=True)
class Rights:
    """token: of a service account → its rules, each with apiGroups, resources and verbs."""

    rules: Mapping[str, list[Mapping[str, list[str]]]]

    def has(self, token: str, verb: str, group: str, resource: str) -> bool:
        return any(
            verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"]
            for rule in self.rules[token]
        )


class Api:
    """created, deleted: called with a job, in a thread. log: of a pod by its name."""

    def __init__(
        self,
        folder: Path,
        objects: Objects,
        rights: Rights,
        created: Callable[[Object], None],
        deleted: Callable[[Object], None],
        log: Callable[[str], str],
    ) -> None:
        self.objects, self.rights = objects, rights
        self.denied: list[str] = []
        self.used: set[tuple[str, str, str]] = set()
        self._created, self._deleted, self._log = created, deleted, log
        self.ca, key = _certificate(folder)
        of_namespace = "/namespaces/{namespace}/{resource}"
        routes = [
            Route("/version", self._found({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})),
            Route("/api", self._found({"kind": "APIVersions", "versions": ["v1"]})),
            Route("/apis", self._found({"kind": "APIGroupList", "groups": [_group("batch")]})),
            Route("/api/v1", self._found(_list_of("", "pods"))),
            Route("/apis/batch/v1", self._found(_list_of("batch", "jobs"))),
        ]
        for base in ("/api/v1", "/apis/batch/v1"):
            routes += [
                Route(f"{base}{of_namespace}", self._many, methods=["GET", "POST"]),
                Route(f"{base}{of_namespace}/{{name}}", self._one, methods=["GET", "DELETE"]),
                Route(f"{base}{of_namespace}/{{name}}/log", self._tell_log),
            ]
        config = uvicorn.Config(
            Starlette(routes=routes), port=0, log_level="warning", timeout_graceful_shutdown=1,
            ssl_certfile=str(self.ca), ssl_keyfile=str(key),
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> int:
        """The port."""
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the API did not start"
            threading.Event().wait(0.02)
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _refused(self, request: Request, verb: str, resource: str) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.rights.rules:
            return _status(401, "Unauthorized")
        group = "batch" if request.url.path.startswith("/apis/batch") else ""
        namespace = request.path_params.get("namespace", self.objects.namespace)
        has = self.rights.has(token, verb, group, resource)
        if namespace != self.objects.namespace or not has:
            self.denied.append(f"{verb} {group}/{resource} in {namespace}")
            return _status(403, "Forbidden")
        self.used.add((verb, group, resource))
        return None

    def _found(self, body: Object) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            return (
                JSONResponse(body) if token in self.rights.rules else _status(401, "Unauthorized")
            )

        return answer

    async def _many(self, request: Request) -> Response:
        resource, asked = request.path_params["resource"], request.query_params
        is_watch = asked.get("watch", "").lower() in ("1", "true")
        verb = "create" if request.method == "POST" else "watch" if is_watch else "list"
        if refusal := self._refused(request, verb, resource):
            return refusal
        if verb == "create":
            body = await request.json()
            job = self.objects.add(resource, body)
            self._created(job)
            return JSONResponse(job, 201)
        labels = asked.get("labelSelector", "")
        if is_watch:
            since = int(asked.get("resourceVersion") or 0)
            return StreamingResponse(self._watch(request, resource, labels, since))
        with self.objects.lock:
            found, version = self.objects.all(resource, labels), len(self.objects.changes)
        group, of, kind = RESOURCES[resource]
        return JSONResponse({
            "kind": f"{kind}List", "apiVersion": f"{group}/{of}".lstrip("/"),
            "metadata": {"resourceVersion": str(version)}, "items": found,
        })  # fmt: skip

    async def _watch(
        self, request: Request, resource: str, labels: str, since: int
    ) -> AsyncIterator[str]:
        while not self._server.should_exit and not await request.is_disconnected():
            with self.objects.lock:
                changes = self.objects.changes[since:]
            for change in changes:
                since = change.version
                if change.resource == resource and fits(change.object, labels):
                    yield json.dumps({"type": change.kind, "object": change.object}) + "\n"
            await asyncio.sleep(0.05)

    async def _one(self, request: Request) -> Response:
        resource, name = request.path_params["resource"], request.path_params["name"]
        verb = "get" if request.method == "GET" else "delete"
        if refusal := self._refused(request, verb, resource):
            return refusal
        thing = self.objects.kept.get((resource, name))
        if thing is None:
            return _status(404, "NotFound")
        if verb == "delete":
            self._deleted(thing)
        return JSONResponse(thing)

    async def _tell_log(self, request: Request) -> Response:
        if refusal := self._refused(request, "get", "pods/log"):
            return refusal
        return PlainTextResponse(self._log(request.path_params["name"]))


def _status(code: int, reason: str) -> JSONResponse:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
    return JSONResponse({**body, "message": reason, "code": code}, code)


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _list_of(group: str, resource: str) -> Object:
    _, version, kind = RESOURCES[resource]
    verbs = ["get", "list", "watch", "create", "delete", "patch"]
    about = {"name": resource, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
    of = f"{group}/{version}".lstrip("/")
    found = [about]
    if not group:  # kopf watches nothing before it knows that there are namespaces
        space = {"name": "namespaces", "singularName": "", "namespaced": False}
        found.append({**space, "kind": "Namespace", "verbs": ["get", "list", "watch"]})
    return {"kind": "APIResourceList", "groupVersion": of, "resources": found}


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself; its file and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    begin = datetime.now(UTC) - timedelta(minutes=5)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca, private = folder / "ca.crt", folder / "key.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return ca, private
