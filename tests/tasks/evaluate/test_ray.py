"""Two actors of Ray say what one process says, to the bit, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.commands import doctor
from tasks.answering.spool import SPOOL_FOLDER
from tasks.curate.task import curate
from tasks.errors import UsageError
from tasks.evaluate.task import evaluate
from tasks.on_ray import driver
from tasks.releases.memory import Memory
from tasks.releases.resolve import engines_run, resolve_release
from tasks.releases.source import EngineSource
from tasks.settings import Settings
from tests.conftest import REPOSITORY
from tests.ray_processes import (
    a_cluster,
    done_in_spite_of,
    ended,
    named,
    nobody_is_left,
    once,
)
from tests.tasks.evaluate import test_modes
from tests.tasks.evaluate.stage import begin, rows, sample, settings_for, store_eval_set

pytestmark = [
    pytest.mark.scale,
    pytest.mark.needs("ray", "grpc"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

NUM = 400
#: all of an answer but how much of its prompt was in the cache, and when it came
ANSWERS = (
    "SELECT release_digest, sample_id, seed, text, finish_reason, input_tokens, output_tokens, "
    "error, fault FROM completions ORDER BY ALL"
)
SCORES = (
    "SELECT release_digest, sample_id, seed, scorer, value, unscored_reason, answer, explanation, "
    "fault FROM scores ORDER BY ALL"
)


def _evaluate(on: str) -> dict[str, Any]:
    return {"on": on, "cores_per_actor": 1, "max_actors": 2, "chunk_size": 25}


def _settings(folder: Path, model: Path, on: str, num: int = NUM) -> Settings:
    """Release one is greedy, as same is; two draws its answers."""
    folder.mkdir(exist_ok=True)
    releases = {n: r.model_dump() for n, r in settings_for(folder, model).releases.items()}
    releases["two"]["sampling"] = {"max_tokens": 4, "temperature": 0.8}
    made = settings_for(folder, model, releases=releases, evaluate=_evaluate(on))
    if not made.store_path.exists():
        store_eval_set(made, [sample(number) for number in range(num)])
    return made


def _said(settings: Settings) -> tuple[list[Any], list[Any]]:
    return rows(settings, ANSWERS), rows(settings, SCORES)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Any, Any]:
    """What one process says."""
    settings = _settings(tmp_path_factory.mktemp("alone"), tiny_model, "here")
    evaluate(begin(settings, "r1"))
    return _said(settings)


@pytest.fixture(scope="module", autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield from nobody_is_left()


def test_ten_thousand_samples_over_two_actors_are_those_of_one_process(
    tmp_path: Path, tiny_model: Path
) -> None:
    said, notes = [], []
    for on in ("here", "ray"):
        settings = _settings(tmp_path / on, tiny_model, on, 10_000)
        told: list[str] = []

        def progress(_: str, __: int, ___: int | None, note: str = "", told: Any = told) -> None:
            told.append(note)

        run = begin(settings, "r1", challenger="same", progress=progress)
        assert evaluate(run).notes["computed"] == 10_000
        said.append(_said(settings))
        notes.append(set(told))
    assert "same · 2 actors" in notes[1]
    assert len({row[3] for row in said[0][0]}) > 1000  # they are not all alike
    assert said[0] == said[1]
    again = evaluate(begin(settings, "r2", challenger="same"))
    assert (again.notes["computed"], again.notes["cached"]) == (0, 10_000)
    assert again.notes["engines"] == []
    assert not (settings.home_path / SPOOL_FOLDER).exists()


def test_what_is_weighed_is_the_same_too(tmp_path: Path, tiny_model: Path) -> None:
    said = []
    for on in ("here", "ray"):
        (tmp_path / on).mkdir()
        settings = test_modes._settings(tmp_path / on, tiny_model, evaluate=_evaluate(on))
        run = begin(settings, "r1", eval_set=None)
        curate(run)
        assert evaluate(run).notes["unscored"] == 0
        said.append(_said(settings))
    assert len(said[0][0]) == 2 * (12 + 12 + 8)
    assert said[0] == said[1]


def test_an_actor_that_is_killed_changes_no_answer(
    tmp_path: Path, tiny_model: Path, alone: tuple[Any, Any]
) -> None:
    settings = _settings(tmp_path / "s", tiny_model, "ray")
    killed = once(1, lambda: named("ray::EngineActor").kill())
    receipt = evaluate(begin(settings, "r1", progress=killed))
    assert (receipt.notes["computed"], receipt.notes["errors"]) == (2 * NUM, 0)
    assert _said(settings) == alone


@pytest.mark.parametrize("part", ["gcs_server", "raylet/raylet", "on_ray.host"])
def test_when_the_head_is_killed_the_same_command_goes_on(
    tmp_path: Path, tiny_model: Path, alone: tuple[Any, Any], part: str
) -> None:
    settings = _settings(tmp_path / "s", tiny_model, "ray")
    receipt, _ = done_in_spite_of(
        part, lambda progress: evaluate(begin(settings, "r1", progress=progress))
    )
    assert receipt.notes["computed"] == 2 * NUM
    assert _said(settings) == alone


_PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from tasks.evaluate.task import evaluate
from tests.tasks.evaluate.stage import begin
from tests.tasks.evaluate.test_ray import _settings
folder, model, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def progress(stage, done, total, note=""):
    if done and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if done and how == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    evaluate(begin(_settings(folder, model, "ray"), "r1", progress=progress))
"""


