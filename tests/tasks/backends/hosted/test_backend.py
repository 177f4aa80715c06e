from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.backends.base import replies_of
from tasks.backends.hosted import backend as policy
from tasks.errors import StoreError, UsageError
from tests.fake_api import FAULTS, FakeApi, answer_to, prompt_of, serving_api
from tests.tasks.backends.hosted.asking import (
    KEY,
    VARIABLE,
    Account,
    Meter,
    answers,
    ask,
    declared,
    loaded,
)

ENDPOINTS = [
    {"endpoint": "chat"},
    {"endpoint": "completions"},
    {"endpoint": "responses"},
    {"api": "anthropic"},
    {"api": "gemini"},
]
every_endpoint = pytest.mark.parametrize("of", ENDPOINTS, ids=lambda of: "-".join(of.values()))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setattr(policy, "_FIRST_WAIT_S", 0.02)


def _error(status: int, message: str, **more: Any) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "x", "code": None, **more}}


@every_endpoint
def test_answers_come_with_tokens_times_and_who_gave_them(of: dict[str, str]) -> None:
    account = Account()
    with serving_api(pause_s=0.02) as api:
        replies = answers(api, [ask(f"q{n}") for n in range(6)], account, **of)
    for number, reply in enumerate(replies):
        prompt = f"q{number}" if of.get("endpoint") != "completions" else f"Be brief.\n\nq{number}"
        assert (reply.text, reply.failure) == (answer_to(prompt), None)
        assert (reply.finish_reason, reply.cached_tokens) == ("stop", 1)
        assert (reply.input_tokens, reply.output_tokens) == (len(prompt), len(answer_to(prompt)))
        assert reply.served_by in ("big-1 fp_1", "big-1")
        assert reply.ttft_s is not None
        assert reply.latency_s is not None
        assert 0.02 < reply.ttft_s < reply.latency_s < 5
    assert len(account.sent) == len(account.arrived) == 6
    assert sorted(place for place, _, _ in account.arrived) == list(range(6))
    assert all(usage is not None for _, _, usage in account.arrived)


@every_endpoint
def test_what_may_pass_is_asked_again(of: dict[str, str]) -> None:
    faults = [fault for fault in FAULTS if fault != "empty"]
    account = Account()

    def behave(_: int, body: dict[str, Any]) -> str | None:
        prompt = prompt_of(body)
        return prompt.split("Be brief.")[-1].strip() if api.books.asked[prompt] < 3 else None

    with serving_api(behave, slow_s=0.8) as api:
        replies = answers(
            api, [ask(fault) for fault in faults], account, requests={"timeout_s": 0.6}, **of
        )
        assert len(api.books.bodies) == len(account.sent) == 3 * len(faults)
        assert {*api.books.faults} == {*faults, "none"}
    assert [reply.failure for reply in replies] == [None] * len(faults)
    assert all(
        reply.text and reply.text.endswith(f) for reply, f in zip(replies, faults, strict=True)
    )
    billed = ("cut", "reset", "slow", "wrong json")
    assert sorted(account.failed_ones) == sorted([fault in billed for fault in faults] * 2)


@every_endpoint
def test_an_answer_without_a_choice_is_the_releases_and_is_kept(of: dict[str, str]) -> None:
    account = Account()
    with serving_api(lambda _, __: "empty") as api:
        (reply,) = answers(api, [ask()], account, **of)
        assert len(api.books.bodies) == 1
    assert reply.failure is not None
    assert (reply.failure.fault, reply.failure.is_transient) == ("release", False)
    assert (reply.text, reply.failure.message) == (None, "the answer holds no choice")
    assert len(account.arrived) == 1


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (_error(400, "flagged", code="content_filter"), "withheld"),
        (_error(403, "blocked", code="content_policy_violation"), "withheld"),
        (_error(400, "maximum context length is 4", code="context_length_exceeded"), "too_long"),
        (_error(413, "large"), "too_long"),
    ],
)
def test_what_the_release_would_refuse_again_is_its_own_failure(told: Any, kind: str) -> None:
    with serving_api(lambda _, __: told) as api:
        (reply,) = answers(api, [ask()])
        assert len(api.books.bodies) == 1
    assert reply.failure is not None
    assert (reply.failure.kind, reply.failure.fault) == (kind, "release")
    assert not reply.failure.is_transient


