"""What a run may spend on APIs, and what it has: every request is counted before it goes out.

A request goes out only where what is spent, what those under way may come to and what it may come
to itself stay within the budget, so that none is exceeded, not even by what arrives last. Where
nobody tells what a request came to (a cut stream, a kill), its worst counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.answering.journal import NOTHING, Amount, Journal
from tasks.answering.needs import Need
from tasks.answering.spool import begin_spool, completion_row, put_away
from tasks.backends.base import BudgetSpentError, Reply, Usage
from tasks.model.guardrail import Price
from tasks.run import Run
from tasks.settings import BudgetSettings
from tasks.store.evals.spending import Spent


class RunMeter:
    """Of one chunk of a run; `spent` goes on from chunk to chunk."""

    def __init__(self, run: Run, chunk: Sequence[Need], spent: Spent, journal: Journal) -> None:
        self.spent = spent
        self._run = run
        self._chunk = chunk
        self._journal = journal
        self._budget = run.settings.evaluate.budget
        self._under_way: dict[int, Amount] = {}
        self._spool: Path | None = None

    def begin(self, place: int, worst: Usage) -> int | None:
        release = self._chunk[place].release
        amount = _amount(release.price, worst)
        if why := self._exceeded(self.spent.plus(1, *_values(amount))):
            raise BudgetSpentError(why)
        reserved = self.spent.plus(1, *_values(amount))
        for other in self._under_way.values():
            reserved = reserved.plus(0, *_values(other))
        if self._exceeded(reserved):
            return None
        attempt = self.spent.requests + 1
        self._journal.sent(attempt, release.digest, amount)
        self.spent = self.spent.plus(1, 0, 0, 0.0)
        self._under_way[attempt] = amount
        return attempt

    def arrived(self, attempt: int, place: int, reply: Reply, usage: Usage | None) -> None:
        need = self._chunk[place]
        worst = self._under_way.pop(attempt)
        amount = worst if usage is None else _amount(need.release.price, usage)
        self._journal.arrived(
            attempt, amount, completion_row(need.key, reply, self._run.run_id, self._run.clock())
        )
        self.spent = self.spent.plus(0, *_values(amount))

    def failed(self, attempt: int, *, may_be_billed: bool) -> None:
        worst = self._under_way.pop(attempt)
        amount = worst if may_be_billed else NOTHING
        self._journal.ended(attempt, amount)
        self.spent = self.spent.plus(0, *_values(amount))

    def spool(self) -> Path:
        if self._spool is None:
            run, keys = self._run, [need.key for need in self._chunk]
            self._spool = begin_spool(run.settings.home_path, run.run_id, keys, run.clock())
        return self._spool

    def put_spool_away(self) -> None:
        """What is in it is kept."""
        if self._spool is not None:
            put_away(self._spool)

    def _exceeded(self, spent: Spent) -> str:
        return exceeded(self._budget, spent)


def exceeded(budget: BudgetSettings, spent: Spent) -> str:
    """What of the budget is spent, and the key to raise; empty where it is not."""
    for name, limit, value in (
        ("max_requests", budget.max_requests, spent.requests),
        ("max_tokens", budget.max_tokens, spent.tokens),
        ("max_cost", budget.max_cost, spent.cost),
    ):
        if limit and value > limit:
            return f"the budget is spent: evaluate.budget.{name} is {limit:,}"
    return ""


def _amount(price: Price, usage: Usage) -> Amount:
    return Amount.of(usage, price.of(usage.input_tokens, usage.output_tokens))


def _values(amount: Amount) -> tuple[int, int, float]:
    return amount.input_tokens, amount.output_tokens, amount.cost
