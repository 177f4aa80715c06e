"""A whole turn judged by a user's own scorer, and what a change of it does."""

from __future__ import annotations

import pytest

from tests.flows.application import Application

_MODULE = """
def long_enough(answer: str, target: str, at_least: int = 3) -> float:
    if answer.startswith("unheard of"):
        raise ValueError
    return min(len(answer) / at_least, 1.0)
"""


def _declare(application: Application, scorer: str) -> None:
    path = application.folder / "flywheel.toml"
    lines = path.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("scorer = "))
    lines[place] = f"scorer = {scorer}"
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_a_turn_by_a_scorer_of_ones_own(application: Application):
    module = application.folder / "my_scorers.py"
    module.write_text(_MODULE)
    _declare(application, '{ function = "my_scorers:long_enouhg" }')
    wrong = application.here("check")
    assert wrong.code == 2
    assert "did you mean 'long_enough'" in wrong.out + wrong.err

    _declare(application, '{ function = "my_scorers:long_enough", at_least = 4 }')
    assert application.here("check").code == 0
    first = application.here("run", "--inline", "--json")
    assert first.code in (0, 1), first.err
    (suite,) = [one for one in first.json["suites"] if one["suite"] == "route"]
    assert suite["metric"].startswith("my_scorers:long_enough(at_least=4, source=")
    assert suite["scorer"].startswith("my_scorers:long_enough@1(at_least=4, source=")
    assert suite["metric"] in application.here("report").out

    # another parameter is another instrument: judged anew, nothing asked anew, nothing mixed
    _declare(application, '{ function = "my_scorers:long_enough", at_least = 400 }')
    second = application.here("run", "--inline", "--json")
    stages = {stage["stage"]: stage for stage in second.json["stages"]}
    assert stages["evaluate"]["notes"]["computed"] == 0
    (again,) = [one for one in second.json["suites"] if one["suite"] == "route"]
    assert "at_least=400" in again["scorer"]
    assert again["challenger"] < suite["challenger"]
    kept = application.here("sql", "select count(distinct scorer) n from scores "
                            "where scorer like 'my_scorers%'", "--json").json  # fmt: skip
    assert kept["rows"] == [[2]]

    # a gate by a changed file has no scores of it: nothing is decided by the old ones
    module.write_text(_MODULE + "\n")
    decided = application.here("gate", "--json").json
    (unjudged,) = [one for one in decided["suites"] if one["suite"] == "route"]
    assert (unjudged["verdict"], unjudged["difference"]) == ("cannot_tell", None)
