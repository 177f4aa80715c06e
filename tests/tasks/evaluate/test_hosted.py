"""A local champion against a challenger behind an API: one run, one store, no key in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.answering.journal import JOURNAL_FILE, fold
from tasks.backends.hosted import backend as policy
from tasks.errors import UsageError
from tasks.evaluate.task import evaluate
from tasks.model.receipt import Receipt
from tasks.noise.task import noise
from tasks.releases.memory import Memory
from tasks.releases.resolve import resolve_release
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.evals.releases import read_releases
from tests.fake_api import FakeApi, answer_to, serving_api
from tests.tasks.evaluate.stage import NOW, begin, sample, settings_for, store_eval_set

KEY = "sk-planted-key-0123456789"
NUM = 12


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", KEY)
    monkeypatch.setattr(policy, "_FIRST_WAIT_S", 0.02)


def made(folder: Path, model: Path, api: FakeApi, **extra: Any) -> Settings:
    """Release one on this machine, two behind the API."""
    base = settings_for(folder, model)
    two = {
        "model": "big-1", "api": "openai", "base_url": api.url, "api_key_env": "PLANTED",
        "prompt": "two.md", "requests": {"max_concurrency": 3, "timeout_s": 5.0},
        "price": {"input": 1000.0, "output": 2000.0}, **extra.pop("two", {}),
    }  # fmt: skip
    releases = {"one": base.releases["one"].model_dump(), "two": two}
    return settings_for(folder, model, releases=releases, **extra)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with Store.open(settings.store_path, read_only=True) as store:
        return store.rows(sql)


def hosted(receipt: Receipt) -> dict[str, Any]:
    told: dict[str, Any] = receipt.notes["hosted"]["two"]
    return told


def test_both_answer_in_one_run_and_the_key_is_nowhere(
    tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(number: int, body: Any) -> Any:
        return (500, {"error": {"message": f"bad {KEY}"}}) if number == 2 else None

    with serving_api(behave) as api:
        settings = made(tmp_path, tiny_model, api)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        receipt = evaluate(begin(settings, "r1"))
        again = evaluate(begin(settings, "r2"))
        assert len(api.books.bodies) == NUM + 1
    answered = rows(
        settings,
        "SELECT json_extract_string(messages, '$[0].content'), text, latency_s > ttft_s "
        "FROM completions JOIN samples USING (sample_id) WHERE served_by = 'big-1 fp_1'",
    )
    assert sorted(answered) == sorted(
        (f"question {n}", answer_to(f"question {n}"), True) for n in range(NUM)
    )
    assert receipt.notes["computed"] == 2 * NUM
    assert (again.notes["computed"], again.notes["cached"]) == (0, 2 * NUM)
    spent = hosted(receipt)["spent"]
    assert spent["requests"] == NUM + 1
    read, written = spent["input_tokens"], spent["output_tokens"]
    assert spent["cost"] == pytest.approx((1000 * read + 2000 * written) / 1e6)
    assert hosted(receipt)["served_by"] == {"big-1 fp_1": NUM}
    assert (hosted(again)["spent"]["requests"], hosted(again)["num_unfinished"]) == (0, 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in "".join(capfd.readouterr())
    assert KEY not in str(receipt)


def test_a_spent_budget_keeps_what_was_paid_for_and_the_rest_is_asked_later(
    tmp_path: Path, tiny_model: Path
) -> None:
    with serving_api(lambda n, _: "500" if n == 1 else None) as api:
        budget = {"budget": {"max_requests": 5}}
        settings = made(tmp_path, tiny_model, api, evaluate=budget)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        receipt = evaluate(begin(settings, "r1"))
        assert len(api.books.bodies) == 5
        told = hosted(receipt)
        assert told["num_unfinished"] == NUM - 4
        assert list(told["unfinished"]) == [
            "the budget is spent: evaluate.budget.max_requests is 5"
        ]
        assert receipt.notes["faults"] == {"harness": NUM - 4}
        # the same run once more has nothing left; another one, a budget of its own
        with Store.open(settings.store_path) as store:
            store.execute("DELETE FROM run_stages")
        evaluate(begin(settings, "r1"))
        assert len(api.books.bodies) == 5
        evaluate(begin(made(tmp_path, tiny_model, api), "r2"))
        assert len(api.books.bodies) == 5 + NUM - 4
        assert set(api.books.billed.values()) == {1}
    assert rows(settings, "SELECT count(*) FROM completions") == [(2 * NUM,)]


def test_an_answer_that_arrived_is_not_asked_again_after_an_interrupt(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.answering import compute

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    with serving_api() as api:
        settings = made(tmp_path, tiny_model, api)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        run = begin(settings, "r1")
        with monkeypatch.context() as patch:
            patch.setattr(compute, "fold", lambda *_: 0)  # killed before anything came to the store
            patch.setattr(compute.table, "save_completions", interrupted)
            with pytest.raises(KeyboardInterrupt):
                compute.compute(run, "evaluate", _missing(settings))
        assert (settings.home_path / JOURNAL_FILE).exists()
        with Store.open(settings.store_path) as store:
            assert fold(store, settings.home_path, NOW) == NUM
        receipt = evaluate(run)
        assert len(api.books.bodies) == NUM
    assert hosted(receipt)["spent"]["requests"] == NUM
    assert receipt.notes["computed"] == 2 * NUM  # over all attempts at the run


def _missing(settings: Settings) -> Any:
    from tasks.answering.needs import needs
    from tasks.store.evals.samples import read_eval_set

    release = resolve_release("two", settings, Memory(settings.home_path / "memory.json"))
    with Store.open(settings.store_path) as store:
        return needs([release], read_eval_set(store, "set-1"), range(1))


def test_a_key_that_is_refused_ends_the_run_and_names_its_variable(
    tmp_path: Path, tiny_model: Path
) -> None:
    told = (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    with serving_api(lambda n, _: told if n >= 4 else None) as api:
        settings = made(tmp_path, tiny_model, api)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        with pytest.raises(UsageError, match="the key is not accepted") as caught:
            evaluate(begin(settings, "r1"))
        kept = rows(settings, "SELECT count(*) FROM completions WHERE served_by IS NOT NULL")
        assert kept == [(sum(api.books.billed.values()),)]
    assert "PLANTED" in caught.value.line()
    assert KEY not in caught.value.line()


def test_a_model_that_changed_behind_its_api_is_told(tmp_path: Path, tiny_model: Path) -> None:
    with serving_api(lambda n, _: "500" if n >= 4 else None) as api:
        two = {"requests": {"max_concurrency": 1, "max_retries": 0}}
        settings = made(tmp_path, tiny_model, api, two=two)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        evaluate(begin(settings, "r1"))
        api.behave, api.build = (lambda _, __: None), "fp_2"
        receipt = evaluate(begin(settings, "r2"))
    assert hosted(receipt)["served_by"] == {"big-1 fp_2": NUM - 4, "big-1 fp_1": 4}


def test_no_api_is_taken_for_deterministic(tmp_path: Path, tiny_model: Path) -> None:
    with serving_api() as api:
        settings = made(tmp_path, tiny_model, api)
        store_eval_set(settings, [sample(number) for number in range(NUM)])
        memory = Memory(tmp_path / "memory.json")
        one, two = (resolve_release(name, settings, memory) for name in ("one", "two"))
        assert (one.is_sampled, two.is_sampled) == (False, True)
        assert (one.record().is_sampled, two.record().is_sampled) == (False, True)
        assert settings.releases["two"].is_sampled
        receipt = noise(begin(settings, "r1", champion="two"))
        assert len(api.books.bodies) == 2 * NUM  # once more under other seeds
    assert receipt.notes["headline"].startswith("how the API computes is not known")
    assert f"another seed changed 0 of {NUM} answers" in receipt.notes["headline"]
    with Store.open(settings.store_path, read_only=True) as store:
        kept = read_releases(store, [two.digest])[two.digest]
    assert kept == two.record()
    assert kept.engine["is_deterministic"] is False
    assert KEY not in str(kept)


def test_the_digest_is_of_all_that_may_change_an_answer(tmp_path: Path, tiny_model: Path) -> None:
    api = FakeApi(lambda _, __: None, port=1)
    memory = Memory(tmp_path / "memory.json")

    def digest(**two: Any) -> str:
        settings = made(tmp_path, tiny_model, api, two=two)
        return resolve_release("two", settings, memory).digest

    variants = [
        digest(), digest(model="big-2"), digest(endpoint="responses"), digest(prompt="one.md"),
        digest(base_url="http://127.0.0.1:2/v1"), digest(body={"a": 1}), digest(omit=["seed"]),
        digest(sampling={"temperature": 1.0}),
    ]  # fmt: skip
    assert len(set(variants)) == len(variants)
    same = digest(
        requests={"max_retries": 1}, price={"input": 9.0}, api_key_env="", base_url=api.url + "/"
    )
    assert same == variants[0]
