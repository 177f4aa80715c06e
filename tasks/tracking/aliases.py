"""The aliases of MLflow's registered model follow those of the store, which are what counts.

Whoever moves them asks; so does every run that is recorded, so that what MLflow missed while it was
away it has after the next run. Imports mlflow: import this module late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from tasks.model.alias import AliasName
from tasks.model.release import Release
from tasks.settings import Settings
from tasks.tracking import links, registry
from tasks.tracking.session import Session, open_session

#: on a version that somebody made champion in MLflow and that may not be: why
REFUSED_TAG = "flywheel.refused"
MAX_TAG = 1_000


def bring_in_line(settings: Settings, releases: Mapping[AliasName, Release]) -> dict[str, str]:
    """Alias → version that it points at now. Raises StoreError, transient where MLflow is away."""
    with open_session(settings) as session:
        return point(session, releases)


@dataclass(frozen=True, slots=True)
class Pointed:
    """A version that an alias in MLflow points at; `digest` of the release that it is, empty: of
    none of ours."""

    version: str
    digest: str
    release: str


def pointed_at(settings: Settings, alias: AliasName) -> Pointed | None:
    """None where there is no such alias. Raises StoreError."""
    with open_session(settings) as session:
        name = links.model_name(session.experiment)
        version = _aliases(session, name).get(alias)
        if version is None:
            return None
        tags = session.client.get_model_version(name, version).tags
        digest = tags.get(registry.DIGEST_TAG, "")
        return Pointed(str(version), digest, tags.get(registry.RELEASE_TAG, ""))


def refuse(
    settings: Settings, refused: Pointed, releases: Mapping[AliasName, Release], why: str
) -> None:
    """Move the alias `champion` back to where the store's is, or away where it has none; the page
    of the version says why. Raises StoreError."""
    with open_session(settings) as session:
        name = links.model_name(session.experiment)
        session.client.set_model_version_tag(name, refused.version, REFUSED_TAG, why[:MAX_TAG])
        if "champion" in releases:
            point(session, releases)
        else:
            session.client.delete_registered_model_alias(name, "champion")


def _aliases(session: Session, name: str) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = session.client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return found


def point(session: Session, releases: Mapping[AliasName, Release]) -> dict[str, str]:
    """A release that is no version yet becomes one. What points there already is left alone."""
    pointed: dict[str, str] = {}
    for alias, release in releases.items():
        made = registry.register(session, release)
        pointed[alias] = made.version
        there = session.client.get_registered_model(made.name).aliases
        if str(there.get(alias, "")) != made.version:
            session.client.set_registered_model_alias(made.name, alias, made.version)
    return pointed
