"""Publishes one turn to MLflow: a parent run, a child a release, registry, rows, artifacts.

Called again for the same turn it leaves one finished parent run: a whole one is only read back,
the remains of an attempt that was killed are deleted first. Knows nothing of DuckDB or HTML.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasks.model.alias import AliasName
from tasks.model.answer import Role
from tasks.model.release import Release
from tasks.model.turn import Turn
from tasks.model.verdict import RecordedVerdict
from tasks.report import wording
from tasks.settings import Settings
from tasks.tracking import links, values
from tasks.tracking.session import Session, open_session

if TYPE_CHECKING:
    from tasks.tracking.registry import Registered

_BATCH_PARAMS = 100
_NOTE_TAG = "mlflow.note.content"
_NONE: Mapping[AliasName, Release] = MappingProxyType({})


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

    @property
    def runs_path(self) -> str:
        """All verdicts."""
        return links.runs_path(self.experiment_id)

    def artifact_path(self, name: str) -> str:
        """A file beside the turn's run."""
        return links.artifact_path(self.experiment_id, self.mlflow_run_id, name)

    def compare_path(self, role: Role) -> str:
        """One challenger beside the champion; `compare_url_path` is that of the leading one."""
        children = self.child_run_ids
        return links.compare_path(self.experiment_id, children[role], children["champion"])


@dataclass(frozen=True, slots=True)
class Pages:
    """What is shown of the turn: the note (markdown), the pages, and the receipt beside them."""

    note: str
    files: tuple[Path, ...]
    receipt: Path | None = None


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
    promoted: Mapping[AliasName, Release] = _NONE,
) -> Published:
    """Record the turn; `draw` makes the pages once the ids are known. Returns what stands there.
    `promoted`: what the aliases of the store point at, for MLflow's to follow.

    Raises StoreError, transient where a server does not answer; nothing half-done counts.
    """
    with open_session(settings) as session:
        from tasks.tracking.view import bring_view

        whole, leftovers = _earlier_attempts(session, turn.run_id)
        for parent_run_id in leftovers:
            _delete_attempt(session, parent_run_id)
        if promoted:
            from tasks.tracking.aliases import point

            point(session, promoted)
        bring_view(session)
        if whole is not None:
            draw(whole.links)
            return whole
        return _publish(session, settings, turn, draw, on_progress)


def _publish(
    session: Session,
    settings: Settings,
    turn: Turn,
    draw: Callable[[Links], Pages],
    on_progress: OnProgress,
) -> Published:
    from tasks.tracking import registry, rows
    from tasks.tracking.datasets import dataset_input, log_inputs

    chosen = rows.choose_rows(turn.judged, settings.mlflow.max_rows)
    ids = _create_runs(session, turn, len(chosen))
    dataset = dataset_input(turn, str(settings.store_path))
    logs, num_more = log_inputs(turn)
    session.client.log_inputs(ids.mlflow_run_id, datasets=[dataset, *logs])
    if num_more:
        session.client.set_tag(ids.mlflow_run_id, "flywheel.more_log_files", str(num_more))
    registered = {
        role: registry.register(session, release) for role, release in turn.releases.items()
    }
    for role, made in registered.items():
        registry.tell_verdict(session, made, turn, role, ids.run_url_path)
    of_children = {role: values.child_metrics(turn, role) for role in turn.releases}
    on_sent = _counted(on_progress, len(turn.releases) * len(chosen))
    for role, release in turn.releases.items():
        run_id, model_id = ids.child_run_ids[role], registered[role].model_id
        _log_inputs(session, run_id, registered[role], dataset)
        params = values.release_params(release)
        log_values(session, run_id, params, of_children[role].defined, model_id, dataset.dataset)
        rows.send_rows(
            session, turn, role, chosen, mlflow_run_id=run_id, model_id=model_id, on_sent=on_sent
        )
    of_parent = values.parent_metrics(turn)
    log_values(session, ids.mlflow_run_id, values.parent_params(turn), of_parent.defined)
    published = Published(
        links=ids,
        rows_capped=len(turn.judged) - len(chosen),
        versions={role: f"{made.name} v{made.version}" for role, made in registered.items()},
        prompts=tuple(
            dict.fromkeys(prompt.uri for made in registered.values() for prompt in made.prompts)
        ),
        not_registered=tuple(
            f"{turn.releases[role].name}: {task}"
            for role, made in registered.items()
            for task in made.too_long
        ),
        undefined_metrics=(
            *(f"{role}: {key}" for role, own in of_children.items() for key in own.undefined),
            *of_parent.undefined,
        ),
    )
    _finish(session, turn, published, draw(ids))
    # last of all, so that its presence says the record is whole
    session.client.set_terminated(ids.mlflow_run_id, status="FINISHED")
    return published


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
    lay_beside(session, parent, pages)
    tags = {
        _NOTE_TAG: values.shortened(pages.note, values.MAX_TAG_CHARS),
        values.VERDICT_TAG: turn.verdict.verdict,
        **values.columns(turn.verdict),
        **{f"flywheel.{role}": version for role, version in published.versions.items()},
    }
    if published.undefined_metrics:
        names = ", ".join(published.undefined_metrics)
        tags["flywheel.undefined_metrics"] = values.shortened(names, values.MAX_TAG_CHARS)
    for key, value in tags.items():
        client.set_tag(parent, key, value)
    for role, child in published.links.child_run_ids.items():
        client.set_tag(child, values.VERDICT_TAG, turn.verdicts.get(role, turn.verdict).verdict)
        client.set_tag(child, _NOTE_TAG, _child_note(turn, role, published.links))
        client.set_terminated(child, status="FINISHED")
    client.log_text(parent, published.to_json(), "published.json")
    client.set_tag(parent, values.RECORDED_TAG, "published.json")


