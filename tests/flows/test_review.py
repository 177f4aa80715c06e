"""`flywheel review` on a store with one decided run: by keys, on its page and in a spreadsheet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from flows.commands.review import Asked, review
from tasks.errors import UsageError
from tasks.judges.labels import read_labels as read_judge_labels
from tasks.review.labels import read_labels
from tests.flows.application import Application
from tests.tasks.record.turns import fill, make_run


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("review")
    fill(make_run(folder / ".flywheel"))
    return Application(folder)


@pytest.fixture(autouse=True)
def _no_labels(app: Application) -> Iterator[None]:
    yield
    shutil.rmtree(app.folder / "reviews", ignore_errors=True)


_NOTHING = Asked(
    run_id="", suite="", challenger="", by="ada", web=False, port=0, status=False, export="",
    bring="", for_judge="",
)  # fmt: skip


def _said(app: Application, *, as_json: bool = False, **asked: object) -> int:
    """The command in this process, in the folder of the application."""
    with contextlib.chdir(app.folder):
        return review(replace(_NOTHING, **asked), config=None, as_json=as_json)  # type: ignore[arg-type]


def test_a_spreadsheet_goes_out_and_its_labels_come_in_once(
    app: Application, capsys: pytest.CaptureFixture[str]
):
    assert _said(app, export="sheet.csv") == 0
    rows = list(csv.DictReader(io.StringIO((app.folder / "sheet.csv").read_text())))
    assert {row["place"] for row in rows} == {str(n) for n in range(1, 12)}
    for place, row in enumerate(rows):
        row["value"] = "?" if place == 0 else str(int(row["text"] == row["target"]))
    with (app.folder / "filled.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    capsys.readouterr()
    _said(app, bring="filled.csv", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == {"labels": len(rows), "new": len(rows), "of_other_runs": 0}
    _said(app, bring="filled.csv")
    assert ": 0 new" in capsys.readouterr().out
    _said(app, as_json=True)
    suites = {part["suite"]: part for part in json.loads(capsys.readouterr().out)["suites"]}
    assert sum(part["num_labelled"] for part in suites.values()) == 6  # the others do not count
    assert sum(part["num_untold"] for part in suites.values()) == 1
    _said(app, status=True)
    shown = capsys.readouterr().out
    assert re.search(r"tickets +\d+ +\d+ +\d+ .* agree on [\d.]+% of \d+, kappa", shown), shown
    (app.folder / "sheet.csv").unlink()
    assert _said(app, for_judge="labels.jsonl") == 0
    found = read_judge_labels(app.folder / "labels.jsonl", "j", "reference", (1, 5))
    judged = {(label.item.answers[0], label.value) for label in found}
    assert judged == {(row["text"], float(row["value"])) for row in rows if row["value"] != "?"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"web": True, "status": True}, "only one way"),
        ({"bring": "none.csv"}, "cannot be read"),
        ({"bring": "labels.txt"}, "ends in .csv or .jsonl"),
        ({"by": "../x"}, "name of a person"),
        ({"suite": "oders"}, "did you mean 'orders'?"),
        ({}, "looked at on a terminal"),
    ],
)
def test_what_cannot_be_done_is_a_line(app: Application, asked: dict[str, object], told: str):
    with pytest.raises(UsageError) as caught:
        _said(app, **asked)
    assert told in caught.value.line()


def test_keys_on_a_terminal_keep_labels_at_once(app: Application):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "flows", "review", "--by", "ada"],
        cwd=app.folder, env=app.environment(TERM="xterm", COLUMNS="100"),
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    try:
        first = _until(leader, "1 of 11")
        assert "champion" not in first
        assert "prod" not in first
        for key, told in (("1", "2 of 11"), ("s", "3 of 11"), ("u", "2 of 11"), ("w", "why:")):
            _press(leader, key)
            _until(leader, told)
        os.write(leader, b"both are rude\n")
        for key, told in (("n", "3 of 11"), ("q", "2 said by ada")):
            _press(leader, key)
            _until(leader, told)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    text = (app.folder / "reviews" / "ada.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["value"] for line in lines] == [1.0, 0.0, 0.0, 0.0]
    assert [line["why"] for line in lines] == ["", "", "both are rude", "both are rude"]


def _press(terminal: int, key: str) -> None:
    """Once single keys are listened to; what is typed before is thrown away."""
    deadline = time.monotonic() + 60
    while termios.tcgetattr(terminal)[3] & termios.ICANON and time.monotonic() < deadline:
        time.sleep(0.01)
    os.write(terminal, key.encode())


def _until(terminal: int, text: str) -> str:
    seen, deadline = "", time.monotonic() + 60
    while text not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
    assert text in seen, seen[-2000:]
    return seen


def test_the_page_is_for_one_person_on_this_machine_and_works_without_scripts(app: Application):
    process = app.start("review", "--web", "--by", "bo")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        base = address.partition("/?")[0]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", base)
        with httpx.Client() as stranger:
            assert stranger.get(base).status_code == 403
            assert stranger.get(f"{base}/?token=wrong").status_code == 403
            assert stranger.post(f"{base}/said", data={"choice": "b"}).status_code == 403
            rebound = {"host": "evil.example"}
            assert stranger.get(address, headers=rebound).status_code == 403
        with httpx.Client(follow_redirects=True) as person:
            page = person.get(address)
            assert page.status_code == 200
            assert "Pair 1 of 11" in page.text
            assert "prod" not in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            fields = dict(re.findall(r'name="(token|number)" value="([^"]*)"', page.text))
            forged = person.post(f"{base}/said", data={**fields, "token": "x", "choice": "b"})
            assert forged.status_code == 403
            said = {**fields, "choice": "2", "why": "<b>yes</b>"}
            assert "Pair 2 of 11" in person.post(f"{base}/said", data=said).text
            # sent twice: it is of the first question, not of the second
            assert "Pair 2 of 11" in person.post(f"{base}/said", data=said).text
            huge = person.post(f"{base}/said", data={**fields, "why": "x" * 100_000})
            assert huge.status_code == 413
    finally:
        process.send_signal(2)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "1 said by bo" in out
    labels = read_labels(app.folder / "reviews")
    values = [label.value for people in labels.values() for label in people.values()]
    assert sorted(map(str, values)) == ["0.0", "1.0"]


def test_a_taken_port_is_a_line(app: Application, tmp_path: Path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = app.call("review", "--web", "--port", str(port))
    assert (said.code, said.err.count("\n")) == (4, 1)
    assert f"review --web --port {port + 1}" in said.err
