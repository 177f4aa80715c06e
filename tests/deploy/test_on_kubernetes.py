"""Prefect's own worker for Kubernetes with the manifests of deploy/kubernetes: flow runs of ours
are Jobs, whose pods are processes here. API and node are stand-ins (api.py, node.py)."""

from __future__ import annotations

import copy
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from flows.cut_off import CUT_OFF
from flows.prefect_server import QUIET
from tests.deploy.node import Cluster, image_variables
from tests.deploy.rendered import render
from tests.flows.application import make_application
from tests.flows.test_deployment import started
from tests.ports import free_port
from tests.sandboxed import require_sandbox

pytestmark = [pytest.mark.scale, pytest.mark.needs("prefect_kubernetes")]

NAMESPACE = "nights"
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


#: of each step, on a machine where others are at work
_PATIENCE_S = 600.0


def until(is_so: Callable[[], Any], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.5)


def answer(method: str, url: str, **given: Any) -> Any:
    """Prefect on SQLite says 503 where somebody else is writing, and has done nothing then."""
    deadline = time.monotonic() + _PATIENCE_S
    while (response := httpx.request(method, url, timeout=60, **given)).status_code == 503:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.5)
    response.raise_for_status()
    return response.json()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@dataclass
class Site:
    """The cluster, its worker, and the Prefect server that both ask."""

    cluster: Cluster
    url: str
    worker: str
    health: str

    def all(self, what: str, **given: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = answer("POST", f"{self.url}/{what}/filter", json=given)
        return found

    def ask(self, deployment: str) -> str:
        """A flow run of it."""
        (found,) = self.all("deployments", deployments={"name": {"any_": [deployment]}})
        path = f"{self.url}/deployments/{found['id']}/create_flow_run"
        return str(answer("POST", path, json={})["id"])

    def state(self, run_id: str) -> dict[str, Any]:
        return dict(answer("GET", f"{self.url}/flow_runs/{run_id}")["state"])

    def states(self, run_id: str) -> list[tuple[str, str]]:
        rows = answer("GET", f"{self.url}/flow_run_states/", params={"flow_run_id": run_id})
        return [(row["name"], row["message"] or "") for row in rows]

    def ended(self, run_id: str) -> dict[str, Any]:
        until(lambda: self.state(run_id)["type"] in _ENDED, self.said)
        return self.state(run_id)

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        return self.cluster.objects.all("pods", f"prefect.io/flow-run-id={run_id}")

    def pod_at_work(self, run_id: str, num_before: int = 0) -> str:
        """Of the one that runs, when the body of the flow has begun in it."""
        lock = self.cluster.volume("flywheel-state") / "flow-runs" / f"{run_id}.lock"
        until(lambda: lock.exists() and len(self.pods(run_id)) > num_before, self.said)
        name: str = self.pods(run_id)[-1]["metadata"]["name"]
        return name

    def said(self) -> str:
        logs = [self.cluster.log(pod)[-3000:] for pod in self.cluster.containers]
        return "\n=====\n".join([*logs, str(self.cluster.api.denied)])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Site]:
    require_sandbox()
    folder = tmp_path_factory.mktemp("cluster")
    application = make_application(folder / "app", Path("model"))
    shutil.copytree(tiny_model, application.folder / "model")
    port, health = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/api"
    rendered = render(
        folder,
        namespace=NAMESPACE,
        image="registry.example/ours:7",
        settings=application.folder / "flywheel.toml",
        values={
            "PREFECT_API_URL": url, "FLYWHEEL_MLFLOW__TRACKING_URI": "", "POOL": "nights",
            "TIMEZONE": "Europe/Berlin", "PREFECT_WORKER_WEBSERVER_PORT": str(health),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        },
    )  # fmt: skip
    environment = {**image_variables(), **QUIET, "PREFECT_HOME": str(folder / "prefect")}
    environment["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    server = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    with started(server, environment, folder / "server.log"):
        until(lambda: answers(f"{url}/health"), (folder / "server.log").read_text)
        cluster = Cluster(folder / "node", rendered, application.folder)
        try:
            worker = cluster.start_deployment("flywheel-worker")
            yield Site(cluster, url, worker, f"http://127.0.0.1:{health}/health")
        finally:
            cluster.stop()


def test_a_flow_run_is_a_job_that_comes_to_a_verdict(site: Site):
    run_id = site.ask("nightly")
    ended = site.ended(run_id)
    assert ended["type"] == "COMPLETED", site.said()
    assert ended["name"] in (
        "Passed: better",
        "Passed: no_worse",
        "Held: worse",
        "Held: cannot_tell",
    )
    (pod,) = site.pods(run_id)
    until(lambda: site.pods(run_id)[0]["status"]["phase"] == "Succeeded", site.said)
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example/ours:7"
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert container["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": 0}
    assert (site.cluster.volume("flywheel-state") / "reports").is_dir()
    assert answers(site.health)


def test_deployments_have_the_image_no_folder_and_the_time_zone(site: Site):
    deployments = site.all("deployments")
    assert len(deployments) == 4
    for each in deployments:
        assert each["job_variables"] == {
            "image": "registry.example/ours:7",
            "namespace": NAMESPACE,
            "secret": "flywheel-secrets",
        }  # fmt: skip
        assert each["work_pool_name"] == "nights"
        assert each["parameters"]["config"] == "/app/flywheel.toml"
        assert not each["pull_steps"]
        assert each["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"


@pytest.mark.needs("kubernetes_validate")
def test_the_job_has_the_fields_that_kubernetes_knows(site: Site):
    import kubernetes_validate

    (job, *_) = site.cluster.objects.all("jobs")
    assert job["spec"]["backoffLimit"] == 0
    bare = copy.deepcopy({name: job[name] for name in ("apiVersion", "kind", "metadata", "spec")})
    # Prefect wants these two here, where Kubernetes has no such fields and drops them
    for name in ("parallelism", "completions"):
        assert bare["spec"]["template"]["spec"].pop(name) == 1
    kubernetes_validate.validate(bare, "1.37", strict=True)


@pytest.mark.timeout(1800)
def test_a_killed_pod_is_told_and_its_night_is_taken_up_by_the_next_flow_run(site: Site):
    home = site.cluster.volume("flywheel-state")
    with FileLock(home / "run.lock"):  # so that the night waits
        run_id = site.ask("nightly")
        site.cluster.kill(site.pod_at_work(run_id))
        until(lambda: site.state(run_id)["type"] == "CRASHED", site.said)
    hourly = site.ask("hourly")
    assert site.ended(hourly)["type"] == "COMPLETED", site.said()
    until(lambda: len(site.pods(run_id)) == 2, site.said)
    # where another night ran before it
    assert site.ended(run_id)["name"] in ("Held: cannot_tell", "Nothing due"), site.said()
    names = [name for name, _ in site.states(run_id)]
    assert names.index("Crashed") < names.index("AwaitingRetry")
    assert any(CUT_OFF in message for _, message in site.states(run_id))


def test_a_cancelled_run_ends_its_process_in_its_time(site: Site):
    with FileLock(site.cluster.volume("flywheel-state") / "run.lock"):
        run_id = site.ask("nightly")
        pod = site.pod_at_work(run_id)
        asked = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
        answer("POST", f"{site.url}/flow_runs/{run_id}/set_state", json=asked)
        container = site.cluster.containers[pod]
        until(lambda: container.process.poll() is not None, site.said)
        assert site.ended(run_id)["type"] == "CANCELLED"
    assert site.cluster.ends.get(pod, "SIGTERM") == "SIGTERM"
    assert site.ended(site.ask("nightly"))["name"] == "Nothing due", site.said()


def test_the_worker_was_refused_nothing(site: Site):
    """After all of the above: the Role in the manifests is not too small for it."""
    assert site.cluster.api.denied == []
    (role,) = site.cluster.site.of_kind("Role")
    granted = {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert site.cluster.api.used <= granted