def lay_beside(session: Session, run_id: str, pages: Pages) -> None:
    """Pages and receipt, in the place of those that lie there, and which receipt that is."""
    for file in pages.files:
        session.client.log_artifact(run_id, str(file))
    if pages.receipt is not None:
        session.client.log_artifact(run_id, str(pages.receipt))
        digest = hashlib.sha256(pages.receipt.read_bytes()).hexdigest()
        session.client.set_tag(run_id, values.RECEIPT_TAG, f"sha256:{digest}")


def verdict_json(turn: Turn) -> dict[str, Any]:
    """What the gate decided and on what, for other programs."""
    return {
        "run_id": turn.run_id,
        **_told(turn.verdict),
        "challengers": [
            {"release": turn.releases[role].name, "role": role, **_told(verdict)}
            for role, verdict in turn.verdicts.items()
        ],
        "ranking": [
            {**asdict(rank), "release": turn.releases[rank.role].name} for rank in turn.ranking
        ],
        "eval_set_digest": turn.eval_set.digest,
        **{f"{role}_digest": release.digest for role, release in turn.releases.items()},
        "request": dict(turn.request),
        "decided_at": turn.verdict.decided_at.isoformat(),
        "versions": dict(turn.versions),
    }


def _told(verdict: RecordedVerdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "suites": [suite.to_json() for suite in verdict.suites],
        "slices": [asdict(part) for part in verdict.slices],
        "guardrails": [part.to_json() for part in verdict.guardrails],
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


def _child_note(turn: Turn, role: Role, ids: Links) -> str:
    """Where the verdict on a release is, and its answers beside the other's."""
    whole = f"[{_run_name(turn)}]({ids.run_url_path.removeprefix('/')})"
    others = [role] if role in turn.verdicts else list(turn.verdicts)
    compared = " · ".join(
        f"[row by row: {turn.releases[other].name} and {turn.releases['champion'].name}]"
        f"({ids.compare_path(other).removeprefix('/')})"
        for other in others
    )
    return f"Answers of **{turn.releases[role].name}** in {whole} · {compared}"


def _run_name(turn: Turn) -> str:
    leading = turn.leading
    challengers = [leading, *(role for role in turn.verdicts if role != leading)]
    names = [turn.releases[role].name for role in challengers]
    return wording.run_name(names, turn.releases["champion"].name, turn.verdict.verdict)


def _create_runs(session: Session, turn: Turn, rows_sent: int) -> Links:
    parent = _create_run(session, turn, _run_name(turn), {values.ROLE_TAG: "parent"})
    children = {role: _create_child(session, turn, role, parent) for role in turn.releases}
    return Links(
        mlflow_run_id=parent,
        experiment_id=session.experiment_id,
        child_run_ids={str(role): run_id for role, run_id in children.items()},
        compare_url_path=links.compare_path(
            session.experiment_id, children[turn.leading], children["champion"]
        ),
        run_url_path=links.run_path(session.experiment_id, parent),
        rows_sent=rows_sent,
    )


def _create_child(session: Session, turn: Turn, role: Role, parent: str) -> str:
    # MLflow cuts names from the right, and shows them beside those of other verdicts
    verdict = turn.verdicts.get(role)
    came_to = "champion" if verdict is None else wording.heading(verdict.verdict)
    name = f"{turn.releases[role].name} · {came_to}"
    return _create_run(
        session, turn, name,
        {
            values.ROLE_TAG: role, "mlflow.parentRunId": parent,
            "mlflow.runType": "genai_evaluate", "flywheel.release": turn.releases[role].name,
        },
    )  # fmt: skip


def log_values(
    session: Session,
    run_id: str,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    from mlflow.entities import Metric, Param

    now_ms = time.time_ns() // 1_000_000
    of_dataset = {} if dataset is None else {
        "dataset_name": dataset.name, "dataset_digest": dataset.digest, "model_id": model_id,
    }  # fmt: skip
    entries = [Metric(key, value, now_ms, 0, **of_dataset) for key, value in metrics.items()]
    session.client.log_batch(run_id, metrics=entries)
    pairs = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(pairs), _BATCH_PARAMS):
        session.client.log_batch(run_id, params=pairs[start : start + _BATCH_PARAMS])


def _log_inputs(session: Session, run_id: str, registered: Registered, dataset: Any) -> None:
    from mlflow.entities import LoggedModelInput

    models = [LoggedModelInput(registered.model_id)]
    session.client.log_inputs(run_id, datasets=[dataset], models=models)
    # what MLflow's own link_prompt_version_to_run writes, without its process-wide address
    linked = [{"name": prompt.name, "version": prompt.version} for prompt in registered.prompts]
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
    with TemporaryDirectory(prefix="flywheel-") as folder:
        run_id = whole[0].info.run_id
        file = session.client.download_artifacts(run_id, "published.json", folder)
        text = Path(file).read_text(encoding="utf-8")
    try:
        return Published.from_json(text), leftovers
    except (KeyError, TypeError, ValueError):  # written by another build: recorded anew
        return None, [*leftovers, run_id]


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
