from __future__ import annotations

from tasks.model.answer import Answer
from tasks.scoring.effective import counted_scorers, judged_samples
from tests.tasks.gate.cases import sample


def test_answers_to_samples_that_are_not_asked_for_say_nothing() -> None:
    """Of a run that asks no further, one release may have answered more samples than the other."""
    asked, other = (sample(number, 1.0, 1.0).sample for number in (1, 2))
    champion = {(asked.sample_id, 0): [Answer(1.0, text="a", scorer="exact_match@1")],
                (other.sample_id, 0): [Answer(0.0, text="a", scorer="exact_match@2")]}  # fmt: skip
    challenger = {(asked.sample_id, 0): champion[asked.sample_id, 0]}
    stored = {"champion": champion, "challenger": challenger}
    scorers = counted_scorers([asked], stored.values(), {"route": "exact_match"})
    assert scorers == {"route": "exact_match@1"}
    (judged,) = judged_samples([asked], stored, range(1), scorers)
    assert (judged.score("champion"), judged.score("challenger")) == (1.0, 1.0)