@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_what_an_actor_finished_is_kept_when_the_program_is_stopped(
    tmp_path: Path, tiny_model: Path, alone: tuple[Any, Any], how: str
) -> None:
    settings = _settings(tmp_path / "s", tiny_model, "ray")
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "s"), str(tiny_model), how]
    code, told = ended(command)
    assert code == (-signal.SIGKILL if how == "kill" else -signal.SIGINT), told
    # an interrupt keeps the one that was told; the others of its shard are in the spool
    told_before = 0 if how == "kill" else 1
    assert rows(settings, "SELECT count(*) FROM completions") == [(told_before,)]
    assert list((settings.home_path / SPOOL_FOLDER).glob("*/*.jsonl"))
    first: list[int] = []
    receipt = evaluate(
        begin(settings, "r1", progress=lambda _, __, total, *___: first.append(total or 0))
    )
    assert 0 < first[0] <= 2 * NUM
    assert receipt.notes["computed"] == 2 * NUM
    assert _said(settings) == alone
    assert not (settings.home_path / SPOOL_FOLDER).exists()


def test_another_engine_than_the_release_was_resolved_for_is_refused(
    tmp_path: Path, tiny_model: Path
) -> None:
    settings = _settings(tmp_path / "s", tiny_model, "ray")
    source = resolve_release("one", settings, Memory(tmp_path / "memory.json")).source
    assert isinstance(source, EngineSource)
    versions = tuple((n, "2.0.0" if n == "torch" else v) for n, v in source.identity.versions)
    other = replace(source, identity=replace(source.identity, versions=versions, gpu="H100"))
    with pytest.raises(
        UsageError, match=r"torch is .* there and 2\.0\.0 here; gpu is nothing"
    ) as e:
        other.load()
    assert "one device class" in e.value.allowed
    with pytest.raises(UsageError, match="depends on what is asked beside it"):
        replace(source, identity=replace(source.identity, batch_invariant=False)).load()


_DEADLY = """
import os, sys, tempfile
from pathlib import Path
import ray
from engine import SamplingParams
from tasks.backends.base import Ask, Reply
from tasks.backends.pool import engines
from tasks.backends.pool.messages import Answer, Given, Hello, Model, Open
from tasks.on_ray.host import start_ray
from tasks.on_ray.messages import Done, Start
from tests.tasks.releases.engines import CPU

class Deadly:
    def __init__(self, model, answering):
        pass

    def hello(self):
        return Hello("h", os.getpid(), "cpu", 0.0)

    def answer(self, places, asks, spool):
        if any("deadly" in ask.messages[0]["content"] for ask in asks):
            os._exit(1)
        return Given(places, tuple(Reply(str(p), "stop", 1, 0, 1) for p in places), True)

if __name__ == "__main__":
    engines.EngineActor = Deadly
    start_ray(Start("", sys.argv[1]))
    pool = engines.EnginePool(Open(Model(Path("m"), True, CPU, ""), 1, 2))
    assert len(pool.open().actors) == 2
    asks = tuple(
        Ask(({"role": "user", "content": "deadly" if n == 13 else "mild"},), SamplingParams())
        for n in range(20)
    )
    given = {}
    shards = (tuple(range(10)), tuple(range(10, 20)))
    end = pool.answer(
        Answer(asks, shards, Path("spool")),
        lambda g: given.update(zip(g.places, g.replies)), lambda: None,
    )
    assert end == Done(), end
    assert sorted(given) == list(range(20))
    (lost,) = [p for p, reply in given.items() if reply.failure]
    print(lost, given[lost].failure.fault, given[lost].failure.is_transient)
    ray.shutdown()
"""


