"""The manifests of deploy/kubernetes as kubectl renders them: the fields that Kubernetes knows, the
values of a site in every place, and no pod that may more than it has to."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.__main__ import _parser
from tasks.settings import parse_settings
from tasks.settings.toml import read_toml
from tests.deploy.rendered import FOLDER, Rendered, render

#: the oldest and the newest that the manifests are held against
VERSIONS = ("1.31", "1.37")
ALL = ("gpu", "ray")
_RAYCLUSTER = json.loads((Path(__file__).with_name("raycluster.json")).read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return render(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Another site, with all that can be switched on."""
    values = {"SECRET": "theirs", "POOL": "big", "TIMEZONE": "Asia/Tokyo", "ENGINE_MODEL": "/m"}
    return render(
        tmp_path_factory.mktemp("whole"),
        components=ALL,
        values=values,
        namespace="other",
        image="registry:5000/team/flywheel:9",
    )


def refused(thing: dict[str, Any], version: str) -> str:
    """Why Kubernetes would not take it, or would drop a field of it; empty where it would."""
    import kubernetes_validate

    try:
        if thing["kind"] == "RayCluster":
            jsonschema.validate(thing, _RAYCLUSTER)
            pods = [template for name, template in Rendered((thing,)).pods_of_ray()]
            for pod in pods:
                about = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}}
                kubernetes_validate.validate({**about, "template": pod}, version, strict=True)
        else:
            kubernetes_validate.validate(thing, version, strict=True)
    except jsonschema.ValidationError as error:
        path = ".".join(map(str, error.absolute_path))
        return f"{thing['kind']} {thing['metadata'].get('name')} {path}: {error.message}"[:300]
    return ""


@pytest.mark.needs("kubernetes_validate")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_has_the_fields_that_kubernetes_knows(
    plain: Rendered, whole: Rendered, version: str
):
    wrong = [why for each in (*plain.objects, *whole.objects) if (why := refused(each, version))]
    assert wrong == []
    assert len(whole.of_kind("RayCluster")) == 1


@pytest.mark.needs("kubernetes_validate")
@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "flywheel-engine", "spec.replica", 2),
        ("Deployment", "flywheel-engine", "spec.replicas", "two"),
        ("Deployment", "flywheel-worker", "spec.template.spec.containers.0.readOnly", True),
        ("Deployment", "flywheel-worker", "spec.template.spec.initContainers.0.args", "x"),
        ("NetworkPolicy", "flywheel-out", "spec.policyTypes", "Egress"),
        ("PodDisruptionBudget", "", "spec.minavailable", 1),
        ("RayCluster", "", "spec.workerGroups", []),
        ("RayCluster", "", "spec.workerGroupSpecs.0.minReplicas", "0"),
        ("RayCluster", "", "spec.headGroupSpec.template.spec.container", []),
    ],
)
def test_an_unknown_field_or_a_wrong_type_is_found(
    whole: Rendered, kind: str, name: str, path: str, value: object
):
    broken = copy.deepcopy(whole.one(kind, name))
    *parents, last = path.split(".")
    place: Any = broken
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    assert refused(broken, VERSIONS[-1])


def test_the_values_of_a_site_are_in_every_place(whole: Rendered):
    namespaces = {
        each["metadata"].get("namespace", each["metadata"]["name"]) for each in whole.objects
    }
    assert namespaces == {"other"}
    assert whole.one("RoleBinding")["subjects"][0]["namespace"] == "other"
    images, secrets = set(), set()
    for name, pod in whole.pods():
        if name == "turn":  # is filled in by Prefect, with what the worker registers
            continue
        for container in _containers(pod):
            images.add(container["image"])
            refs = [each["secretRef"]["name"] for each in container["envFrom"][1:]]
            secrets.update(refs)
    assert images == {"registry:5000/team/flywheel:9"}
    assert secrets == {"theirs"}
    register = _register(whole)
    given = {each["name"]: each.get("value") for each in register["env"]}
    assert given["IMAGE"] == "registry:5000/team/flywheel:9"
    assert whole.one("ConfigMap", "flywheel-values")["data"] | {
        "POOL": "big", "TIMEZONE": "Asia/Tokyo", "SECRET": "theirs",
    } == whole.one("ConfigMap", "flywheel-values")["data"]  # fmt: skip


def test_what_is_registered_are_options_of_deploy_and_variables_of_the_template(whole: Rendered):
    from typer.main import get_command

    from flows.cli import app

    program, command, *words = _register(whole)["args"]
    assert (program, command) == ("flywheel", "deploy")
    deploy = get_command(app).commands["deploy"]  # type: ignore[attr-defined]
    given = deploy.make_context("deploy", words).params
    named = {text.partition("=")[0].rpartition(".")[2] for text in given["job_variable"]}
    known = whole.job_template["variables"]["properties"]
    assert named == {"image", "namespace", "secret", "gpus"}
    assert named <= known.keys()


