"""The server as its clients see it: a real process, the real openai client, a tiny model."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import LLM, SamplingParams

openai = pytest.importorskip("openai")

CHAT = [{"role": "user", "content": "Hi"}]
MAX_REQUESTS = 8
MAX_BODY_BYTES = 20_000
LONG = 700  # tokens: seconds


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str

    @property
    def client(self) -> Any:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def post(self, path: str, body: object) -> dict[str, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", raw, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)  # type: ignore[no-any-return]

    def refusal(self, path: str, body: object) -> tuple[int, dict[str, Any], Any]:
        with pytest.raises(urllib.error.HTTPError) as raised:
            self.post(path, body)
        with raised.value as error:
            return error.code, json.load(error)["error"], error.headers

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as response:
            text = response.read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def wait_for(self, name: str, is_right: Callable[[float], bool], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_right(value := self.metric(name)):
            assert time.monotonic() < deadline, f"{name} is {value}"
            time.sleep(0.02)


def start(model: Path, *arguments: str) -> Server:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "engine", "serve", "--model", str(model), "--name", "tiny"),
            *("--device", "cpu", "--dtype", "float32", "--kv-cache-bytes", str(8 << 20)),
            *arguments,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"Serving tiny at (http://127\.0\.0\.1:\d+)/v1", line)
    assert found, line + process.stderr.read()
    return Server(process, found[1])


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Server]:
    limits = ["--max-requests", str(MAX_REQUESTS), "--max-body-bytes", str(MAX_BODY_BYTES)]
    running = start(tiny_model, "--port", "0", *limits)
    yield running
    running.process.terminate()
    _, errors = running.process.communicate(timeout=20)
    assert (running.process.returncode, errors) == (0, "")


def test_chat_gives_the_engines_answer(server: Server, chatty: LLM):
    answer = server.client.chat.completions.create(
        model="tiny", messages=CHAT, max_tokens=20, temperature=0, user="me", metadata={"a": "b"}
    )
    expected = chatty.generate([CHAT], SamplingParams(max_tokens=20))[0]
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", expected.text)
    assert choice.finish_reason == expected.finish_reason
    assert answer.usage.prompt_tokens == expected.num_prompt_tokens
    assert answer.usage.completion_tokens == len(expected.token_ids)


def test_stream_adds_up_to_the_whole_and_is_framed_as_openai_does(server: Server, chatty: LLM):
    expected = chatty.generate([CHAT], SamplingParams(max_tokens=40))[0]
    stream = server.client.chat.completions.create(
        model="tiny",
        messages=CHAT,
        max_completion_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, usage = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta.content or "" for delta in deltas) == expected.text
    assert len(deltas) > 10
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + [expected.finish_reason]
    assert {chunk.id for chunk in chunks} == {usage.id}
    assert (usage.choices, usage.usage.completion_tokens) == ([], len(expected.token_ids))


def test_streamed_stop_string_is_never_shown(server: Server, chatty: LLM):
    text = chatty.generate(["tell me"], SamplingParams(max_tokens=60))[0].text
    stop = next(text[i : i + 3] for i in range(8, 50) if text[i : i + 3].isascii())
    expected = chatty.generate(["tell me"], SamplingParams(max_tokens=60, stop=(stop,)))[0]
    stream = server.client.completions.create(
        model="tiny", prompt="tell me", max_tokens=60, temperature=0, stop=[stop], stream=True
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected.text
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_completions_with_logprobs(server: Server, chatty: LLM):
    prompts: list[Any] = ["One", [40, 41, 42]]
    expected = chatty.generate(prompts, SamplingParams(max_tokens=9, logprobs=1))
    asks: list[dict[str, Any]] = [{"prompt": "One"}, {"prompt": [[40, 41, 42]], "echo": True}]
    answers = [
        server.client.completions.create(
            model="tiny", max_tokens=9, temperature=0, logprobs=3, **ask
        ).choices[0]
        for ask in asks
    ]
    for choice, completion, num_echoed in zip(answers, expected, (0, 3), strict=True):
        logprobs = choice.logprobs
        assert choice.text.endswith(completion.text)
        assert logprobs.token_logprobs[num_echoed:] == list(completion.logprobs)
        for value, top in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
            assert (value is None) == (top is None)
            assert value is None or (len(top) in (3, 4) and max(top.values()) >= value)
    assert answers[1].logprobs.token_logprobs[0] is None
    assert answers[1].logprobs.text_offset[:4] == [0, 1, 2, 3]


def test_chat_logprobs_name_bytes_and_alternatives(server: Server, chatty: LLM):
    expected = chatty.generate([CHAT], SamplingParams(max_tokens=9, logprobs=1))[0]
    choice = server.client.chat.completions.create(
        model="tiny", messages=CHAT, max_tokens=9, temperature=0, logprobs=True, top_logprobs=2
    ).choices[0]
    content = choice.logprobs.content
    assert [token.logprob for token in content] == list(expected.logprobs)
    assert all(token.top_logprobs[0].logprob == token.logprob for token in content)
    assert all(len(token.top_logprobs) == 2 for token in content)
    joined = bytes(byte for token in content for byte in token.bytes)
    assert joined.decode(errors="replace") == expected.text


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_loglikelihoods_asked_for_as_lm_eval_does_are_those_of_score(
    server: Server, chatty: LLM, max_tokens: int
):
    """Body and reading as in lm-evaluation-harness' local-completions."""
    pairs = [([40, 41, 42], [50, 51]), ([60] * 40, [61]), ([9, 10], [11] * 35)]
    greedy = chatty.generate([[70, 71]], SamplingParams(max_tokens=3))[0].token_ids
    pairs.append(([70, 71], list(greedy)))
    body = {
        "model": "tiny",
        "prompt": [[*context, *continuation] for context, continuation in pairs],
        "temperature": 0,
        "max_tokens": max_tokens,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    choices = server.post("/v1/completions", body)["choices"]
    scores = chatty.score(pairs)
    for (context, continuation), choice, score in zip(pairs, choices, scores, strict=True):
        mine = slice(len(context), len(context) + len(continuation))
        values = choice["logprobs"]["token_logprobs"]
        assert len(values) == len(context) + len(continuation) + max_tokens
        assert sum(values[mine]) == score.logprob
        tops = choice["logprobs"]["top_logprobs"][mine]
        is_greedy = all(v == max(t.values()) for v, t in zip(values[mine], tops, strict=True))
        assert is_greedy == score.is_greedy
    assert scores[-1].is_greedy


def test_seed_decides_and_choices_of_one_prompt_differ(server: Server):
    def texts(**more: Any) -> list[str]:
        answer = server.client.completions.create(
            model="tiny", prompt=["a", "b"], n=2, max_tokens=12, temperature=1.3, **more
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert answer.usage.prompt_tokens == 2
        return [choice.text for choice in answer.choices]

    assert texts(seed=5) == texts(seed=5)
    assert len(set(texts(seed=5))) == 4
    assert texts() != texts()


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "message"),
    [
        ("completions", b"{", 400, None, "not JSON"),
        ("completions", {"prompt": ""}, 400, "prompt", "not empty"),
        ("completions", {"prompt": [1, "a"]}, 400, "prompt", "prompt must be a text"),
        ("completions", {"prompt": [9999]}, 400, "prompt", "token id 9999"),
        ("completions", {"prompt": [5] * 2000}, 400, "prompt", "model's context is 1024"),
        ("completions", {"prompt": "a", "model": "b"}, 404, "model", "There is: 'tiny'"),
        ("completions", {"prompt": "a", "top_p": 0}, 400, "top_p", "above 0"),
        ("completions", {"prompt": "a", "temperature": "x"}, 400, "temperature", "number"),
        ("completions", {"prompt": "a", "logprobs": 99}, 400, "logprobs", "less than"),
        ("completions", {"prompt": "a", "max_tokens": 0}, 400, "max_tokens", "echo"),
        ("completions", {"prompt": "a", "best_of": 3}, 400, "best_of", "best_of = 3"),
        ("completions", {"prompt": "a", "grammar": "x"}, 400, "grammar", "not supported"),
        ("completions", {"prompt": ["a"] * 99}, 400, None, "at most 8 are possible"),
        ("chat/completions", {"messages": []}, 400, "messages", "at least 1"),
        ("chat/completions", {"messages": [{"role": "x"}]}, 400, "messages", "role 'x'"),
        ("chat/completions", {"messages": CHAT, "tools": [{}]}, 400, "tools", "not supported"),
        ("chat/completions", {"messages": CHAT, "top_logprobs": 2}, 400, "top_logprobs", "needs"),
        ("completions", {"prompt": "a" * MAX_BODY_BYTES}, 413, None, "larger than the 20000"),
        ("nothing", {}, 404, None, "Not Found"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    server: Server, path: str, body: object, status: int, param: str | None, message: str
):
    code, error, _ = server.refusal(f"/v1/{path}", body)
    assert (code, error["param"]) == (status, param)
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_refused_request_tells_the_kind_of_its_fault(server: Server):
    bodies = {"context_length_exceeded": {"prompt": [5] * 2000}, "request": {"prompt": [9999]}}
    for kind, body in bodies.items():
        _, error, _ = server.refusal("/v1/completions", body)
        assert error["code"] == kind


def test_sampling_parameters_openai_does_not_name_are_taken(server: Server, chatty: LLM):
    more = {"top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1, "min_tokens": 2}
    params = SamplingParams(max_tokens=12, temperature=1.5, seed=3, n=3, stop=("e",), **more)
    expected = chatty.generate(["Say"], params)[0]
    body = {"prompt": "Say", "max_tokens": 12, "temperature": 1.5, "seed": 3, "n": 3, "stop": "e"}
    choices = server.post("/v1/completions", body | more)["choices"]
    texts = [expected.text, *(other.text for other in expected.alternatives)]
    assert [choice["text"] for choice in choices] == texts, "the draws are those of generate"
    stops = server.post("/v1/completions", {"prompt": "Say", "stop_token_ids": [*range(250)]})
    assert stops["choices"][0]["finish_reason"] == "stop"


def test_answer_follows_a_json_schema(server: Server):
    pytest.importorskip("llguidance")
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,  # so that the longest answer is shorter than max_tokens
    }
    answer = server.client.chat.completions.create(
        model="tiny",
        messages=CHAT,
        max_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert isinstance(json.loads(answer.choices[0].message.content)["ok"], bool)


def test_fields_that_change_nothing_are_ignored(server: Server):
    same = {"presence_penalty": 0, "logit_bias": {}, "suffix": None, "store": True, "best_of": 1}
    server.post("/v1/completions", {"prompt": "a", "max_tokens": 1, **same})


def test_full_queue_says_so_and_when_to_come_again(server: Server):
    body = {"prompt": ["a"] * MAX_REQUESTS, "max_tokens": LONG, "temperature": 0, "stream": True}
    stream = server.client.completions.create(model="tiny", **body)
    next(iter(stream))
    code, error, headers = server.refusal("/v1/completions", {"prompt": "b"})
    assert (code, error["code"], error["type"]) == (429, "queue_full", "rate_limit_error")
    assert headers["Retry-After"] == "1"
    with pytest.raises(openai.RateLimitError):
        server.client.completions.create(model="tiny", prompt="b")
    stream.close()
    server.wait_for("engine_requests_running", lambda running: running == 0)
    server.post("/v1/completions", {"prompt": "b", "max_tokens": 1})


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_goes_away_frees_its_blocks(server: Server, stream: bool):
    num_blocks = server.metric("engine_kv_blocks")
    num_ended = server.metric("engine_requests_total")
    body = json.dumps({"prompt": [7] * 99, "max_tokens": 900, "temperature": 0, "stream": stream})
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        )
        head += "Content-Type: application/json\r\n\r\n"
        connection.sendall((head + body).encode())
        server.wait_for("engine_kv_blocks_free", lambda free: free < num_blocks)
    server.wait_for("engine_kv_blocks_free", lambda free: free == num_blocks)
    assert server.metric("engine_requests_total") == num_ended, "it ended by itself"


def test_requests_in_flight_share_steps_and_a_short_one_overtakes(server: Server):
    def ask(num_tokens: int) -> float:
        body = {"prompt": "x", "max_tokens": num_tokens, "temperature": 0}
        assert server.post("/v1/completions", body)["usage"]["completion_tokens"] == num_tokens
        return time.monotonic()

    before = server.metric("engine_steps_total")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, 300)
        server.wait_for("engine_requests_running", lambda running: running == 1)
        others = [pool.submit(ask, 40) for _ in range(3)]
        assert all(other.result() < first.result() for other in others)
    assert server.metric("engine_steps_total") - before < 300 + 40


def test_metrics_and_health(server: Server):
    server.post("/v1/completions", {"prompt": [5] * 70, "max_tokens": 3})
    hits = server.metric("engine_prefix_cache_hit_tokens_total")
    names = ("time_to_first_token_seconds_count", "time_per_output_token_seconds_count")
    before = [server.metric(f"engine_{name}") for name in names]
    server.post("/v1/completions", {"prompt": [5] * 70, "max_tokens": 3, "temperature": 0})
    assert [server.metric(f"engine_{name}") for name in names] == [n + 1 for n in before]
    assert server.metric("engine_prefix_cache_hit_tokens_total") >= hits + 64
    refused = 'engine_http_requests_total{route="completions",status="refused"}'
    before_refused = server.metric(refused) if server.refusal("/v1/completions", {}) else 0
    server.refusal("/v1/completions", {})
    assert server.metric(refused) == before_refused + 1
    with urllib.request.urlopen(f"{server.url}/health", timeout=60) as response:
        assert json.load(response) == {"status": "ok"}
    assert [model.id for model in server.client.models.list()] == ["tiny"]
    assert server.client.models.retrieve("tiny").max_model_len == 1024


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_stop_lets_running_requests_finish_and_a_taken_port_is_told(tiny_model: Path):
    server = start(tiny_model, "--port", "0")
    port = server.url.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "engine", "serve", "--model", str(tiny_model), "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 4
    assert second.stderr.count("\n") == 1
    assert f"Port {port} of 127.0.0.1 cannot be taken" in second.stderr

    stream = server.client.completions.create(
        model="tiny", prompt="x", max_tokens=200, temperature=0, stream=True
    )
    pieces = iter(stream)
    next(pieces)
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    while takes_connections(int(port)):
        assert time.monotonic() < deadline, "the server still takes new connections"
        time.sleep(0.01)
    assert list(pieces)[-1].choices[0].finish_reason == "length"
    _, errors = server.process.communicate(timeout=20)
    assert (server.process.returncode, errors) == (0, "")


def test_key_and_names_reach_a_real_server(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENGINE_API_KEY", "sk-1")
    server = start(tiny_model, "--port", "0", "--allow-host", "a.example", "--allow-host", "b.x")
    try:
        with pytest.raises(openai.AuthenticationError):
            server.client.models.list()
        key = {"Authorization": "Bearer sk-1", "Content-Type": "application/json"}

        def ask(host: str) -> None:
            headers = key | {"Host": host}
            request = urllib.request.Request(
                f"{server.url}/v1/completions", b'{"prompt": "a"}', headers
            )
            urllib.request.urlopen(request, timeout=60).close()

        ask("b.x")
        ask("a.example:1")
        with pytest.raises(urllib.error.HTTPError) as raised:
            ask("c.example")
        with raised.value as error:
            assert error.code == 403
    finally:
        server.process.terminate()
        _, errors = server.process.communicate(timeout=20)
    assert (server.process.returncode, errors) == (0, "")


def test_missing_extra_prints_the_line_that_installs_it():
    code = (
        "import sys; sys.modules['uvicorn'] = None; from engine.__main__ import main;"
        "sys.exit(main(['serve', '--model', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "engine: The server needs uvicorn: pip install 'llm-flywheel[serve]'\n"
