"""`flywheel items`: what all stored answers say of the samples of an eval set."""

from __future__ import annotations

import pytest

from tests.flows.application import Application


@pytest.mark.slow
def test_it_tells_of_every_sample_what_the_store_knows(application: Application):
    application.here("ingest")
    application.here("validate")
    nothing = application.here("items")
    assert nothing.code == 2
    assert "no run has reached a verdict" in nothing.err
    evaluated = application.here("eval", "--json", FLYWHEEL_EVALUATE__REPEATS="4")
    run_id = evaluated.json["run_id"]
    undecided = application.here("items", run_id)
    assert undecided.code == 2
    assert "next: flywheel gate" in undecided.err
    decided = application.here("gate", "--json", FLYWHEEL_EVALUATE__REPEATS="4")

    told = application.here("items", "--json").json
    assert told["run_id"] == decided.json["run_id"]
    assert sorted(told["releases"]) == ["challenger", "champion"]
    suites = {suite["suite"]: suite for suite in told["suites"]}
    route = suites["route"]
    # four answers of the champion, which samples, and one of the challenger, which does not
    assert {item["num_answers"] for item in told["samples"] if item["suite"] == "route"} == {5}
    assert route["num_samples"] == route["num_enough"] == route["num_repeated"] > 10
    assert (route["num_tested"], route["num_negative"]) == (0, 0)
    wrong = [item for item in told["samples"] if "always_wrong" in item["flags"]]
    assert len(wrong) == sum(suite["num_always_wrong"] for suite in told["suites"])
    repeats = {part["suite"]: part for part in told["repeats"]}["route"]
    assert repeats["challenger"] == "challenger"
    counted = {suite["suite"]: suite["num_samples"] for suite in decided.json["suites"]}
    assert (repeats["num_repeats"], repeats["num_samples"]) == (4, counted["route"])
    assert 0 <= repeats["share_of_answers"] <= 1
    errors = [repeats["standard_errors"][number] for number in ("1", "2", "4", "8", "16")]
    assert sorted(errors, reverse=True) == errors

    table = application.here("items").out
    assert "4 answers a sample" in table
    assert "route" in table
    assert f"of {route['num_repeated']}" in table
    assert (f"{wrong[0]['sample_id'][:12]}" in table) == bool(wrong)