def test_what_kills_every_actor_is_given_up_alone(tmp_path: Path) -> None:
    with driver.own_folder("fwray") as folder:
        told = subprocess.run(
            [sys.executable, "-c", _DEADLY, str(folder)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), **_quiet()},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    # Ray speaks up there, too
    assert "13 harness True" in told.stdout.splitlines(), told.stderr[-2000:]


def _quiet() -> dict[str, str]:
    made = driver.environment(is_local=True)
    return {name: value for name, value in made.items() if name.startswith("RAY_")}


def _may_unshare() -> bool:
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
    )
    return tried.returncode == 0


_LISTENS = """
import sys
from pathlib import Path
from tasks.on_ray import driver
from tasks.on_ray.place import Place

LISTENS = "0A"

if __name__ == "__main__":
    nodes = driver.nodes_of(Place("ray", home=Path(sys.argv[1])))
    print(len(nodes), nodes[0].says.split(",")[1].split()[0])
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
        print(*{row[1].split(":")[0] for row in rows if row[3] == LISTENS})
"""


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    """In a network of its own that has another address, which it would take for this machine's."""
    try:
        may = _may_unshare()
    except FileNotFoundError:
        may = False
    if not may:
        pytest.skip("no network namespace may be made here")
    inside = (
        "ip link set lo up && ip addr add 10.9.9.1/24 dev lo && "
        "ip route add default dev lo src 10.9.9.1 && "
        f'exec {sys.executable} -c "$1" "$2"'
    )
    told = subprocess.run(
        ["unshare", "--net", "sh", "-c", inside, "sh", _LISTENS, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    words = told.stdout.split()
    assert words[:2] == ["1", "torch"], told.stderr[-2000:]
    # 127.0.0.1, and the same as an address of IPv6, as the kernel writes them
    assert {"0100007F", "0000000000000000FFFF00000100007F"} >= set(words[2:]) > set()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from a_cluster(monkeypatch)


def test_a_cluster_says_what_one_process_says_and_who_it_is(
    tmp_path: Path, tiny_model: Path, alone: tuple[Any, Any], cluster: str
) -> None:
    settings = _settings(tmp_path / "s", tiny_model, cluster)
    receipt = evaluate(begin(settings, "r1"))
    assert receipt.notes["engines"][0]["num_actors"] == 2
    assert _said(settings) == alone
    node, *others = driver.nodes_of(engines_run(settings))
    assert (node.is_alive, node.num_cores, others) == (True, 2, [])
    here = doctor._actors(settings)
    assert [finding.ok for finding in here] == [True, True], here
    elsewhere = _settings(tmp_path / "t", tiny_model, "ray://127.0.0.1:1")
    (gone,) = doctor._actors(elsewhere)
    assert (gone.ok, "Ray cannot answer" in gone.detail) == (False, True)


def test_a_head_whose_server_for_a_client_died_is_told_with_what_to_do() -> None:
    from tasks.on_ray.told import why_not_started

    said = "Initialization failure from server:\nTraceback\nRuntimeError: "
    died = f"{said}Starting Ray client server failed. See ray_client_server_23000.err"
    assert "GRPC_ENABLE_FORK_SUPPORT=0" in why_not_started(ConnectionAbortedError(died))
    assert why_not_started(ConnectionAbortedError("no\nroute")) == "no route"
