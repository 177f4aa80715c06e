"""Replicas: the answers of one engine, routed by prefix, and a death that others survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import LLM, EngineError, SamplingParams
from engine.errors import FaultKind
from engine.requests.request import Request
from engine.scheduling.routing import route

CACHE_BYTES = 8 << 20


@pytest.fixture(scope="module")
def two(plain_folder: Path) -> Iterator[LLM]:
    llm = LLM(plain_folder, "cpu", "float32", kv_cache_bytes=CACHE_BYTES, replicas=2)
    yield llm
    llm.close()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The bits of two replicas are those of one with a replica's share of the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // 2))
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_two_replicas_answer_as_one_does_to_the_bit(two: LLM, plain_folder: Path):
    one = LLM(plain_folder, "cpu", "float32", kv_cache_bytes=CACHE_BYTES)
    prompts = [*([i] * (3 + 7 * i) for i in range(12)), [9] * 200, [8]]
    params = [
        SamplingParams(max_tokens=8, temperature=i % 2, seed=i, logprobs=1)
        for i in range(len(prompts))
    ]
    told: list[tuple[int, int]] = []
    for mine, theirs in zip(
        one.generate(prompts, params),
        two.generate(prompts, params, lambda done, total: told.append((done, total))),
        strict=True,
    ):
        assert (mine.token_ids, mine.logprobs) == (theirs.token_ids, theirs.logprobs)
        assert (mine.text, mine.finish_reason) == (theirs.text, theirs.finish_reason)
    assert told[-1] == (len(prompts), len(prompts))
    pairs = [([5] * 70, [i, 3, 4]) for i in range(9)]
    assert one.score(pairs) == two.score(pairs)
    stats = two.stats()
    assert (stats.num_replicas, stats.device, stats.num_requests) == (2, "cpu, cpu", 23)
    assert stats.num_steps > 0


def test_schema_is_followed_on_a_replica_too(tiny_model: Path):
    pytest.importorskip("llguidance")
    llm = LLM(tiny_model, "cpu", "float32", kv_cache_bytes=CACHE_BYTES, replicas=2)
    params = SamplingParams(max_tokens=60, json_schema={"type": "boolean"})
    assert {c.text.strip() for c in llm.generate(["a", "b"], params)} <= {"true", "false"}
    llm.close()


def test_faults_stay_with_their_request(two: LLM):
    bad, good = two.generate([[10**6], [1]], SamplingParams(max_tokens=2))
    assert "token id 1000000" in (bad.error or "")
    assert len(good.token_ids) == 2


def test_interrupt_leaves_replicas_that_work(two: LLM):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    prompts = [[i] * 20 for i in range(8)]
    params = [SamplingParams(max_tokens=1 + 30 * i) for i in range(8)]
    with pytest.raises(KeyboardInterrupt):
        two.generate(prompts, params, interrupt)
    few = SamplingParams(max_tokens=3)
    assert [c.error for c in two.generate(prompts, few)] == [None] * 8


def test_dead_replica_is_named_and_the_others_finish(plain_folder: Path):
    llm = LLM(plain_folder, "cpu", "float32", kv_cache_bytes=CACHE_BYTES, replicas=2)
    victim = llm._engine._workers[1].process  # type: ignore[union-attr]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGSTOP)  # so that it cannot finish before it is killed
    threading.Timer(0.3, os.kill, (victim.pid, signal.SIGKILL)).start()
    completions = llm.generate([[i] * 9 for i in range(8)], SamplingParams(max_tokens=400))
    errors = {c.error for c in completions if c.error is not None}
    named = f"Replica 1 (cpu, process {victim.pid}) ended with exit code -9 before this request"
    assert {error.split(" was")[0] for error in errors} == {named}
    assert 0 < sum(c.error is None for c in completions) < 8
    again = llm.generate([[i] for i in range(4)], SamplingParams(max_tokens=2))
    assert [c.error for c in again] == [None] * 4, "those that live take the work"
    processes = [worker.process for worker in llm._engine._workers]  # type: ignore[union-attr]
    llm.close()
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(EngineError, match="Every replica has ended"):
        llm.generate([[1]])


def test_model_that_cannot_be_loaded_is_told_by_the_caller(tmp_path: Path, plain_folder: Path):
    (tmp_path / "config.json").write_bytes((plain_folder / "config.json").read_bytes())
    with pytest.raises(
        EngineError, match=r"Replica 0 \(cpu\).*neither model.safetensors"
    ) as raised:
        LLM(tmp_path, "cpu", kv_cache_bytes=CACHE_BYTES, replicas=2)
    assert raised.value.kind is FaultKind.MODEL, "as if it had been loaded here"


@pytest.mark.parametrize(
    ("replicas", "device", "message"),
    [(0, "cpu", "replicas is 0"), (2, "cuda:0", "cuda:0"), (99, "cuda", "CUDA devices")],
)
def test_replicas_say_what_is_possible(
    plain_folder: Path, replicas: int, device: str, message: str
):
    with pytest.raises(EngineError, match=message):
        LLM(plain_folder, device, replicas=replicas)


def test_ctrl_c_is_for_the_caller_alone(two: LLM):
    """A terminal sends it to every process; workers must live to serve the next call."""
    for worker in two._engine._workers:  # type: ignore[union-attr]
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGINT)
    assert [c.error for c in two.generate([[1]] * 4, SamplingParams(max_tokens=2))] == [None] * 4


def test_no_worker_outlives_a_parent_that_is_killed(plain_folder: Path, tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
        from engine import LLM, SamplingParams
        if __name__ == "__main__":
            llm = LLM({str(plain_folder)!r}, "cpu", kv_cache_bytes=8 << 20, replicas=2)
            print(*[worker.process.pid for worker in llm._engine._workers], flush=True)
            llm.generate([[1]] * 4, SamplingParams(max_tokens=500))
        """)
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """A process that has ended but that nobody has waited for yet counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def request(ids: list[int]) -> Request:
    return Request(ids, len(ids), len(ids) + 4)


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=80), max_size=30), st.integers(1, 5)
)
def test_every_request_goes_to_exactly_one_replica(prompts: list[list[int]], count: int):
    parts = route([request(ids) for ids in prompts], count)
    assert len(parts) == count
    assert sorted(place for part in parts for place in part) == list(range(len(prompts)))
    assert all(part == sorted(part) for part in parts)


def test_shared_prefixes_meet_and_the_work_is_balanced():
    prompts = [[context] * 96 + [choice] for choice in range(4) for context in range(60)]
    parts = route([request(ids) for ids in prompts], 3)
    contexts = [{prompts[place][0] for place in part} for part in parts]
    assert sum(len(mine) for mine in contexts) == 60, "no context is on two replicas"
    assert [len(part) for part in parts] == [80, 80, 80]


def test_one_prefix_of_all_does_not_put_all_on_one_replica():
    parts = route([request([7] * 320 + [i] * 50) for i in range(40)], 4)
    assert all(5 <= len(part) <= 12 for part in parts)
