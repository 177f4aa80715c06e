"""Releases as versions of a registered model, and their prompts in the prompt registry.

A digest that is registered already is found by its tag and used again: registering the same thing
twice would make a second version of it. Imports mlflow: import this module late.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.exceptions import MlflowException

from tasks.model.release import Release
from tasks.tracking import links
from tasks.tracking.session import Session
from tasks.tracking.values import MAX_PARAM_CHARS, release_params, shortened

DIGEST_TAG = "flywheel.release_digest"
RELEASE_TAG = "flywheel.release"
PROMPT_DIGEST_TAG = "flywheel.prompt_digest"
#: MLflow's own tags: which experiments show a prompt, which prompts a run used
_PROMPT_EXPERIMENTS_TAG = "_mlflow_experiment_ids"
#: MLflow stores a prompt as a tag of at most 100,000 characters
_MAX_PROMPT_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class PromptVersion:
    name: str
    version: str

    @property
    def uri(self) -> str:
        return f"prompts:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Registered:
    """A release in MLflow; `model_id` is its logged model, which metrics and traces point at.

    `too_long`: tasks whose prompts are too long to register.
    """

    name: str
    version: str
    model_id: str
    prompts: tuple[PromptVersion, ...]
    too_long: tuple[str, ...]


def register(session: Session, release: Release) -> Registered:
    """Every prompt of a release, once a text, then the release; found where they are registered.

    Which version is champion is not ours to say.
    """
    made: list[PromptVersion] = []
    too_long: list[str] = []
    for task, template in sorted(release.prompts.items()):
        text = json.dumps(template, sort_keys=True)
        if not template:
            continue
        if len(json.dumps(template)) > _MAX_PROMPT_CHARS:
            too_long.append(task)
            continue
        name = links.prompt_name(session.experiment, task)
        digest = hashlib.sha256(text.encode()).hexdigest()
        version = _find_prompt(session, name, digest, template)
        if version is None:
            version = _create_prompt(session, name, digest, template, release)
        made.append(PromptVersion(name, version))
    prompts = tuple(made)
    name = links.model_name(session.experiment)
    found = _find_version(session, name, release.digest)
    if found is None:
        found = _create_version(session, name, release, prompts)
    return Registered(name, *found, prompts, tuple(too_long))


def _create_version(
    session: Session, name: str, release: Release, prompts: tuple[PromptVersion, ...]
) -> tuple[str, str]:
    """Version and id of the logged model."""
    try:
        session.client.create_registered_model(
            name, description="Releases: each version is a model, its prompts and settings."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model_id = _logged_model(session, release)
    # the version's page shows neither source nor params, so they are repeated
    tags = {
        DIGEST_TAG: release.digest,
        RELEASE_TAG: release.name,
        "flywheel.model": shortened(release.model, MAX_PARAM_CHARS),
        "flywheel.model_digest": release.model_digest,
        PROMPT_DIGEST_TAG: release.prompt_digest,
        "flywheel.prompts": json.dumps([prompt.uri for prompt in prompts]),
        "flywheel.sampling": json.dumps(dict(release.sampling), sort_keys=True),
        "flywheel.engine": json.dumps(dict(release.engine), sort_keys=True),
    }
    uris = ", ".join(prompt.uri for prompt in prompts) or "as logged"
    description = (
        f"Release {release.name}: model {release.model} ({release.model_digest[:12]}), "
        f"prompts {uris}. Digest {release.digest}."
    )
    version = session.client.create_model_version(
        name,
        source=f"models:/{model_id}",
        model_id=model_id,
        tags=tags,
        description=shortened(description, 5_000),
    )
    return str(version.version), model_id


def _find_version(session: Session, name: str, digest: str) -> tuple[str, str] | None:
    page = session.client.search_model_versions(
        f"name = '{name}' AND tag.`{DIGEST_TAG}` = '{digest}'", max_results=1
    )
    for version in page:
        model_id = version.model_id or version.source.removeprefix("models:/")
        return str(version.version), model_id
    return None


def _logged_model(session: Session, release: Release) -> str:
    """The logged model of a release: one left by a run that was killed is used again."""
    from mlflow.entities import LoggedModelStatus
    from mlflow.models.model import MLMODEL_FILE_NAME
    from mlflow.models.utils import get_external_mlflow_model_spec

    client = session.client
    found = client.search_logged_models(
        [session.experiment_id], f"tags.`{DIGEST_TAG}` = '{release.digest}'", max_results=1
    )
    params = release_params(release)
    model = found[0] if found else client.create_logged_model(
        experiment_id=session.experiment_id,
        name=links.slug(release.name),
        tags={DIGEST_TAG: release.digest, "mlflow.model.isExternal": "true"},
        params=params,
        model_type="release",
    )  # fmt: skip
    if model.status != LoggedModelStatus.READY:
        with TemporaryDirectory(prefix="flywheel-") as folder:
            get_external_mlflow_model_spec(model).save(f"{folder}/{MLMODEL_FILE_NAME}")
            client.log_model_artifacts(model_id=model.model_id, local_dir=folder)
        client.finalize_logged_model(model_id=model.model_id, status=LoggedModelStatus.READY)
    model_id: str = model.model_id
    return model_id


def _find_prompt(session: Session, name: str, digest: str, template: Any) -> str | None:
    if session.client.get_prompt(name) is None:
        return None
    token: str | None = None
    while True:
        page = session.client.search_prompt_versions(name, max_results=100, page_token=token)
        for version in page:
            if version.tags.get(PROMPT_DIGEST_TAG) == digest or version.template == template:
                return str(version.version)
        token = page.token
        if not token:
            return None


def _create_prompt(
    session: Session, name: str, digest: str, template: Any, release: Release
) -> str:
    if session.client.get_prompt(name) is None:
        session.client.create_prompt(
            name, tags={_PROMPT_EXPERIMENTS_TAG: f",{session.experiment_id},"}
        )
    made = session.client.create_prompt_version(
        name,
        template,
        description=f"first used by release {release.name} ({release.digest[:12]})",
        tags={PROMPT_DIGEST_TAG: digest},
    )
    return str(made.version)