def test_every_placeholder_of_the_job_template_is_a_variable(plain: Rendered):
    template = plain.job_template
    used = set(re.findall(r"\{\{ *(\w+) *\}\}", json.dumps(template["job_configuration"])))
    assert used == template["variables"]["properties"].keys()


def test_gpus_are_asked_for_where_they_are_switched_on_and_by_what_runs_a_model(
    plain: Rendered, whole: Rendered
):
    assert not [name for name, pod in plain.pods() if name != "turn" and _gpus(pod)]
    assert not [word for word in _register(plain)["args"] if "gpus" in word]
    assert plain.job_template["variables"]["properties"]["gpus"]["default"] == 0
    assert {name for name, pod in whole.pods() if name != "turn" and _gpus(pod)} == {
        "flywheel-engine", "ray gpu",
    }  # fmt: skip
    assert [word for word in _register(whole)["args"] if "gpus" in word] == [
        "--job-variable=nightly.gpus=1", "--job-variable=noise-weekly.gpus=1",
    ]  # fmt: skip


def test_no_pod_may_more_than_it_has_to(whole: Rendered):
    names = []
    for name, pod in whole.pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert all("hostPath" not in volume for volume in spec["volumes"]), name
        # the one that makes Jobs
        assert spec["automountServiceAccountToken"] is (name == "flywheel-worker"), name
        for container in _containers(pod):
            may = container["securityContext"]
            assert may["readOnlyRootFilesystem"] is True, name
            assert may["allowPrivilegeEscalation"] is False, name
            assert may["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name
        names.append(name)
    assert names == [
        "flywheel-engine", "flywheel-worker", "ray head", "ray cpu", "ray gpu", "turn",
    ]  # fmt: skip
    (role,) = whole.of_kind("Role")
    assert not whole.of_kind("ClusterRole", "ClusterRoleBinding")
    assert all("*" not in str(rule) for rule in role["rules"])


def test_every_pod_is_behind_a_policy_that_lets_nothing_through(whole: Rendered):
    policies = whole.of_kind("NetworkPolicy")
    for name, pod in whole.pods():
        labels = pod["metadata"]["labels"]
        closed = [
            policy["metadata"]["name"]
            for policy in policies
            if policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
            and not {"ingress", "egress"} & policy["spec"].keys()
        ]
        assert closed == ["flywheel-nothing"], name
    reached = {
        policy["spec"]["podSelector"]["matchLabels"].popitem()[1]
        for policy in copy.deepcopy(policies)
        if "ingress" in policy["spec"]
    }
    assert reached == {"flywheel-engine", "ray"}


def test_the_engine_is_found_asked_and_given_time_to_end(plain: Rendered):
    deployment = plain.one("Deployment", "flywheel-engine")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    program, flag, module, *words = container["args"]
    assert (program, flag, module) == ("python", "-m", "engine")
    options = _parser().parse_args(words)
    (port,) = container["ports"]
    assert (options.host, options.port) == ("0.0.0.0", port["containerPort"])
    service = plain.one("Service")
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert f"--allow-host={service['metadata']['name']}" in words
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    budget = plain.one("PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert budget["minAvailable"] < deployment["spec"]["replicas"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause + options.grace_s < pod["spec"]["terminationGracePeriodSeconds"]


def test_the_settings_that_come_with_it_are_settings():
    settings = parse_settings(read_toml((FOLDER / "site" / "flywheel.toml").read_text()), base="/")
    assert settings.champion == "current"
    assert list(settings.suites) == ["route"]


def test_a_changed_job_template_starts_the_worker_anew(plain: Rendered):
    name = plain.one("ConfigMap", "flywheel-job-template")["metadata"]["name"]
    assert re.fullmatch(r"flywheel-job-template-\w{10}", name)
    volumes = plain.one("Deployment", "flywheel-worker")["spec"]["template"]["spec"]["volumes"]
    assert name in [each["configMap"]["name"] for each in volumes if "configMap" in each]


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _gpus(pod: dict[str, Any]) -> list[Any]:
    limits = [container["resources"]["limits"] for container in _containers(pod)]
    return [limit["nvidia.com/gpu"] for limit in limits if "nvidia.com/gpu" in limit]


def _register(site: Rendered) -> dict[str, Any]:
    spec = site.one("Deployment", "flywheel-worker")["spec"]["template"]["spec"]
    (container,) = spec["initContainers"]
    return container  # type: ignore[no-any-return]
