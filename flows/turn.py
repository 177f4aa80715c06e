"""One turn of the flywheel: begin or resume a run, execute its stages, keep the ledger.

Knows nothing of Prefect: the flow hands in how a stage is executed, everything else is the same
for `flywheel run`, `flywheel run --inline` and the nightly deployment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.events import lineage_events
from flows.options import Options
from flows.stages import place_of, stage_function, stages_of
from tasks.answering.journal import fold
from tasks.champion import champion_in_force
from tasks.errors import FlywheelError, StoreBusyError, StoreError, UsageError
from tasks.model.answer import Role
from tasks.model.commitment import Commitment
from tasks.model.erasure import erased
from tasks.model.profile import of_pair, profiles_in
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.model.urls import STDIN, is_url
from tasks.model.verdict import SHIPS, Rank, RecordedVerdict
from tasks.model.window import window
from tasks.processes import this_process
from tasks.receipts.commitment import commitment
from tasks.releases.retirement import due
from tasks.report.warnings import warnings
from tasks.run import Progress, Run, raw_key, silent, utc_now
from tasks.safekeeping.contents import UNFINISHED
from tasks.safekeeping.purge import KEPT_DAYS, purge
from tasks.settings import Settings, find_config
from tasks.store import Store
from tasks.store.control import erasures, ledger, verdicts
from tasks.store.control.commitments import commit
from tasks.store.folder import private
from tasks.store.held.raw_key import sealed_elsewhere
from tasks.store.leasing import leased
from tasks.store.opening import open_store, store_exists

#: what the objects of --json follow (tasks/model/schemas); within one number keys are only added
SCHEMA = "flywheel/verdict/1"
RECORD = "record"
#: stages to which it matters which release is champion
_OF_RELEASES = {"plan", "evaluate", "noise", "gate"}

Execute = Callable[[str, Run], Receipt]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn came to: receipts of every stage, and the verdicts where the gate was reached.

    `verdicts`: of every challenger, the one that the run came to first. `releases`: role → name.
    `erased`: what is said of its inputs where samples of them were erased since; else empty.
    """

    run_id: str
    receipts: tuple[Receipt, ...]
    verdicts: Mapping[Role, RecordedVerdict]
    mlflow_run_id: str | None
    report: str | None
    resumed_after: str | None
    #: the evaluated run whose scores were decided on, where it is another one
    scores_of: str = ""
    releases: Mapping[Role, str] = field(default_factory=dict)
    ranking: tuple[Rank, ...] = ()
    erased: str = ""
    #: why a run that came to a verdict is not in MLflow; empty where it is, or was not to be
    unrecorded: str = ""

    def receipt(self, stage: str) -> Receipt | None:
        return next((r for r in self.receipts if r.stage == stage), None)

    @property
    def decided(self) -> RecordedVerdict | None:
        """The verdict on the leading challenger, which is that of the run."""
        return next(iter(self.verdicts.values()), None)

    @property
    def verdict(self) -> str | None:
        return None if self.decided is None else self.decided.verdict

    @property
    def may_ship(self) -> bool:
        """What the gate lets pass; "cannot tell" is not a pass."""
        return self.verdict in SHIPS

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is probably wrong with the set-up, told of the leading challenger; of runs that
        others made, what is wrong with their files."""
        if self.decided is None:
            return ()
        leading = next(iter(self.verdicts))
        decided = self.receipt("gate")
        of_files = () if decided is None else decided.notes.get("of_files", ())
        told = warnings(self.decided.suites, of_pair(profiles_in(self.receipts), leading))
        return (*of_files, *told)

    def to_dict(self) -> dict[str, Any]:
        """The object that `run`, `verdict` and their kin print with `--json`, by SCHEMA."""
        return {
            "schema": SCHEMA,
            "run_id": self.run_id,
            "verdict": self.verdict,
            "may_ship": self.may_ship,
            "decided_at": self.decided.decided_at.isoformat() if self.decided else None,
            "reasons": list(self.decided.reasons) if self.decided else [],
            "stages": [receipt.to_dict() for receipt in self.receipts],
            "warnings": list(self.warnings),
            "answers": [
                {**profile.to_json(), "release": self.releases.get(profile.role, "")}
                for profile in profiles_in(self.receipts)
            ],
            "suites": [suite.to_json() for suite in self.decided.suites] if self.decided else [],
            "guardrails": [part.to_json() for part in self.decided.guardrails]
            if self.decided
            else [],
            "slices": [asdict(part) for part in self.decided.slices] if self.decided else [],
            "champion": self.releases.get("champion", ""),
            "challengers": [
                {
                    "release": self.releases.get(role, ""),
                    "role": role,
                    "verdict": decided.verdict,
                    "reasons": list(decided.reasons),
                    "suites": [suite.to_json() for suite in decided.suites],
                    "guardrails": [part.to_json() for part in decided.guardrails],
                }
                for role, decided in self.verdicts.items()
            ],
            "ranking": [
                {**asdict(rank), "release": self.releases.get(rank.role, "")}
                for rank in self.ranking
            ],
            "mlflow_run_id": self.mlflow_run_id,
            "report": self.report,
            "resumed_after": self.resumed_after,
            "scores_of": self.scores_of or self.run_id,
            "erased": self.erased,
            "unrecorded": self.unrecorded,
        }


def execute_stage(stage: str, run: Run) -> Receipt:
    """Run a stage that is not yet in the ledger; a finished one only hands back its receipt."""
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, stage)
    if done is not None:
        return done
    run.progress(stage, 0, None)
    started = time.monotonic()
    receipt = stage_function(stage)(run).took(time.monotonic() - started)
    with run.open_store() as store:
        ledger.set_stage_seconds(store, run.run_id, receipt)
    run.progress(stage, 1, 1, "finished")
    return receipt


def turn(
    settings: Settings,
    request: RunRequest,
    *,
    execute: Execute = execute_stage,
    progress: Progress = silent,
) -> Outcome:
    """One turn from the first stage asked for to the last. Raises FlywheelError on the way.

    The caller holds the state folder (see `hold`). A run of the same request that was killed is
    taken up after its last whole stage. A verdict stands where MLflow is away: it is recorded later
    (flows/commands/record.py).
    """
    say_if_unfinished(settings.home_path)
    away = None
    with begun(settings, request, progress) as (run, resumed_after), lineage_events(run):
        if "ingest" in (request.stages or stages_of("run")):
            _keep_retention(run)
        for stage in request.stages or stages_of("run"):
            try:
                execute(stage, run)
            except StoreError as error:
                if stage != RECORD or not error.transient:
                    raise
                away = error.what  # flywheel record tells all of it
    with run.open_store() as store:
        if away:
            ledger.annotate_run(store, run.run_id, error=away)
        return outcome(store, run.run_id, resumed_after)


def say_if_unfinished(home: Path) -> None:
    """Of an erasure that was killed."""
    if (home / UNFINISHED).exists():
        print(
            "an erasure was interrupted, and what was forgotten may still stand in files · "
            "next: flywheel forget, which finishes it",
            file=sys.stderr,
        )


def _keep_retention(run: Run) -> None:
    """Before anything new is taken in: what was kept long enough goes."""
    settings = run.settings
    days, key = settings.retention.raw_days, raw_key(settings)
    try:
        done = purge(
            settings,
            key,
            run.clock(),
            raw_days=days or None,
            kept_days=min(days or KEPT_DAYS, KEPT_DAYS),
            reading=run.request.logs,
        )
    except StoreError as error:
        if not error.transient:
            raise
        print(error.line(), file=sys.stderr)  # a reader, or no room: the next run tries again
        return
    if done.calls:
        print(
            f"{done.calls:,} calls that came in more than {settings.retention.calls_days:g} days "
            "ago left the store ([retention] calls_days)",
            file=sys.stderr,
        )
    if done.other_keys:
        print(sealed_elsewhere(done.other_keys, key), file=sys.stderr)


@contextmanager
def hold(settings: Settings, *, wait_s: float = 0.0) -> Iterator[None]:
    """Be the one flywheel at work on the store: in its state folder, and among the machines that
    share it. Raises StoreBusyError naming who is, after so many seconds."""
    busy = "another flywheel run is at work on the store that this machine shares"
    with (
        hold_home(settings.home_path, wait_s=wait_s),
        leased(settings, "run", busy=busy, wait_s=wait_s),
    ):
        yield


@contextmanager
def hold_home(home: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the run lock of the state folder `home`, which falls with its process. Raises
    StoreBusyError naming the process that has it, after so many seconds."""
    from filelock import FileLock, Timeout

    holder = home / "run.pid"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(home / "run.lock")
        lock.acquire(timeout=wait_s)
    except Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise StoreBusyError(
            "another flywheel run is at work on this state folder",
            received=f"{home}, held by {who}",
            next="wait for it to finish, or stop it, then run the same command again",
        ) from None
    except OSError as error:
        raise StoreError(
            f"the state folder cannot be used: {error.strerror}",
            received=str(home),
            next="set FLYWHEEL_HOME to a folder you may write to",
        ) from None
    try:
        holder.write_text(this_process())
        with private(home):
            yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def begun(
    settings: Settings, request: RunRequest, progress: Progress
) -> Iterator[tuple[Run, str | None]]:
    """A run in the ledger, marked with how it ended.

    One that was stopped from outside is left like one that was killed: the same request takes it
    up. Whatever stops a program is no Exception: an interrupt, Prefect's TerminationSignal.
    """
    run, resumed_after = _begin_or_resume(settings, request, progress)
    try:
        yield run, resumed_after
    except Exception as error:
        _finish(run, "failed", error)
        raise
    _finish(run, "completed", None)


