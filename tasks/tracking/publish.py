"""Publishes one turn to MLflow: a parent run, a child a release, registry, rows, artifacts.

Called again for the same turn it leaves one finished parent run: a whole one is only read back,
the remains of an attempt that was killed are deleted first. Knows nothing of DuckDB or HTML.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.model.answer import JudgedSample, Role
from tasks.model.turn import Turn
from tasks.settings import Settings
from tasks.tracking import links, values
from tasks.tracking.session import Session, open_session

_BATCH_PARAMS = 100


@dataclass(frozen=True, slots=True)
class Links:
    """Ids and paths a page about the turn needs; paths follow the server address.

    `rows_sent`: the samples of each release that the evaluation view holds.
    """

    mlflow_run_id: str
    experiment_id: str
    child_run_ids: Mapping[str, str]
    compare_url_path: str
    run_url_path: str
    rows_sent: int


@dataclass(frozen=True, slots=True)
class Pages:
    """What is shown of the turn: the note (markdown) and the files beside it."""

    note: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What stands in MLflow now."""

    links: Links
    rows_capped: int
    versions: Mapping[str, str]
    prompts: tuple[str, ...]
    not_registered: tuple[str, ...]
    undefined_metrics: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Published:
        value = json.loads(text)
        tuples = {
            key: tuple(value[key]) for key in ("prompts", "not_registered", "undefined_metrics")
        }
        return cls(**{**value, **tuples, "links": Links(**value["links"])})


#: called with (done, total, what) while rows go out
OnProgress = Callable[[int, int, str], None]


