"""What `kubectl apply -k` would send: a copy of deploy/kubernetes, changed as a site changes it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"


@dataclass(frozen=True)
class Rendered:
    objects: tuple[dict[str, Any], ...]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] in kinds]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        """Its name may have the hash of its content at the end."""
        (found,) = [e for e in self.of_kind(kind) if e["metadata"]["name"].startswith(name)]
        return found

    @property
    def job_template(self) -> dict[str, Any]:
        text = self.one("ConfigMap", "flywheel-job-template")["data"]["job-template.yaml"]
        template: dict[str, Any] = yaml.safe_load(text)
        return template

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and template of every kind of pod, those of Jobs to come with them."""
        for each in self.of_kind("Deployment"):
            yield each["metadata"]["name"], each["spec"]["template"]
        yield from self.pods_of_ray()
        yield "turn", self.job_template["job_configuration"]["job_manifest"]["spec"]["template"]

    def pods_of_ray(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in self.of_kind("RayCluster"):
            yield "ray head", each["spec"]["headGroupSpec"]["template"]
            for group in each["spec"]["workerGroupSpecs"]:
                yield f"ray {group['groupName']}", group["template"]


def render(
    folder: Path,
    *,
    components: Sequence[str] = (),
    values: dict[str, str] | None = None,
    settings: Path | None = None,
    namespace: str = "",
    image: str = "",
) -> Rendered:
    """Skips the test where kubectl is missing. What is not given is that of the site we ship."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not here, which renders the manifests")
    copy = folder / "kubernetes"
    shutil.copytree(FOLDER, copy)
    site = copy / "site"
    file = site / "kustomization.yaml"
    told = yaml.safe_load(file.read_text())
    told["components"] = [f"../components/{name}" for name in components]
    told["namespace"] = namespace or told["namespace"]
    if image:
        name, _, tag = image.rpartition(":")
        told["images"] = [{"name": "flywheel", "newName": name, "newTag": tag}]
    file.write_text(yaml.safe_dump(told))
    _set_values(site / "values.env", values or {})
    if settings is not None:
        shutil.copy(settings, site / "flywheel.toml")
    done = subprocess.run(
        ["kubectl", "kustomize", str(site)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Rendered(tuple(yaml.safe_load_all(done.stdout)))


def _set_values(file: Path, values: dict[str, str]) -> None:
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in values]
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]))