def _begin_or_resume(
    settings: Settings, request: RunRequest, progress: Progress
) -> tuple[Run, str | None]:
    now = utc_now()
    digest = request.digest(settings.digest)
    bound = _bound(settings, request, now)
    with open_store(settings) as store, store.transaction():
        fold(store, settings.home_path, now)
        killed = ledger.find_killed(store, digest)
        run_id = killed or ledger.new_run_id(now)
        if killed:
            ledger.adopt_run(store, run_id)
        else:
            ledger.begin_run(store, run_id, request.to_json(), digest, now)
        if bound is not None:
            commit(store, run_id, bound)
        if request.scores_of:
            keys = ledger.run_keys(store, request.scores_of)
            assert keys is not None, "it was found by having been evaluated"
            ledger.set_run_keys(store, run_id, keys)
        ledger.abandon_others(store, run_id, now)
        done = ledger.receipts(store, run_id)
    resumed_after = (done[-1].stage if done else "start") if killed else None
    return Run(run_id, request, settings, progress), resumed_after


def _bound(settings: Settings, request: RunRequest, now: datetime) -> Commitment | None:
    """What a run that answers or decides is bound to. None where the settings do not say so much:
    the stage that needs it tells what is wrong."""
    if not {"evaluate", "gate"}.intersection(request.stages or stages_of("run")):
        return None
    try:
        return commitment(settings, request, now)
    except UsageError:
        return None


