"""Several machines for real on PostgreSQL and S3, each with a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.flows.application import Answer, Application
from tests.flows.scale.turns import (
    RUN,
    WAIT_S,
    Alone,
    counts,
    in_the_database,
    verdicts_of,
    wait_until,
)
from tests.flows.test_shared_turn import machines, verdict_bytes
from tests.services import SERVERS, Network, Services

pytestmark = [*SERVERS, pytest.mark.slow]
#: a third of it may be over when the network is cut
_LONGER_THAN_A_MINUTE_S = 120.0


def behind_a_network(
    services: Services, folder: Path
) -> tuple[Network, dict[str, str], dict[str, str]]:
    """A network that can be cut, the environment of a machine behind it, and of one that is not."""
    network = Network(services.servers[0].port)
    own, cut = (f":{port}/" for port in (services.servers[0].port, network.port))
    (a,) = machines(folder, replace(services, database=services.database.replace(own, cut)), "a")
    (b,) = machines(folder, services, "b")
    return network, a, b


def test_two_turns_at_once_and_a_network_cut_come_to_one_verdict_each(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    network, a, b = behind_a_network(services, tmp_path)
    first = shared.start(*RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    time.sleep(2.0)
    second = shared.call(*RUN, **b)  # one at a time
    assert second.code == 4
    assert "held by process" in second.err
    # the database is away for a while, shorter than the lease
    network.cut()
    threading.Timer(4.0, network.mend).start()
    _, err = first.communicate(timeout=WAIT_S)
    assert first.returncode == alone.code, err
    again = shared.call(*RUN, **b)
    assert again.code == alone.code, again.err
    assert len(verdicts_of(shared, b)) == 2
    assert counts(shared, a) == counts(shared, b) == alone.counts
    told = shared.here("verdict", "--json", **b)
    assert told.json["suites"] == alone.json["suites"]


def test_a_turn_cut_off_longer_than_its_lease_is_finished_by_another_and_fenced(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    network, a, b = behind_a_network(services, tmp_path)
    first = shared.start(*RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        time.sleep(0.1)
    time.sleep(3.0)
    network.cut()
    time.sleep(services.lease_s + 2.0)
    finished = shared.call(*RUN, **b)
    assert finished.code == alone.code, finished.err
    network.mend()
    _, err = first.communicate(timeout=WAIT_S)
    assert first.returncode == 4, err
    assert verdict_bytes(finished.json) == verdict_bytes(alone.json)
    assert len(verdicts_of(shared, b)) == 1
    assert counts(shared, b) == alone.counts


def stopped_at(
    application: Application, stage: str, folder: Path, name: str, environment: dict[str, str]
) -> Stopped:
    """A turn that has come to a stage and waits there, what that changed not yet committed."""
    goes_on = folder / f"{name}.goes-on"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.flows.killed", stage, "before", *RUN],
        cwd=application.folder,
        env=application.environment(**environment, STOP_WITH=str(goes_on)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Stopped(process, goes_on)


@dataclass(frozen=True, slots=True)
class Stopped:
    process: subprocess.Popen[str]
    goes_on: Path

    def wait(self) -> None:
        here = self.goes_on.with_name(f"{self.goes_on.name}.here")
        wait_until(lambda: here.exists() or self.process.poll() is not None, "it comes there")
        assert self.process.poll() is None, self.process.communicate()

    def end(self) -> Answer:
        self.goes_on.touch()
        out, err = self.process.communicate(timeout=WAIT_S)
        return Answer(self.process.returncode, out, err)


def test_a_minute_without_the_database_is_waited_out_or_another_takes_over(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    """Two stores, each with a turn on a machine that is cut off, and a second machine."""
    (tmp_path / "long").mkdir()
    (tmp_path / "short").mkdir()
    patient = replace(services.another(os.urandom(4).hex()), lease_s=_LONGER_THAN_A_MINUTE_S)
    long, a, b = behind_a_network(patient, tmp_path / "long")
    short, c, d = behind_a_network(services, tmp_path / "short")
    waits = stopped_at(shared, "plan", tmp_path, "waits", a)
    stale = stopped_at(shared, "evaluate", tmp_path, "stale", c)
    for stopped in (waits, stale):
        stopped.wait()

    for network in (long, short):
        network.cut()
    cut_at = time.monotonic()
    waits.goes_on.touch()
    busy = shared.call(*RUN, **b)
    assert (busy.code, "held by process" in busy.err) == (4, True), busy.err
    time.sleep(max(0.0, services.lease_s + 1.0 - (time.monotonic() - cut_at)))
    finished = shared.call(*RUN, **d)
    assert finished.code == alone.code, finished.err
    assert finished.json["resumed_after"] == "plan"
    time.sleep(max(0.0, 60.0 - (time.monotonic() - cut_at)))
    assert (waits.process.poll(), stale.process.poll()) == (None, None)
    for network in (long, short):
        network.mend()

    went_on, fenced = waits.end(), stale.end()
    assert "has not answered for 3 s; it is tried for 120 s" in went_on.err
    assert (fenced.code, fenced.err.count("flywheel: ")) == (4, 1), fenced.err
    assert "another took it over: nothing of this step was kept" in fenced.err
    assert went_on.code == alone.code, went_on.err
    assert verdict_bytes(went_on.json) == verdict_bytes(finished.json) == verdict_bytes(alone.json)
    for store, machine in ((patient, b), (services, c)):
        assert in_the_database(store, "SELECT state FROM flywheel_runs") == [("completed",)]
        assert len(in_the_database(store, "SELECT run_id FROM flywheel_verdicts")) == 1
        assert counts(shared, machine) == alone.counts
    # and the one that was fenced goes on with what the other came to
    told = shared.here("verdict", "--json", **c)
    assert (told.json["run_id"], told.json["suites"]) == (
        finished.json["run_id"],
        alone.json["suites"],
    )


def test_without_the_object_storage_a_turn_ends_in_one_line_and_the_next_goes_on(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    (a,) = machines(tmp_path, replace(services, lease_s=4.0), "a")
    storage = services.servers[1]
    turn = stopped_at(shared, "evaluate", tmp_path, "turn", a)
    turn.wait()
    storage.kill()
    try:
        ended = turn.end()
        assert (ended.code, ended.err.count("flywheel: ")) == (4, 1), ended.err
        assert "flywheel: the object storage of the store does not answer" in ended.err
        assert in_the_database(services, "SELECT run_id FROM flywheel_verdicts") == []
        asked = shared.call("doctor", "--json", **a)
        (told,) = [one for one in asked.json["findings"] if one["subject"] == "objects"]
        assert (told["ok"], "does not answer" in told["detail"]) == (False, True)
    finally:
        storage.start()
    finished = shared.call(*RUN, **a)
    assert finished.code == alone.code, finished.err
    assert finished.json["suites"] == alone.json["suites"]
    assert len(in_the_database(services, "SELECT run_id FROM flywheel_verdicts")) == 1
    assert counts(shared, a) == alone.counts


def test_postgresql_killed_in_a_turn_changes_nothing(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    (a,) = machines(tmp_path, replace(services, lease_s=30.0), "a")
    turn = shared.start(*RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        time.sleep(0.1)
    for _ in range(2):
        time.sleep(3.0)
        services.servers[0].kill()
        time.sleep(1.0)
        services.servers[0].start()
    _, err = turn.communicate(timeout=WAIT_S)
    assert turn.returncode == alone.code, err
    assert counts(shared, a) == alone.counts
    assert len(verdicts_of(shared, a)) == 1
