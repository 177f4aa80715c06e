"""Chat templates: rendered as transformers does, and none of them takes the process with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from engine import LLM, Chat, SamplingParams
from engine.errors import InvalidRequestError, MachineError, RequestTooLongError
from engine.loading import chat_templates
from engine.loading.chat_templates import render

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi, 'you' <b> é😀"}]
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
PLAIN = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m['content'] }}\n{% endfor %}"

FAITHFUL = [
    PLAIN,
    "{% if add_generation_prompt %}A{% endif %}{{ messages | tojson }}{{ [1]|tojson(indent=2) }}",
    "{%- for m in messages -%}\n  {% generation %}{{ m.content | trim }}{% endgeneration %}"
    "{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.index > 1 %}{% break %}"
    "{% endif %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ tools is none }}{{ unknown }}",
    "{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f(messages[0].content|upper) }}{{ 3 // 2 ~ 'a' }}",
]


@pytest.mark.parametrize("template", FAITHFUL)
def test_text_is_that_of_transformers(template: str):
    [expected], _ = render_jinja_template(
        [HI], chat_template=template, add_generation_prompt=True, **NAMES
    )
    assert render(template, HI, NAMES) == expected


def test_prompts_are_those_of_the_tokenizer(chatty: LLM):
    for chat in (HI, [*HI, {"role": "assistant", "content": "yes", "name": None, "n": 1}, *HI]):
        text = chatty.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True
        )
        assert chatty._intake.text.encode_chat(Chat(chat)) == chatty._intake.text.encode(
            text, with_special=False
        )
        text = chatty.tokenizer.apply_chat_template(
            chat, tokenize=False, continue_final_message=True
        )
        assert chatty._intake.text.chat_text(Chat(chat, continues=True)) == text


LOOP = "{% for a in range(99999) %}"
HOSTILE = {
    "indent": "{{ messages|tojson(indent=100000000) }}",
    "nested loops": LOOP * 3 + "{% endfor %}" * 3,
    "product": "{{ 'a' * 10000000000 }}",
    "list": "{{ [0] * 10000000000 }}",
    "power": "{{ 10 ** (10 ** 9) }}",
    "doubled text": "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "doubled list": "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}"
    "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "centre": "{{ 'a'.center(2000000000) }}",
    "filter of centre": "{{ 'a'|center(2000000000) }}",
    "format": "{{ '{:1000000000}'.format(1) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "replace": "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "join": "{{ range(99999)|join('b' * 1000000) }}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "deep": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "long": "{% for a in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "syntax": "{% if %}",
    "raises": "{{ raise_exception('no') }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_template_that_runs_away_is_an_error_within_seconds(name: str):
    started = time.monotonic()
    with pytest.raises(InvalidRequestError, match="The model's chat template"):
        render(HOSTILE[name], HI, NAMES)
    assert time.monotonic() - started < 60, "two seconds of the processor, on a machine at rest"
    assert render(PLAIN, HI, {}).startswith("user: Hi")


@pytest.mark.parametrize(
    ("name", "reason"), [("product", "MemoryError"), ("long", "it wrote 99999000 characters")]
)
def test_limits_are_named(name: str, reason: str):
    with pytest.raises(InvalidRequestError, match=reason):
        render(HOSTILE[name], HI, NAMES)


def test_what_a_template_leaves_behind_starves_nobody():
    for size in range(100, 115):  # each template is kept with its constants
        render("{% set a = 'a' * " + f"{size}00000" + " %}x", HI, NAMES)
    assert render(PLAIN, HI, {}).startswith("user: Hi")


def test_messages_of_any_kind_reach_the_template_as_plain_data():
    odd = [{"role": "user", "content": "\ud800", "extra": object(), "nested": {"a": (1, None)}}]
    assert render("{{ messages[0].content }}|{{ messages[0].nested.a[0] }}", odd, {}) == "\ud800|1"
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidRequestError, match="too deep"):
        render(PLAIN, [{"role": "user", "content": deep}], {})


def test_callers_at_once_get_their_own_texts():
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        for i in range(20):
            found[number * 100 + i] = render(PLAIN, [{"role": "u", "content": str(number)}], {})

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {key: text.strip() for key, text in found.items()} == {
        key: f"u: {key // 100}" for key in found
    }
    assert len(found) == 60


def worker_pids() -> set[int]:
    return {worker._process.pid for worker in chat_templates._POOL._idle}


def test_a_worker_that_was_killed_is_replaced():
    render(PLAIN, HI, {})
    for pid in worker_pids():
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert render(PLAIN, HI, {}).startswith("user")


def test_a_worker_that_is_killed_while_it_renders_is_the_machines_fault():
    render(PLAIN, HI, {})
    [pid, *_] = [worker._process.pid for worker in chat_templates._POOL._idle[-1:]]
    killing = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killing.start()
    with pytest.raises(MachineError, match="ended with code -9"):
        render(HOSTILE["nested loops"], HI, {})
    killing.join()


def test_limits_of_whoever_started_us_are_kept():
    code = (
        "import resource as r; r.setrlimit(r.RLIMIT_AS, (900 << 20,) * 2);"
        "r.setrlimit(r.RLIMIT_CPU, (50, 50)); from engine.loading.chat_templates import render;"
        "assert render('{{ 1 }}', [], {}) == '1'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(number: int):
    code = (
        "import time; from engine.loading import chat_templates as c;"
        "c.render('x', [], {}); print(c._POOL._idle[0]._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(number)
    parent.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{worker}/fd"):
        try:
            os.listdir(f"/proc/{worker}/fd")
        except OSError:
            break
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.02)


def test_a_fork_does_not_share_its_parents_workers():
    render(PLAIN, HI, {})
    code = (
        "import os; from engine.loading import chat_templates as c;"
        "c.render('x', [], {});"
        "pid = os.fork();"
        "assert pid or not c._POOL._idle;"
        "pid and os.waitpid(pid, 0);"
        "assert c.render('{{ 1 }}', [], {}) == '1'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_runaway_template_is_one_requests_error(tiny_model: Any, chatty: LLM):
    template = chatty.tokenizer.chat_template
    hostile = "{% if messages[0].content == 'bad' %}" + HOSTILE["nested loops"] + "{% endif %}"
    chatty.tokenizer.chat_template = hostile + template
    try:
        good, bad, text = chatty.generate(
            [HI, [{"role": "user", "content": "bad"}], "x"], SamplingParams(max_tokens=4)
        )
    finally:
        chatty.tokenizer.chat_template = template
    assert (good.error, text.error) == (None, None)
    assert "more than 2 s of processor time" in (bad.error or "")


def test_text_that_no_context_holds_is_refused_unread(chatty: LLM, monkeypatch: pytest.MonkeyPatch):
    codec = chatty._intake.text
    most = int(1024 * codec.token_characters)
    read: list[str] = []
    original = codec.tokenizer._encode_plus if hasattr(codec.tokenizer, "_encode_plus") else None
    assert original is not None

    def counted(text: str, *args: Any, **named: Any) -> Any:
        read.append(text)
        return original(text, *args, **named)

    monkeypatch.setattr(codec.tokenizer, "_encode_plus", counted)
    long, chat, pair = "a" * (most + 1), [{"role": "user", "content": "a" * most}], "a" * most
    for completion in chatty.generate([long, chat]):
        assert "characters; the model's context is 1024 tokens" in (completion.error or "")
    [score] = chatty.score([(pair, "b" * 100)])
    assert "characters; the model's context is" in (score.error or "")
    assert not read
    [rolling] = chatty.score_rolling(["a" * (most + 1)])
    assert rolling.error is None, "a rolling text may be of any length"
    assert len(read) == 1


def test_longest_token_bounds_every_text(chatty: LLM):
    codec = chatty._intake.text
    for text in ("a" * 500, " " * 300, "😀" * 99, "<|im_start|>" * 50, "\n\n\t"):
        ids = codec.encode(text, max_tokens=None)
        assert len(ids) * codec.token_characters >= len(text)
    with pytest.raises(RequestTooLongError):
        codec.encode("a" * 5000, max_tokens=4)


def test_half_a_surrogate_pair_is_refused(chatty: LLM):
    for completion in chatty.generate(["\ud800", [{"role": "user", "content": "a\udc00"}]]):
        assert "half a surrogate pair" in (completion.error or "")