@pytest.mark.parametrize(
    ("told", "says", "what_next"),
    [
        (_error(401, f"Incorrect API key provided: {KEY}"), r"\[api key\]", VARIABLE),
        (_error(403, "not for you"), "may not use", VARIABLE),
        (_error(404, "no big-1 here"), "no big-1 here", "base_url"),
        (_error(429, "pay", code="insufficient_quota"), "no money or quota", "pay"),
        ((307, {}), "no such model or endpoint", "base_url"),
        (_error(400, "Unsupported parameter: 'seed'"), "'seed'", ".omit"),
    ],
)
def test_an_endpoint_that_takes_nothing_ends_it_with_one_line(
    told: Any, says: str, what_next: str
) -> None:
    with serving_api(lambda _, __: told) as api:
        with pytest.raises(UsageError, match=says) as caught:
            answers(api, [ask(str(n)) for n in range(50)])
        assert len(api.books.bodies) <= 8  # what was under way, of fifty
    assert what_next in caught.value.next
    assert KEY not in caught.value.line()
    assert "\n" not in caught.value.line()


def test_what_is_under_way_when_the_endpoint_closes_still_comes_in() -> None:
    account = Account()
    told = lambda n, _: _error(401, "no") if n == 3 else None  # noqa: E731
    with serving_api(told, pause_s=0.15) as api, pytest.raises(UsageError):
        answers(api, [ask(str(n)) for n in range(50)], account)
    assert len(account.arrived) == 3 == sum(api.books.billed.values())


def test_one_refused_request_among_answers_is_nobodys_answer() -> None:
    told = lambda n, _: _error(400, "odd") if n == 5 else None  # noqa: E731
    with serving_api(told) as api:
        replies = answers(api, [ask(str(n)) for n in range(20)], requests={"max_concurrency": 1})
        assert len(api.books.bodies) == 20
    (failure,) = [reply.failure for reply in replies if reply.failure]
    assert (failure.kind, failure.fault, failure.is_transient) == ("refused", "harness", True)


def test_an_outage_is_found_out_and_nobodys_fault() -> None:
    with serving_api(lambda n, _: "500" if n >= 5 else None) as api:
        replies = answers(
            api, [ask(str(n)) for n in range(80)],
            requests={"max_retries": 1, "max_concurrency": 2},
        )  # fmt: skip
        assert 5 + 20 <= len(api.books.bodies) <= 5 + 24
    lost = [reply.failure for reply in replies if reply.failure]
    assert len(lost) == 75
    assert {(one.fault, one.is_transient) for one in lost} == {("harness", True)}
    assert "failed 10 times in a row, last: status 500: oops" in lost[-1].message


def test_no_server_at_all_is_an_outage() -> None:
    with serving_api() as api:
        pass
    replies = answers(api, [ask()], requests={"max_retries": 1})
    assert replies[0].failure is not None
    assert replies[0].failure.message == "it cannot be reached"


@pytest.mark.parametrize("fault", ["429", "429 date"])
def test_nobody_asks_before_the_endpoint_wants_to_be_asked(fault: str) -> None:
    times: list[float] = []

    def behave(number: int, _: Any) -> str | None:
        times.append(time.monotonic())
        return fault if number == 0 else None

    wait_s = 1 if fault == "429" else 2  # a date has whole seconds
    with serving_api(behave, retry_after_s=wait_s, pause_s=0.01) as api:
        replies = answers(api, [ask(str(n)) for n in range(12)], requests={"max_concurrency": 2})
    assert all(reply.failure is None for reply in replies)
    later = [at - times[0] for at in times[2:]]  # the second was under way
    assert min(later[1:]) > 0.9


def test_an_endpoint_that_wants_an_hour_is_not_waited_for() -> None:
    started = time.monotonic()
    with serving_api(lambda _, __: "429", retry_after_s=3600) as api:
        (reply,) = answers(api, [ask()])
        assert len(api.books.bodies) == 1
    assert time.monotonic() - started < 5
    assert reply.failure is not None
    assert reply.failure.is_transient


def test_no_more_requests_are_under_way_than_allowed() -> None:
    with serving_api(pause_s=0.02) as api:
        answers(api, [ask(str(n)) for n in range(30)], requests={"max_concurrency": 3})
        assert api.books.most_under_way == 3


def test_nothing_more_is_asked_once_the_budget_is_spent() -> None:
    account = Account(most=7)
    with serving_api(lambda n, _: "500" if n % 3 == 0 else None) as api:
        with loaded(api) as backend:
            replies = replies_of(backend, [ask(str(n)) for n in range(20)], Meter(account))
            again = replies_of(backend, [ask("more")], Meter(account))
        assert len(api.books.bodies) == 7
    assert sum(reply.text is not None for reply in replies) == 4
    assert {reply.failure.message for reply in (*replies, *again) if reply.failure} == {
        "the budget is spent"
    }


def test_a_server_that_does_not_stream_is_understood() -> None:
    whole = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "all at once"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }  # fmt: skip
    with serving_api(lambda _, __: (200, whole)) as api:
        (reply,) = answers(api, [ask()])
    assert (reply.text, reply.output_tokens) == ("all at once", 4)