def _finish(run: Run, state: str, error: BaseException | None) -> None:
    message = None
    if isinstance(error, FlywheelError):
        message = error.line()
    elif error is not None:
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]
    try:
        with run.open_store() as store:
            ledger.finish_run(store, run.run_id, state, run.clock(), error=message)
    except Exception:
        if error is None:
            raise
        # the first error is the one to tell; the next run marks this one as abandoned


def outcome(store: Store, run_id: str, resumed_after: str | None = None) -> Outcome:
    """Read back what a run came to."""
    receipts = sorted(ledger.receipts(store, run_id), key=lambda receipt: place_of(receipt.stage))
    request = RunRequest.from_json(ledger.run_value(store, run_id, "request") or "{}")
    unrecorded = ""
    if run_id in ledger.unrecorded(store, run_id):
        unrecorded = ledger.run_value(store, run_id, "error") or "recording was cut off"
    return Outcome(
        run_id=run_id,
        receipts=tuple(receipts),
        verdicts=verdicts.read_verdicts(store, run_id),
        mlflow_run_id=ledger.run_value(store, run_id, "mlflow_run_id"),
        report=ledger.run_value(store, run_id, "report"),
        resumed_after=resumed_after,
        scores_of=request.scores_of,
        releases=request.releases,
        ranking=verdicts.read_ranking(store, run_id),
        erased=erased(erasures.erasures_of(store, run_id)),
        unrecorded=unrecorded,
    )


