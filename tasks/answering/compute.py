"""From completions wanted to completions and scores that are kept.

The store is closed while the model computes; completions are kept a chunk at a time as they come
in, so a kill loses at most one chunk of what this process finished, a shard of what an actor of Ray
did (spool.py), and nothing of what was paid for (journal.py). Without anything to compute neither
torch nor a model is loaded. Which completions are wanted, and what becomes of their scores, is for
whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine import EngineError
from tasks.answering import needs
from tasks.answering.journal import Journal, fold
from tasks.answering.meter import RunMeter
from tasks.answering.needs import Need
from tasks.answering.spool import completion_row
from tasks.backends.base import Backend, Reply, replies_of
from tasks.model.answer import CompletionKey
from tasks.model.failure import Failure
from tasks.releases.resolve import ResolvedRelease, unusable_model
from tasks.releases.source import share_processors
from tasks.run import Run
from tasks.store.evals import answers as table
from tasks.store.evals.spending import Spent, read_spending, total_spent


@dataclass(slots=True)
class Work:
    """What this process did: seconds by engine, and answers that are not kept."""

    engines: list[dict[str, Any]] = field(default_factory=list)
    output_tokens: int = 0
    input_tokens: int = 0
    transient: dict[CompletionKey, Failure] = field(default_factory=dict)

    def add(self, more: Work) -> None:
        """What was done after it."""
        self.engines += more.engines
        self.output_tokens += more.output_tokens
        self.input_tokens += more.input_tokens
        self.transient |= more.transient


def compute(
    run: Run,
    stage: str,
    missing: Sequence[Need],
    is_decided: Callable[[Work], bool] | None = None,
) -> Work:
    """Answer what is missing, engine by engine; `stage` names the progress. Where `is_decided` is
    given, it is asked after every chunk, and what is left once it says so is not answered. Raises
    UsageError where a model cannot be used."""
    work = Work()
    keeper = _Keeper(run, stage, work, len(missing))
    spent = _spent_before(run) if missing else Spent()
    for group in needs.by_source(missing):
        keeper.tell(f"loading {group[0].release.model}")
        backend = _load(group[0].release)
        pace = backend.pace(run.settings.evaluate.chunk_size, is_looked_at=is_decided is not None)
        is_enough = False
        try:
            for chunk in needs.chunks(group, pace.asks):
                with (
                    _metered(run, chunk, spent) as meter,
                    keeper.of(chunk, pace.kept, _note(chunk, backend)),
                ):
                    backend.answer([need.ask() for need in chunk], keeper.take, meter)
                spent = meter.spent
                meter.put_spool_away()
                if is_enough := is_decided is not None and is_decided(work):
                    break
            names = sorted({need.release.name for need in group})
            work.engines.append({"releases": names, **asdict(backend.facts())})
        finally:
            backend.close()
        if is_enough:
            break
    return work


def answer_again(
    run: Run,
    stage: str,
    wanted: Sequence[Need],
    note: str,
    *,
    chunk_size: int | None = None,
    other_threads: bool = False,
) -> list[table.StoredCompletion]:
    """What one release says once more, asked in this order and so many at a time (as many as
    `compute` asks, where it is not said), by an engine that has answered nothing before; with
    another number of threads where told. Nothing is kept. `stage` and `note` name the progress."""
    share_processors()
    from tasks.backends import local  # loads torch

    answered: list[table.StoredCompletion] = []
    with local.other_threads() if other_threads else nullcontext():
        release = wanted[0].release
        backend = _load(replace(release, source=release.source.here()))
        wished = run.settings.evaluate.chunk_size
        size = chunk_size or backend.pace(wished, is_looked_at=False).asks
        try:
            for start in range(0, len(wanted), size):
                chunk = wanted[start : start + size]
                with _metered(run, chunk, Spent()) as meter:
                    replies = replies_of(backend, [need.ask() for need in chunk], meter)
                answered += [
                    table.StoredCompletion(
                        need.key,
                        reply.text,
                        None if reply.failure is None else reply.failure.message,
                        None if reply.failure is None else reply.failure.fault,
                    )
                    for need, reply in zip(chunk, replies, strict=True)
                ]
                run.progress(stage, len(answered), len(wanted), note)
        finally:
            backend.close()
    return answered


class _Keeper:
    """Keeps replies as they come in, so many at a time, and tells the progress."""

    def __init__(self, run: Run, stage: str, work: Work, total: int) -> None:
        self._run = run
        self._stage = stage
        self._work = work
        self._total = total
        self._num_done = 0
        self._chunk: Sequence[Need] = ()
        self._at_once = 1
        self._note = ""
        self._rows: list[dict[str, Any]] = []

    @contextmanager
    def of(self, chunk: Sequence[Need], at_once: int, note: str) -> Iterator[None]:
        """While `chunk` is answered. Whatever ends the block, what came in is kept."""
        self._chunk, self._at_once, self._note = chunk, at_once, note
        try:
            yield
        finally:
            self._keep()

    def take(self, place: int, reply: Reply) -> None:
        """Of the chunk's ask in this place."""
        key, work = self._chunk[place].key, self._work
        work.input_tokens += reply.input_tokens or 0
        work.output_tokens += reply.output_tokens or 0
        if reply.failure is not None and reply.failure.is_transient:
            work.transient[key] = reply.failure
        else:
            self._rows.append(completion_row(key, reply, self._run.run_id, self._run.clock()))
        self._num_done += 1
        self.tell(self._note)
        if len(self._rows) >= self._at_once:
            self._keep()

    def tell(self, note: str) -> None:
        self._run.progress(self._stage, self._num_done, self._total, note)

    def _keep(self) -> None:
        if self._rows:
            with self._run.open_store() as store, store.transaction():
                table.save_completions(store, self._rows)
        self._rows = []


def _note(chunk: Sequence[Need], backend: Backend) -> str:
    names = " and ".join(dict.fromkeys(need.release.name for need in chunk))
    num_actors = backend.facts().num_actors
    return (
        f"{names} · {num_actors} {'actor' if num_actors == 1 else 'actors'}"
        if num_actors
        else names
    )


def _load(release: ResolvedRelease) -> Backend:
    try:
        return release.source.load()
    except (EngineError, OSError) as error:
        raise unusable_model(release.name, release.model, error) from None


def _spent_before(run: Run) -> Spent:
    """By earlier attempts at this run, with what the last one could not keep any more."""
    with run.open_store() as store:
        fold(store, run.settings.home_path, run.clock())
        return total_spent(read_spending(store, run.run_id).values())


@contextmanager
def _metered(run: Run, chunk: Sequence[Need], spent: Spent) -> Iterator[RunMeter]:
    """Whatever ends the block: what was paid for in it is in the store."""
    home = run.settings.home_path
    journal = Journal(home, run.run_id, chunk[0].release.price.currency)
    try:
        yield RunMeter(run, chunk, spent, journal)
    finally:
        journal.close()
        if journal.is_written:
            with run.open_store() as store:
                fold(store, home, run.clock())