@pytest.mark.parametrize(
    "body",
    [[], {}, 3, None, {"choices": None}, {"choices": [3]}, {"choices": [{}]}, {"choices": {}},
     {"choices": [{"index": 0, "message": None}]}, {"error": []}, {"error": 3}, {"content": 1}],
)  # fmt: skip
def test_no_body_breaks_anything(body: Any) -> None:
    with serving_api(lambda _, __: (200, body)) as api:
        (reply,) = answers(api, [ask()], requests={"max_retries": 1})
    assert reply.failure is not None
    assert reply.text is None


def test_an_answer_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "_MAX_TEXT_CHARS", 10)
    with serving_api() as api:
        (reply,) = answers(api, [ask("so long a question")], requests={"max_retries": 1})
        assert len(api.books.bodies) == 2
    assert reply.failure is not None
    assert reply.failure.message == "an answer without an end came"


def test_what_cannot_be_written_down_ends_it_at_once_as_what_it_is() -> None:
    class Full(Meter):
        def begin(self, place: int, worst: Any) -> int | None:
            if place > 3:
                raise StoreError("no room")
            return super().begin(place, worst)

    with serving_api(pause_s=0.05) as api, loaded(api) as backend:
        with pytest.raises(StoreError, match="no room"):
            replies_of(backend, [ask(str(n)) for n in range(40)], Full(Account()))
        assert len(api.books.bodies) <= 8


def test_half_a_character_and_the_key_itself_do_not_reach_an_answer() -> None:
    whole = {"model": KEY, "choices": [{"index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": f"\ud800 {KEY} \0"}}]}  # fmt: skip
    with serving_api(lambda _, __: (200, whole)) as api:
        (reply,) = answers(api, [ask()])
    assert (reply.text, reply.served_by) == ("� [api key] \0", "[api key]")


def test_parameters_go_as_the_api_names_them() -> None:
    with serving_api() as api:
        sampling = {"temperature": 0.5, "top_p": 0.9, "stop": ("a", "b"), "json_schema": '{"a": 1}'}
        answers(api, [ask(**sampling)], body={"top_logprobs": 2, "user": "x"}, omit=("seed",))
        answers(api, [ask(temperature=0.5, top_p=0.9)], endpoint="responses", omit=["temperature"])
        chat, responses = api.books.bodies
        headers = api.books.headers[0]
    assert {name: value for name, value in chat.items() if name != "messages"} == {
        "model": "big-1", "stream": True, "stream_options": {"include_usage": True},
        "max_tokens": 50, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer", "schema": {"a": 1}, "strict": True}},
        "top_logprobs": 2, "user": "x",
    }  # fmt: skip
    assert {name: value for name, value in responses.items() if name != "input"} == {
        "model": "big-1", "stream": True, "store": False, "max_output_tokens": 50, "top_p": 0.9,
    }  # fmt: skip
    assert headers["authorization"] == f"Bearer {KEY}"


def test_no_key_of_the_environment_is_sent_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving_api() as api:
        answers(api, [ask()], api_key_env="")
        assert KEY not in str(api.books.headers)


def test_the_answers_of_our_own_server_are_those_of_the_engine(tiny_model: Path) -> None:
    from engine import LLM
    from tests.engine.server.local_server import serving

    llm = LLM(tiny_model, "cpu", "float32")
    asks = [ask(f"say {n}", max_tokens=5, temperature=0.7 * (n % 2)) for n in range(6)]
    expected = llm.generate([list(one.messages) for one in asks], [one.sampling for one in asks])
    with serving(llm) as server:
        api = FakeApi(lambda _, __: None, port=server.port)
        replies = answers(api, asks, model="tiny")
        assert declared(api).base_url.endswith(f":{server.port}/v1")
    assert [reply.text for reply in replies] == [one.text for one in expected]
    assert [reply.output_tokens for reply in replies] == [len(one.token_ids) for one in expected]
    assert [reply.finish_reason for reply in replies] == [one.finish_reason for one in expected]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer here")
def test_a_signal_in_the_middle_leaves_nothing_at_work() -> None:
    class StopError(BaseException):
        pass

    def stop(*_: object) -> None:
        raise StopError

    account = Account()
    before = signal.signal(signal.SIGALRM, stop)
    try:
        with serving_api(pause_s=0.2) as api, loaded(api) as backend:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(StopError):
                replies_of(backend, [ask(str(n)) for n in range(40)], Meter(account))
            told = len(account.sent), len(account.arrived) + len(account.failed_ones)
            time.sleep(0.3)
            assert (len(account.sent), len(account.arrived) + len(account.failed_ones)) == told
            assert told[0] == told[1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