def publish(
    settings: Settings,
    turn: Turn,
    draw: Callable[[Links], Pages],
    on_progress: OnProgress = lambda done, total, note: None,
) -> Published:
    """Record the turn; `draw` makes the pages once the ids are known. Returns what stands there.

    Raises StoreError, transient where a server does not answer; nothing half-done counts.
    """
    with open_session(settings) as session:
        whole, leftovers = _earlier_attempts(session, turn.run_id)
        for parent_run_id in leftovers:
            _delete_attempt(session, parent_run_id)
        if whole is not None:
            draw(whole.links)
            return whole
        return _publish(session, settings, turn, draw, on_progress)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What every release is recorded with: `dataset` is a DatasetInput."""

    dataset: Any
    rows: tuple[JudgedSample, ...]
    started_ms: int
    on_sent: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """One release as it stands in MLflow."""

    registered: Any
    prompts: tuple[str, ...]
    not_registered: tuple[str, ...]
    undefined_metrics: tuple[str, ...]


def _publish(
    session: Session,
    settings: Settings,
    turn: Turn,
    draw: Callable[[Links], Pages],
    on_progress: OnProgress,
) -> Published:
    from tasks.tracking import rows
    from tasks.tracking.datasets import dataset_input

    chosen = rows.choose_rows(turn.judged, settings.mlflow.max_rows)
    ids = _create_runs(session, turn, len(chosen))
    batch = _Batch(
        dataset=dataset_input(turn, str(settings.store_path)),
        rows=chosen,
        started_ms=time.time_ns() // 1_000_000,
        on_sent=_counted(on_progress, len(turn.releases) * len(chosen)),
    )
    session.client.log_inputs(ids.mlflow_run_id, datasets=[batch.dataset])
    recorded = {
        role: _record_release(session, turn, role, ids.child_run_ids[role], batch)
        for role in turn.releases
    }
    metrics = values.parent_metrics(turn)
    params = values.parent_params(turn)
    _log(session, ids.mlflow_run_id, params, metrics.defined, batch.started_ms)
    registered = {role: each.registered for role, each in recorded.items()}
    published = Published(
        links=ids,
        rows_capped=len(turn.judged) - len(chosen),
        versions={role: f"{each.name} v{each.version}" for role, each in registered.items()},
        prompts=tuple(dict.fromkeys(uri for each in recorded.values() for uri in each.prompts)),
        not_registered=tuple(name for each in recorded.values() for name in each.not_registered),
        undefined_metrics=(
            *(name for each in recorded.values() for name in each.undefined_metrics),
            *metrics.undefined,
        ),
    )
    _finish(session, turn, published, draw(ids))
    # last of all, so that its presence says the record is whole
    session.client.set_terminated(ids.mlflow_run_id, status="FINISHED")
    return published


def _record_release(
    session: Session, turn: Turn, role: Role, run_id: str, batch: _Batch
) -> _Recorded:
    """Registry, inputs, params, metrics and rows of one release."""
    from mlflow.entities import LoggedModelInput

    from tasks.tracking import registry, rows

    release = turn.releases[role]
    prompts, too_long = registry.register_prompts(session, release)
    registered = registry.register_release(session, release, prompts)
    model_id = registered.model_id
    models = [LoggedModelInput(model_id)]
    session.client.log_inputs(run_id, datasets=[batch.dataset], models=models)
    _link_prompts(session, run_id, prompts)
    metrics = values.child_metrics(turn, role)
    _log(
        session, run_id, values.release_params(release), metrics.defined, batch.started_ms,
        model_id=model_id, dataset=batch.dataset.dataset,
    )  # fmt: skip
    rows.send_rows(
        session, turn, role, batch.rows,
        mlflow_run_id=run_id, model_id=model_id, on_sent=batch.on_sent,
    )  # fmt: skip
    return _Recorded(
        registered=registered,
        prompts=tuple(prompt.uri for prompt in prompts),
        not_registered=tuple(f"{release.name}: {task}" for task in too_long),
        undefined_metrics=tuple(f"{role}: {key}" for key in metrics.undefined),
    )


def _counted(on_progress: OnProgress, total: int) -> Callable[[int], None]:
    """Adds up what each chunk sent, over all releases."""
    done = 0

    def tell(num_rows: int) -> None:
        nonlocal done
        done += num_rows
        on_progress(done, total, "rows to MLflow")

    return tell


def _finish(session: Session, turn: Turn, published: Published, pages: Pages) -> None:
    """Artifacts, note and tags; the children are ended, the parent not yet."""
    client, parent = session.client, published.links.mlflow_run_id
    client.log_dict(parent, verdict_json(turn), "verdict.json")
    for file in pages.files:
        client.log_artifact(parent, str(file))
    tags = {
        "mlflow.note.content": values.shortened(pages.note, values.MAX_TAG_CHARS),
        values.VERDICT_TAG: turn.verdict.verdict,
        **{f"flywheel.{role}": version for role, version in published.versions.items()},
    }
    if published.undefined_metrics:
        names = ", ".join(published.undefined_metrics)
        tags["flywheel.undefined_metrics"] = values.shortened(names, values.MAX_TAG_CHARS)
    for key, value in tags.items():
        client.set_tag(parent, key, value)
    for child in published.links.child_run_ids.values():
        client.set_tag(child, values.VERDICT_TAG, turn.verdict.verdict)
        client.set_terminated(child, status="FINISHED")
    client.log_text(parent, published.to_json(), "published.json")
    client.set_tag(parent, values.RECORDED_TAG, "published.json")


def verdict_json(turn: Turn) -> dict[str, Any]:
    """What the gate decided and on what, for other programs."""
    verdict = turn.verdict
    return {
        "run_id": turn.run_id,
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "suites": [suite.to_json() for suite in verdict.suites],
        "slices": [asdict(part) for part in verdict.slices],
        "eval_set_digest": turn.eval_set.digest,
        **{f"{role}_digest": release.digest for role, release in turn.releases.items()},
        "request": dict(turn.request),
        "decided_at": verdict.decided_at.isoformat(),
        "versions": dict(turn.versions),
    }


def _create_run(session: Session, turn: Turn, name: str, tags: Mapping[str, str]) -> str:
    run = session.client.create_run(
        session.experiment_id,
        run_name=name,
        tags={
            values.RUN_ID_TAG: turn.run_id,
            "mlflow.source.name": "flywheel",
            "mlflow.source.type": "JOB",
            **tags,
        },
    )
    run_id: str = run.info.run_id
    return run_id


def _create_runs(session: Session, turn: Turn, rows_sent: int) -> Links:
    parent = _create_run(session, turn, turn.run_id, {values.ROLE_TAG: "parent"})
    children = {role: _create_child(session, turn, role, parent) for role in turn.releases}
    return Links(
        mlflow_run_id=parent,
        experiment_id=session.experiment_id,
        child_run_ids={str(role): run_id for role, run_id in children.items()},
        compare_url_path=links.compare_path(
            session.experiment_id, children["challenger"], children["champion"]
        ),
        run_url_path=links.run_path(session.experiment_id, parent),
        rows_sent=rows_sent,
    )


def _create_child(session: Session, turn: Turn, role: Role, parent: str) -> str:
    name = f"{role}: {turn.releases[role].name} · {turn.run_id}"
    return _create_run(
        session, turn, name,
        {
            values.ROLE_TAG: role, "mlflow.parentRunId": parent,
            "mlflow.runType": "genai_evaluate", "flywheel.release": turn.releases[role].name,
        },
    )  # fmt: skip


def _log(
    session: Session,
    run_id: str,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    timestamp_ms: int,
    *,
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    from mlflow.entities import Metric, Param

    of_dataset = {} if dataset is None else {
        "dataset_name": dataset.name, "dataset_digest": dataset.digest, "model_id": model_id,
    }  # fmt: skip
    entries = [Metric(key, value, timestamp_ms, 0, **of_dataset) for key, value in metrics.items()]
    session.client.log_batch(run_id, metrics=entries)
    pairs = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(pairs), _BATCH_PARAMS):
        session.client.log_batch(run_id, params=pairs[start : start + _BATCH_PARAMS])


def _link_prompts(session: Session, run_id: str, prompts: Any) -> None:
    """What MLflow's own link_prompt_version_to_run writes, without its process-wide address."""
    linked = [{"name": prompt.name, "version": prompt.version} for prompt in prompts]
    if linked:
        session.client.set_tag(run_id, "mlflow.linkedPrompts", json.dumps(linked))


def _earlier_attempts(session: Session, flywheel_run_id: str) -> tuple[Published | None, list[str]]:
    """The whole record of this turn, if there is one, and the parents of unfinished attempts."""
    attempts = session.client.search_runs(
        [session.experiment_id],
        f"tags.`{values.RUN_ID_TAG}` = '{flywheel_run_id}' AND tags.`{values.ROLE_TAG}` = 'parent'",
    )
    whole = [run for run in attempts if run.info.status == "FINISHED"]
    leftovers = [run.info.run_id for run in attempts if run not in whole]
    if not whole:
        return None, leftovers
    leftovers += [run.info.run_id for run in whole[1:]]
    return _read_back(session, whole[0].info.run_id), leftovers


def _read_back(session: Session, parent_run_id: str) -> Published:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="flywheel-") as folder:
        file = session.client.download_artifacts(parent_run_id, "published.json", folder)
        return Published.from_json(Path(file).read_text(encoding="utf-8"))


def _delete_attempt(session: Session, parent_run_id: str) -> None:
    """Children with their traces first, the parent last: a kill in here is found again."""
    from tasks.tracking.rows import delete_rows

    children = session.client.search_runs(
        [session.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_run_id}'"
    )
    for child in children:
        delete_rows(session, child.info.run_id)
        session.client.delete_run(child.info.run_id)
    session.client.delete_run(parent_run_id)
