"""The engine's Deployment as a process here: another user, a read-only root, its names, its end."""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.node import Cluster, Container
from tests.deploy.rendered import render
from tests.ports import free_port
from tests.sandboxed import require_sandbox

pytestmark = pytest.mark.scale

_PATIENCE_S = 300.0


@dataclass
class Engine:
    cluster: Cluster
    pod: str
    port: int

    @property
    def container(self) -> Container:
        return self.cluster.containers[self.pod]

    def ask(self, path: str, host: str, body: dict[str, Any] | None = None) -> Any:
        """Its answer, still open."""
        headers = {"Host": f"{host}:8000", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        return urllib.request.urlopen(request, timeout=120)

    def is_ready(self) -> bool:
        """As the kubelet asks, which calls a pod by its address."""
        assert self.container.process.poll() is None, self.cluster.log(self.pod)
        try:
            with self.ask("/health", "10.1.2.3") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    require_sandbox()
    folder = tmp_path_factory.mktemp("engine")
    shutil.copytree(tiny_model, folder / "app" / "tiny")
    (folder / "app" / "flywheel.toml").touch()
    site = render(folder, namespace="nights", values={"ENGINE_MODEL": "/app/tiny"})
    port = free_port()
    (container,) = site.one("Deployment", "flywheel-engine")["spec"]["template"]["spec"][
        "containers"
    ]
    container["args"] = [word.replace("=8000", f"={port}") for word in container["args"]]
    cluster = Cluster(folder / "node", site, folder / "app")
    try:
        found = Engine(cluster, cluster.start_deployment("flywheel-engine"), port)
        deadline = time.monotonic() + _PATIENCE_S
        while not found.is_ready():
            assert time.monotonic() < deadline, cluster.log(found.pod)
            time.sleep(0.5)
        yield found
    finally:
        cluster.stop()


_STREAM = {"model": "tiny", "prompt": "x", "max_tokens": 200, "temperature": 0, "stream": True}


def test_it_answers_to_the_names_of_its_service_and_to_no_other(engine: Engine):
    for name in ("", ".nights", ".nights.svc", ".nights.svc.cluster.local"):
        with engine.ask("/v1/models", f"flywheel-engine{name}") as answer:
            assert json.load(answer)["data"][0]["id"] == "tiny"
    with pytest.raises(urllib.error.HTTPError) as refused:
        engine.ask("/v1/models", "elsewhere")
    with refused.value as answer:
        assert answer.code == 403


def test_sigterm_lets_what_runs_finish_and_ends_it_well(engine: Engine):
    with engine.ask("/v1/completions", "flywheel-engine", _STREAM) as answer:
        first = answer.readline()
        assert first.startswith(b"data: ")
        engine.container.signal(signal.SIGTERM)
        rest = answer.read().decode()
    assert '"finish_reason":"length"' in rest.replace(" ", "")
    assert rest.rstrip().endswith("data: [DONE]")
    assert engine.container.process.wait(60) == 0, engine.cluster.log(engine.pod)
