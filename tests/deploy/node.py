"""A node of one machine, this one: the container of a pod is a process in bubblewrap, with the
user, the environment, the volumes and the read-only root that the pod asks for.

What the image has is taken from here: the interpreter's environment, the repository for the
installed package, and a folder for /app. Variables of the image are those of the Dockerfile.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.deploy.api import Api, Object, Objects, Rights, now
from tests.deploy.rendered import Rendered

#: the interpreter's environment, what that stands on, and the code
_HERE = tuple(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, REPOSITORY))
_TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def image_variables() -> dict[str, str]:
    """ENV of the Dockerfile, with the interpreter and the code of here."""
    text = (REPOSITORY / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    variables: dict[str, str] = {}
    for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE):
        variables |= dict(word.split("=", 1) for word in shlex.split(line))
    path = variables["PATH"].replace("/opt/flywheel", _HERE[0])
    ours = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**variables, "PATH": path, **ours}


@dataclass
class Container:
    """A process in a sandbox, whose first process is the reaper that tini is in the image."""

    process: subprocess.Popen[bytes]
    reaper: int

    def signal(self, which: signal.Signals) -> None:
        try:
            if which is signal.SIGKILL:
                os.kill(self.reaper, which)  # the first of its namespace: all of it ends
            else:
                children = Path(f"/proc/{self.reaper}/task/{self.reaper}/children").read_text()
                os.kill(int(children.split()[0]), which)
        except (ProcessLookupError, FileNotFoundError, IndexError):
            pass


@dataclass
class Cluster:
    """What was rendered, applied to one node. `app`: the folder that the image has as /app."""

    folder: Path
    site: Rendered
    app: Path
    containers: dict[str, Container] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.namespace = self.site.one("Namespace")["metadata"]["name"]
        self.objects = Objects(self.namespace)
        names = [each["metadata"]["name"] for each in self.site.of_kind("ServiceAccount")]
        self.accounts = {name: uuid.uuid4().hex for name in names}
        rights = Rights(self._rules())
        begin, end = self._start_job, self._end_job
        self.api = Api(self.folder, self.objects, rights, begin, end, self.log)
        self.port = self.api.start()

    def _rules(self) -> dict[str, list[Any]]:
        roles = {each["metadata"]["name"]: each["rules"] for each in self.site.of_kind("Role")}
        rules: dict[str, list[Any]] = {token: [] for token in self.accounts.values()}
        for binding in self.site.of_kind("RoleBinding"):
            for subject in binding["subjects"]:
                rules[self.accounts[subject["name"]]] += roles[binding["roleRef"]["name"]]
        return rules

    def stop(self) -> None:
        for container in list(self.containers.values()):
            container.signal(signal.SIGKILL)
            container.process.wait(20)
        self.api.stop()

    # --- pods

    def start_deployment(self, name: str) -> str:
        """A pod of it: its first containers to their end, then the others. Its name."""
        template = self.site.one("Deployment", name)["spec"]["template"]
        pod = f"{name}-{uuid.uuid4().hex[:5]}"
        for container in template["spec"].get("initContainers", ()):
            started = self._start(pod, template, container)
            assert started.process.wait(600) == 0, self.log(pod)
        (container,) = template["spec"]["containers"]
        self.containers[pod] = self._start(pod, template, container)
        return pod

    def log(self, pod: str) -> str:
        file = self.folder / f"{pod}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def kill(self, pod: str) -> None:
        """As the machine does that has no memory left."""
        self.containers[pod].signal(signal.SIGKILL)

    def _start_job(self, job: Object) -> None:
        threading.Thread(target=self._run_job, args=(job,), daemon=True).start()

    def _run_job(self, job: Object) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        labels = {**template["metadata"].get("labels", {}), "job-name": name}
        about = {"name": f"{name}-{uuid.uuid4().hex[:5]}", "labels": labels}
        pod = self.objects.add("pods", {
            "metadata": about, "spec": template["spec"], "status": {"phase": "Pending"},
        })["metadata"]["name"]  # fmt: skip
        (container,) = template["spec"]["containers"]
        self.objects.set_status("jobs", name, {"active": 1, "startTime": now()})
        started = self.containers[pod] = self._start(pod, template, container)
        running = {"name": container["name"], "restartCount": 0, "ready": True}
        state = {"running": {"startedAt": now()}}
        self.objects.set_status("pods", pod, {
            "phase": "Running", "startTime": now(),
            "containerStatuses": [{**running, "state": state}],
        })  # fmt: skip
        code = started.process.wait()
        state = {"terminated": {"exitCode": code % 256, "finishedAt": now()}}
        self.objects.set_status("pods", pod, {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{**running, "ready": False, "state": state}],
        })  # fmt: skip
        kind = "Failed" if code else "Complete"
        self.objects.set_status("jobs", name, {
            "active": 0, "failed" if code else "succeeded": 1,
            "conditions": [{"type": kind, "status": "True"}],
        })  # fmt: skip

    def _end_job(self, job: Object) -> None:
        threading.Thread(target=self._remove_job, args=(job,), daemon=True).start()

    def _remove_job(self, job: Object) -> None:
        """In the foreground: its pods first, each with its time to end."""
        name = job["metadata"]["name"]
        for pod in self.objects.all("pods", f"job-name={name}"):
            at = pod["metadata"]["name"]
            container = self.containers[at]
            container.signal(signal.SIGTERM)
            try:
                container.process.wait(pod["spec"]["terminationGracePeriodSeconds"])
                self.ends[at] = "SIGTERM"
            except subprocess.TimeoutExpired:
                container.signal(signal.SIGKILL)
                self.ends[at] = "SIGKILL"
                container.process.wait(20)
            self.objects.remove("pods", at)
        self.objects.remove("jobs", name)

    # --- a container

    def _start(self, pod: str, template: Object, container: Object) -> Container:
        read, write = os.pipe()
        environment = self._environment(template["spec"], container)
        argv = [_expanded(word, environment) for word in container["args"]]
        with (self.folder / f"{pod}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._sandbox(pod, template["spec"], container, write), "--", *argv],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(write,),
            )
        os.close(write)
        with os.fdopen(read) as told:
            text = told.read()
        assert text, self.log(pod)
        return Container(process, int(json.loads(text)["child-pid"]))

    def _sandbox(self, pod: str, spec: Object, container: Object, info: int) -> list[str]:
        who = spec["securityContext"]
        assert who["runAsNonRoot"]
        words = [
            "bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc",
            "--uid", str(who["runAsUser"]), "--gid", str(who["runAsGroup"]),
            "--info-fd", str(info), "--proc", "/proc", "--dev", "/dev",
            "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
        ]  # fmt: skip
        for name in ("bin", "lib", "lib64"):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        words += ["--ro-bind", str(self.app), "/app"]
        for path, source, is_file in self._mounts(pod, spec, container):
            words += ["--ro-bind" if is_file else "--bind", str(source), path]
        for path in set(_HERE) - {"/usr"}:  # may lie in /tmp
            words += ["--ro-bind", path, path]
        if container["securityContext"]["readOnlyRootFilesystem"]:
            words += ["--remount-ro", "/"]
        return [*words, "--chdir", "/app"]

    def _mounts(
        self, pod: str, spec: Object, container: Object
    ) -> Iterator[tuple[str, Path, bool]]:
        """Path in the container, what lies there, and whether it is only read."""
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                source = self._config(volume["configMap"]["name"])
                part = mount.get("subPath")
                yield mount["mountPath"], source / part if part else source, True
                continue
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim:
                self.site.one("PersistentVolumeClaim", claim)
            source = self.volume(claim or f"{pod}-{mount['name']}")
            yield mount["mountPath"], source, False
        if spec["automountServiceAccountToken"]:
            yield _TOKENS, self._token(spec["serviceAccountName"]), True

    def volume(self, name: str) -> Path:
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _config(self, name: str) -> Path:
        folder = self.volume(f"config-{name}")
        for file, text in self.site.one("ConfigMap", name)["data"].items():
            (folder / file).write_text(text)
        return folder

    def _token(self, account: str) -> Path:
        folder = self.volume(f"token-{account}")
        (folder / "token").write_text(self.accounts[account])
        (folder / "namespace").write_text(self.namespace)
        (folder / "ca.crt").write_bytes(self.api.ca.read_bytes())
        return folder

    def _environment(self, spec: Object, container: Object) -> dict[str, str]:
        variables = image_variables()
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                variables |= self.site.one("ConfigMap", source["configMapRef"]["name"])["data"]
            else:
                assert source["secretRef"]["optional"], "no Secret is here"
        if spec["automountServiceAccountToken"]:
            where = {"SERVICE_HOST": "127.0.0.1", "SERVICE_PORT": str(self.port)}
            variables |= {f"KUBERNETES_{name}": value for name, value in where.items()}
        for each in container.get("env", ()):
            if "value" in each:
                variables[each["name"]] = _expanded(each["value"] or "", variables)
            else:
                assert each["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
                variables[each["name"]] = self.namespace
        return variables


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda name: variables.get(name[1], name[0]), text)
