"""The aliases of MLflow's registered model follow those of the store, which are what counts.

Whoever moves them asks; so does every run that is recorded, so that what MLflow missed while it was
away it has after the next run. Imports mlflow: import this module late.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.model.alias import AliasName
from tasks.model.release import Release
from tasks.settings import Settings
from tasks.tracking import registry
from tasks.tracking.session import Session, open_session


def bring_in_line(settings: Settings, releases: Mapping[AliasName, Release]) -> dict[str, str]:
    """Alias → version that it points at now. Raises StoreError, transient where MLflow is away."""
    with open_session(settings) as session:
        return point(session, releases)


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
