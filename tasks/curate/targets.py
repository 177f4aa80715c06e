"""What a right answer to a logged call is, and which suite therefore asks it.

    corrected   someone wrote what the answer should have been
    gold        a hand-written sample that asks the same has a target, or an audit of the call
    accepted    a thumbs-up: the logged answer
    recorded    of a suite of sessions: what was said or called at that step
    logged      none of these: the logged answer as a mere reference, in the suite `logged`

An answer that was disliked or led to an incident is never a reference: a release must not be
rewarded for repeating it. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tasks.curate.evalset import Draft
from tasks.curate.normalize import conversation_text
from tasks.model.logged_call import LoggedCall
from tasks.scoring.suites import LOGGED_SUITE


@dataclass(frozen=True, slots=True)
class Target:
    """A target with where it came from, and the suite and task of the sample it makes."""

    suite: str
    task: str | None
    text: str
    kind: str


class TargetResolver:
    """Knows the declared suites and their samples. `suite_of_task` is in the declared order."""

    def __init__(
        self,
        suite_of_task: Mapping[str, str],
        samples: Iterable[Draft],
        *,
        use_logged: bool,
        of_sessions: Collection[str] = (),
    ) -> None:
        self._of_sessions = frozenset(of_sessions)
        self._suite_of_task = dict(suite_of_task)
        self._use_logged = use_logged
        self._samples = tuple(samples)

    @cached_property
    def _gold(self) -> dict[str, dict[str | None, Draft]]:
        """Conversation → task → the first sample that asks this; made for the first call."""
        gold: dict[str, dict[str | None, Draft]] = {}
        for sample in self._samples:
            text = conversation_text(sample.conversation.messages)
            gold.setdefault(text, {}).setdefault(sample.task, sample)
        return gold

    def resolve(self, call: LoggedCall, text: str | None = None) -> Target | None:
        """The target of a call, or None where it has none that may be used. `text`: of its
        conversation, where it is known, as below."""
        suite, gold = self._declared(call, text)
        if suite is not None:
            task = gold.task if gold is not None and call.task is None else call.task
            if call.opinion.corrected is not None:
                return Target(suite, task, call.opinion.corrected, "corrected")
            if gold is not None:
                return Target(gold.suite, task, gold.target, "gold")
            if call.opinion.audited is not None:
                return Target(suite, task, call.opinion.audited, "gold")
            said = call.recorded if suite in self._of_sessions else call.response
            if call.opinion.is_liked and said is not None and not call.is_error:
                return Target(suite, task, said, "accepted")
            if suite in self._of_sessions and said is not None and _is_reference(call):
                return Target(suite, task, said, "recorded")
        return self._reference(call)

    def suite_of(self, call: LoggedCall, text: str | None = None) -> str | None:
        """The suite whose traffic a call is, whether or not a target is known; None: of none."""
        suite, _ = self._declared(call, text)
        return LOGGED_SUITE if suite is None and self._use_logged else suite

    def _declared(self, call: LoggedCall, text: str | None) -> tuple[str | None, Draft | None]:
        """The declared suite that asks this, and its hand-written sample that does."""
        suite = self._suite_of_task.get(call.task or "")
        gold = self._gold_for(call, text)
        if suite is None and gold is not None:
            suite = gold.suite  # the log does not name the task, the conversation does
        return suite, gold

    def _gold_for(self, call: LoggedCall, text: str | None) -> Draft | None:
        if not self._gold:
            return None
        by_task = self._gold.get(text or conversation_text(call.conversation.messages), {})
        if call.task is None:
            return next(iter(by_task.values()), None)
        return by_task.get(call.task)

    def _reference(self, call: LoggedCall) -> Target | None:
        """The suite `logged`, where no declared suite asks this or no target is known."""
        if not self._use_logged:
            return None
        opinion = call.opinion
        if opinion.corrected is not None:
            return Target(LOGGED_SUITE, call.task, opinion.corrected, "corrected")
        if opinion.audited is not None:
            return Target(LOGGED_SUITE, call.task, opinion.audited, "gold")
        if call.response is None or not _is_reference(call):
            return None
        kind = "accepted" if opinion.is_liked else "logged"
        return Target(LOGGED_SUITE, call.task, call.response, kind)


def _is_reference(call: LoggedCall) -> bool:
    """Whether what was answered may be held up to others."""
    return not (call.is_error or call.opinion.is_disliked or call.opinion.incident)