def request_from(
    settings: Settings,
    options: Options,
    stages: tuple[str, ...],
    *,
    champion_of: Callable[[Settings], str] = champion_in_force,
) -> RunRequest:
    """What was asked, with the settings standing in for what was not said, and the release that was
    promoted for the champion.

    Patterns given here are relative to the working folder, those of flywheel.toml to that file.
    Raises UsageError for a window that is none; what the stages need is checked by tasks.preflight.
    `champion_of` is asked where they ask releases and no champion was said.
    """
    window(options.since, options.until, utc_now())
    said = tuple(
        pattern if pattern == STDIN or is_url(pattern) else os.path.abspath(pattern)
        for pattern in (*(options.files or ()), *(options.logs or ()))
    )
    declared = (
        pattern if is_url(pattern) else str(settings.path(pattern)) for pattern in settings.logs
    )
    asks_releases = bool(_OF_RELEASES & set(stages))
    in_force = champion_of(settings) if asks_releases and not options.champion else ""
    champion = options.champion or in_force or settings.champion
    challengers = tuple(options.challenger or ()) or settings.challengers
    if "evaluate" in stages and not options.challenger:
        challengers = _with_successor(settings, champion, challengers)
    if "evaluate" in stages:  # one release alone is compared with itself
        challengers = challengers or ((champion,) if champion else ())
        champion = champion or (challengers[0] if len(challengers) == 1 else "")
    return RunRequest(
        logs=said or tuple(declared),
        log_format=options.log_format,
        champion=champion,
        challengers=challengers,
        seed=settings.evaluate.seed if options.seed is None else options.seed,
        repeats=settings.evaluate.repeats,
        stages=stages,
        since=options.since,
        until=options.until,
        only=tuple(
            os.path.realpath(held) if os.path.exists(held) else held for held in options.held or ()
        ),
        config=str(find_config(options.config) or ""),
    )


def _with_successor(
    settings: Settings, champion: str, challengers: tuple[str, ...]
) -> tuple[str, ...]:
    """And the release that takes the champion's place when its provider ends its model."""
    ending = due(settings, champion, utc_now().date())
    if ending is None or ending.successor in ("", champion, *challengers):
        return challengers
    return (*challengers, ending.successor)


def request_to_decide(settings: Settings, options: Options) -> RunRequest:
    """A decision on the scores of a run that evaluated: of its releases, with its seed.

    Raises UsageError where no such run has evaluated anything.
    """
    evaluated = request = None
    if store_exists(settings):
        with open_store(settings, read_only=True) as store:
            evaluated = ledger.find_evaluated(
                store, options.run_id, options.champion, options.challenger or ()
            )
            request = evaluated and ledger.run_value(store, evaluated, "request")
            if evaluated and (told := erased(erasures.erasures_of(store, evaluated))):
                raise UsageError(
                    f"the run cannot be decided once more. {told}",
                    received=evaluated,
                    next="flywheel run, which evaluates on what is left",
                )
    if evaluated is None or request is None:
        said = [("--champion", options.champion)]
        said += [("--challenger", name) for name in options.challenger or ()]
        named = " ".join(f"{option} {name}" for option, name in said if name)
        raise UsageError(
            "no run has evaluated what is to be decided",
            received=" ".join(filter(None, (options.run_id, named))) or "no scores in the store",
            next=f"flywheel eval {named}".rstrip(),
        )
    asked = RunRequest.from_json(request)
    return RunRequest(
        champion=asked.champion,
        challengers=asked.challengers,
        seed=asked.seed,
        repeats=asked.repeats,
        stages=stages_of("gate"),
        scores_of=evaluated,
    )
