"""What can be known before the first stage: settings, rules, suites, prompts, models, in one check.

Every problem is told by the key to change, all of them at once. Nothing is computed, opened for
writing or fetched, and nothing is imported that takes long (torch, Great Expectations, MLflow): a
model is looked for, not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import combinations

from tasks.curate.declared import look_over
from tasks.errors import ConfigurationError, Problem, UsageError
from tasks.judges.checks import judge_problems, judges_asked, problems_of_run
from tasks.judges.resolve import declared_judge, judge_release
from tasks.logs.files.log_file import UnreadableLogError
from tasks.logs.files.sources import find_files
from tasks.model.run import RunRequest
from tasks.model.urls import STDIN, is_url
from tasks.on_ray.place import missing_packages
from tasks.privacy.masking import Redactor
from tasks.privacy.persons import PERSON, require_installed
from tasks.receipts.keys import signing_key
from tasks.releases.prompts import AS_LOGGED, load_prompts
from tasks.releases.resolve import find_local_model
from tasks.releases.source import HostedSource, cannot_weigh
from tasks.rules import in_force
from tasks.run import raw_key
from tasks.scoring.suites import (
    LOGGED_SUITE,
    also_instruments,
    guardrail_rule,
    refuse_logged_gate,
    suite_instrument,
)
from tasks.settings import CONFIG_NAME, ReleaseSettings, Settings
from tasks.settings.suite_files import read_suite_file
from tasks.tracking.environment import tracking_location


def require(settings: Settings, request: RunRequest) -> None:
    """Raises ConfigurationError with all that stands in the way of the stages asked for."""
    if problems := find_problems(settings, request, every_release=False):
        raise ConfigurationError(problems)


def require_judge(settings: Settings, name: str, *, is_labelled: bool) -> None:
    """The same of one judge by itself, of its own labels only where no others are given."""
    check = _Check(settings, RunRequest(), every_release=False)
    declared = declared_judge(name, settings)
    for one in (name, *declared.panel):
        check.judge(one, with_labels=one == name and not is_labelled)
    if check.problems:
        raise ConfigurationError(tuple(check.problems))


def find_problems(
    settings: Settings, request: RunRequest, *, every_release: bool
) -> tuple[Problem, ...]:
    """What the stages asked for would stumble over. Of releases those asked for, or every one."""
    check = _Check(settings, request, every_release)
    with check.of("retention.raw_key_file"):
        raw_key(settings)
    if settings.receipts.key_file:
        with check.of("receipts.key_file"):
            signing_key(settings)
    for stage, look in _LOOKS.items():
        if stage in request.stages:
            look(check)
    # several stages may stumble over the same
    found = {(p.key, p.message): p for p in check.problems}.values()
    return tuple(_with_line(problem, settings) for problem in found)


class _Check:
    """The problems found so far, and what was asked."""

    def __init__(self, settings: Settings, request: RunRequest, every_release: bool) -> None:
        self.settings = settings
        self.request = request
        self.every_release = every_release
        self.problems: list[Problem] = []
        self._tasks: dict[str, str] | None = None

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """What the block raises is a problem of this key."""
        try:
            yield
        except UsageError as error:
            self.problems.append(Problem(key, error))

    def logs(self) -> None:
        self.ray("ingest.on", self.settings.ingest.on)
        refused: list[UnreadableLogError] = []
        for pattern in self.request.logs:
            if pattern != STDIN and not is_url(pattern):
                with self.of("logs"):
                    try:
                        find_files([pattern], self.settings.home_path)
                    except UnreadableLogError as error:
                        refused.append(error)
        if refused and len(refused) == len(self.request.logs):  # else ingest passes over them
            with self.of("logs"):
                raise refused[0]

    def rules(self) -> None:
        for rules in (in_force.calls_rules, in_force.batch_rules, in_force.feedback_rules):
            with self.of("validate.rules"):
                rules(self.settings)

    def redaction(self) -> None:
        self.ray("ingest.on", self.settings.ingest.on)
        redact = self.settings.redact
        with self.of("redact.kinds"):
            Redactor(kind for kind in redact.kinds if kind != PERSON)
        if PERSON in redact.kinds:
            with self.of("redact.person_model"):
                require_installed(redact.person_model)

    def suites(self) -> None:
        with self.of("validate.rules"):
            in_force.samples_rules(self.settings)
        with self.of(f"suites.{LOGGED_SUITE}.role"):
            refuse_logged_gate(self.settings)
        self.suite_of_task()

    def suite_of_task(self) -> dict[str, str]:
        """task → the suite that asks it, of all samples that can be read; read once."""
        if self._tasks is None:
            self._tasks = {}
            for name, suite in self.settings.suites.items():
                for line in look_over(self.settings, name):
                    if isinstance(line, UsageError):
                        self.problems.append(Problem(f"suites.{name}.{suite.items_key}", line))
                    else:
                        self._tasks.setdefault(line.task or name, name)
        return self._tasks

    def guardrails(self) -> None:
        names = {role: name for role, name in self.request.releases.items() if name}
        if any(name not in self.settings.releases for name in names.values()):
            return  # told by the roles
        for name in self.settings.guardrails:
            with self.of(f"guardrails.{name}"):
                guardrail_rule(name, self.settings, names)

    def scorers(self) -> None:
        for name in self.settings.suites:
            with self.of(f"suites.{name}.scorer"):
                suite_instrument(self.settings, name).try_out()
            with self.of(f"suites.{name}.also"):
                for also in also_instruments(self.settings, name):
                    also.try_out()

    def decision(self) -> None:
        self.scorers()
        self.guardrails()

    def evaluation(self) -> None:
        if self.settings.evaluate.stop_when_decided and not self.settings.gate.early:
            with self.of("evaluate.stop_when_decided"):
                raise UsageError(
                    "a run can stop when it is decided only where a part of the error rate is "
                    "meant for looks besides the planned one",
                    received="gate.early = 0",
                    next="set [gate] early, such as 0.2",
                )
        self.scorers()
        self.releases()
        self.judges()

    def judges(self) -> None:
        """Those of the suites, or all that are declared."""
        self.problems += problems_of_run(self.settings, len(self.request.challengers))
        for name in judges_asked(self.settings, every_judge=self.every_release):
            self.judge(name)

    def judge(self, name: str, *, with_labels: bool = True) -> None:
        self.problems += judge_problems(name, self.settings, with_labels=with_labels)
        declared = self.settings.judges[name]
        if declared.release in self.settings.releases:
            release = judge_release(name, declared, self.settings)
            self.model_of(declared.release, release)
            self.schema(f"judges.{name}.structured", release)

    def champion(self) -> None:
        """The one release that is held against itself; every release is looked at elsewhere."""
        self.scorers()
        name, declared = self.request.champion, self.settings.releases
        if self.every_release:
            return
        if not name:
            self.problems.append(_nothing_to_judge(declared))
            return
        with self.of("champion"):
            self.settings.release(name)
        if name in declared:
            self.release(name, declared[name])

    def releases(self) -> None:
        """Those of the roles, or all that are declared: model and prompts are there."""
        declared = self.settings.releases
        roles = self.request.releases
        named = dict.fromkeys(name for name in roles.values() if name)
        if not declared or not (named or self.every_release):
            self.problems.append(_nothing_to_judge(declared))
        for role, name in roles.items():
            if name:
                with self.of("champion" if role == "champion" else "challenger"):
                    self.settings.release(name)
        self.challengers()
        for name in declared if self.every_release else named:
            if name in declared:
                self.release(name, declared[name])
        self.one_currency(declared if self.every_release else named)

    def challengers(self) -> None:
        """Several of them have a champion, and no two are the same release."""
        challengers = self.request.challengers
        if len(challengers) > 1 and not self.request.champion:
            with self.of("champion"):
                raise UsageError(
                    "several challengers are judged against a champion, and none is named",
                    received=", ".join(challengers),
                    next="name the release in production: --champion NAME",
                )
        for one, other in combinations(challengers, 2):
            releases = [self.settings.releases.get(name) for name in (one, other)]
            if one == other or (releases[0] is not None and releases[0] == releases[1]):
                same = "is named twice" if one == other else f"is the same release as {other!r}"
                with self.of("challenger"):
                    raise UsageError(
                        f"challenger {one!r} {same}, and all challengers share the error rate",
                        received=", ".join(challengers),
                        next="name every release once",
                    )

    def release(self, name: str, release: ReleaseSettings) -> None:
        self.model_of(name, release)
        if release.successor:
            with self.of(f"releases.{name}.successor"):
                self.settings.release(release.successor)
        with self.of(f"releases.{name}.prompt"):
            prompts = AS_LOGGED
            if release.prompt:
                prompts = load_prompts(self.settings.path(release.prompt), name)
            for task, suite in self.suite_of_task().items():
                if not prompts.covers(task):
                    raise UsageError(
                        f"release {name!r} has no prompt for the task {task!r} of suite {suite!r}",
                        received=prompts.source,
                        allowed="tasks with a prompt: " + ", ".join(sorted(prompts.by_task)),
                        next=f"add {task}.md or default.md",
                    )
        self.schema(f"releases.{name}.sampling.json_schema", release)
        for suite, of in self.settings.suites.items():
            if release.api and not of.takes_calls:
                with self.of(f"releases.{name}.api"):
                    raise cannot_weigh(name, suite)

    def model_of(self, name: str, release: ReleaseSettings) -> None:
        if release.api:
            self.hosted(name, release)
            return
        self.model(name, release)
        self.ray("evaluate.on", self.settings.evaluate.on)

    def ray(self, key: str, on: str) -> None:
        if missing := missing_packages(on):
            with self.of(key):
                raise UsageError(
                    f"actors of Ray need {' and '.join(missing)}, which is not installed",
                    next="pip install 'llm-flywheel[ray]'",
                )

    def schema(self, key: str, release: ReleaseSettings) -> None:
        needs_schema = release.sampling.json_schema and not release.api
        if needs_schema and find_spec("llguidance") is None:
            with self.of(key):
                raise UsageError(
                    "answers in a JSON schema need llguidance, which is not installed",
                    next="pip install 'llm-flywheel[structured]'",
                )

    def model(self, name: str, release: ReleaseSettings) -> None:
        with self.of(f"releases.{name}.model"):
            path = find_local_model(name, release, self.settings)
            if path is not None and path.is_dir() and not any(path.glob("*.safetensors")):
                raise UsageError(
                    f"the model folder of release {name!r} holds no weights",
                    received=str(path),
                    allowed="config.json and *.safetensors",
                    next=f"correct releases.{name}.model",
                )

    def hosted(self, name: str, release: ReleaseSettings) -> None:
        """Nothing is called."""
        with self.of(f"releases.{name}.api"):
            HostedSource.declared(name, release)
        budget, price = self.settings.evaluate.budget, release.price
        if budget.max_cost and not (price.input or price.output):
            with self.of(f"releases.{name}.price"):
                raise UsageError(
                    f"a budget in money needs the price of release {name!r}",
                    received=f"evaluate.budget.max_cost = {budget.max_cost:g}",
                    next=f"set input and output in [releases.{name}.price], of a million tokens",
                )

    def one_currency(self, names: Iterable[str]) -> None:
        """Of the releases that a budget in money is for."""
        declared = self.settings.releases
        paid = [name for name in names if name in declared and declared[name].api]
        currencies = {declared[name].price.currency for name in paid}
        if self.settings.evaluate.budget.max_cost and len(currencies) > 1:
            with self.of("evaluate.budget.max_cost"):
                raise UsageError(
                    "a budget in money needs prices in one currency",
                    received=", ".join(f"{name}: {declared[name].price.currency}" for name in paid),
                    next="give all prices in one currency",
                )

    def tracking(self) -> None:
        with self.of("mlflow.tracking_uri"):
            tracking_location(self.settings)


#: stage → what can be looked at before it, in the order of a turn
_LOOKS: dict[str, Callable[[_Check], None]] = {
    "ingest": _Check.logs,
    "replay": _Check.rules,
    "validate": _Check.rules,
    "redact": _Check.redaction,
    "curate": _Check.suites,
    "plan": _Check.guardrails,
    "evaluate": _Check.evaluation,
    "noise": _Check.champion,
    "gate": _Check.decision,
    "record": _Check.tracking,
}


def _with_line(problem: Problem, settings: Settings) -> Problem:
    """Of a key that stands in the file of a suite, where it stands there."""
    section, name, key, *_ = (*problem.key.split("."), "", "", "")
    suite = settings.suites.get(name) if section == "suites" else None
    if suite is None or not suite.file or key == suite.items_key:  # an item's error names its line
        return problem
    try:
        file = read_suite_file(settings.path("."), suite.file)
    except UsageError:
        return problem
    if key not in file.keys:
        return problem
    error, where = problem.error, file.where(key)
    shown = f"{error.received} in {where}" if error.received else where
    then = error.next.replace(f"in {CONFIG_NAME}", f"in {suite.file}")
    told = UsageError(error.what, received=shown, allowed=error.allowed, next=then)
    return Problem(problem.key, told)


def _nothing_to_judge(declared: dict[str, ReleaseSettings]) -> Problem:
    if not declared:
        error = UsageError(
            "no release is declared",
            received="no flywheel.toml, or one without releases",
            next="flywheel init, then name a model in releases.NAME.model",
        )
        return Problem("releases", error)
    error = UsageError(
        "no release to judge",
        allowed=", ".join(sorted(declared)),
        next="flywheel run --champion NAME --challenger NAME, or set both in flywheel.toml",
    )
    return Problem("champion", error)
