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

from tasks.model.answer import Role
from tasks.model.release import Release
from tasks.model.turn import Turn
from tasks.report import wording
from tasks.tracking import links
from tasks.tracking.session import Session
from tasks.tracking.values import MAX_PARAM_CHARS, VERDICT, release_params, shortened

DIGEST_TAG = "flywheel.release_digest"
RELEASE_TAG = "flywheel.release"
_NOT_JUDGED = "not judged"
#: of a version: the run that judged it last
JUDGED_TAG = "flywheel.run_id"
#: of a prompt version: the releases that use it
RELEASES_TAG = "releases"
PROMPT_DIGEST_TAG = "flywheel.prompt_digest"
#: MLflow's own tags: which experiments show a prompt, which prompts a run used
_PROMPT_EXPERIMENTS_TAG = "_mlflow_experiment_ids"
_IS_PROMPT_TAG = "mlflow.prompt.is_prompt"
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
        found = _find_prompt(session, name, digest, template)
        if found is None:
            version = _create_prompt(session, name, digest, template, release)
        else:
            version = str(found.version)
            _name_user(session, name, found, release)
        made.append(PromptVersion(name, version))
    prompts = tuple(made)
    name = links.model_name(session.experiment)
    place = _find_version(session, name, release.digest)
    if place is None:
        place = _create_version(session, name, release, prompts)
    return Registered(name, *place, prompts, tuple(too_long))


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
    # a list of versions shows all tags in a narrow column, in the order of writing: so the engine's
    # settings, which are params of the logged model, are none
    tags = {
        RELEASE_TAG: release.name,
        VERDICT: _NOT_JUDGED,
        "flywheel.model": shortened(release.model, MAX_PARAM_CHARS),
        DIGEST_TAG: release.digest,
        "flywheel.model_digest": release.model_digest,
        PROMPT_DIGEST_TAG: release.prompt_digest,
        "flywheel.prompts": json.dumps([prompt.uri for prompt in prompts]),
    }
    version = session.client.create_model_version(
        name,
        source=f"models:/{model_id}",
        model_id=model_id,
        tags=tags,
        description=_description(release, prompts, _NOT_JUDGED),
    )
    return str(version.version), model_id


def _description(release: Release, prompts: tuple[PromptVersion, ...], standing: str) -> str:
    """What one looks for first: lists show its beginning."""
    named = ", ".join(f"`{prompt.name}` v{prompt.version}" for prompt in prompts) or "as logged"
    sampling = ", ".join(f"{key} {value}" for key, value in sorted(release.sampling.items()))
    lines = [
        f"{release.name}: {standing}",
        "",
        f"- model `{release.model}` ({release.model_digest[:12]})",
        f"- prompts {named}",
        f"- sampling {sampling or 'as the model has it'}",
        f"- digest `{release.digest}`",
    ]
    return shortened("\n".join(lines), 5_000)


def tell_verdict(
    session: Session, registered: Registered, turn: Turn, role: Role, run_path: str
) -> None:
    """What the newest turn found of a release, in the tags and the description of its version. Of a
    champion that was never judged, that it was one. An older turn that is recorded late changes
    nothing."""
    client, release = session.client, turn.releases[role]
    told = client.get_model_version(registered.name, registered.version).tags
    verdict = turn.verdicts.get(role)
    if turn.run_id < told.get(JUDGED_TAG, "") or (verdict is None and JUDGED_TAG in told):
        return
    run = f"[run {turn.run_id}](../#{run_path.removeprefix('/#')})"
    if verdict is None:
        standing, tags = f"champion in {run}", {}
    else:
        champion = turn.releases["champion"].name
        heading = wording.heading(verdict.verdict)
        standing = f"{heading} against {champion} in {run}"
        tags = {VERDICT: heading, "against": champion, JUDGED_TAG: turn.run_id}
    for key, value in tags.items():
        client.set_model_version_tag(registered.name, registered.version, key, value)
    description = _description(release, registered.prompts, standing)
    client.update_model_version(registered.name, registered.version, description)


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


def _find_prompt(session: Session, name: str, digest: str, template: Any) -> Any:
    """MLflow's version of the prompt with that text; None where there is none."""
    if session.client.get_prompt(name) is None:
        return None
    ours = session.client.search_model_versions(
        f"name = '{name}' AND tag.`{_IS_PROMPT_TAG}` = 'true' "
        f"AND tag.`{PROMPT_DIGEST_TAG}` = '{digest}'",
        max_results=1,
    )
    for version in ours:
        return version
    # registered by somebody else, or by a build that did not name the digest
    token: str | None = None
    while True:
        page = session.client.search_prompt_versions(name, max_results=100, page_token=token)
        for version in page:
            if version.template == template:
                return version
        token = page.token
        if not token:
            return None


def _name_user(session: Session, name: str, version: Any, release: Release) -> None:
    """The release among those that use the prompt."""
    named = [one for one in version.tags.get(RELEASES_TAG, "").split(", ") if one]
    if release.name not in named:
        text = shortened(", ".join(sorted([*named, release.name])), MAX_PARAM_CHARS)
        session.client.set_prompt_version_tag(name, str(version.version), RELEASES_TAG, text)


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
        tags={RELEASES_TAG: release.name, PROMPT_DIGEST_TAG: digest},
    )
    return str(made.version)
