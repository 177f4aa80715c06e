"""Markers for logs of every format: who planted them can tell where they are found again."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.planted import IN_CONTEXT, TOKENS, make
from tests.flows.application import call_record
from tests.tasks.logs.formats import test_anthropic as anthropic
from tests.tasks.logs.formats import test_bedrock as bedrock
from tests.tasks.logs.formats import test_gemini as gemini
from tests.tasks.logs.formats import test_langfuse as langfuse
from tests.tasks.logs.formats import test_openai_chat as openai
from tests.tasks.logs.formats import test_otlp as otlp

_LONG = 14


@dataclass
class Markers:
    """`needles`: stretches of what was planted, each with the place where."""

    draw: random.Random
    needles: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def _planted(self, place: str, *needles: str) -> None:
        self.count += 1
        for needle in needles:
            for part in (needle[:_LONG], needle[-_LONG:]):
                self.needles[part] = place

    def mail(self, place: str, spell: Callable[[str], str] = str) -> str:
        local = f"planted{self.count}{self.draw.randbytes(3).hex()}"
        written = spell(f"{local}@{local}.example.com")
        encoded = base64.b64encode(f"{local}@".encode()).decode()[:_LONG]
        self._planted(f"{place}: mail", local, *([encoded] if encoded in written else []))
        return written

    def card(self, place: str) -> str:
        digits = "4" + "".join(self.draw.choice("0123456789") for _ in range(14))
        total = sum(int(d) if p % 2 else sum(divmod(2 * int(d), 10)) for p, d in enumerate(digits))
        card = digits + str(-total % 10)
        self._planted(f"{place}: card", card)
        return card

    def word(self, place: str) -> str:
        """What is a secret by its name alone."""
        word = f"horse{self.count}staple{self.draw.randbytes(3).hex()}"
        self._planted(f"{place}: word", word)
        return word

    def pin(self, place: str) -> int:
        number = self.draw.randrange(10**9, 10**10)
        self._planted(f"{place}: number", str(number))
        return number

    def secret(self, name: str, place: str) -> str:
        text, secret = make(name, self.draw)
        flat = secret.replace("\n", "\\n")
        lines = [line for line in secret.splitlines() if line] if "\n" in secret else [flat]
        self._planted(f"{place}: {name}", *lines)
        return text


#: signs of the address as the format would not escape them by itself
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda a: a.replace("@", "%40"),
    "entity": lambda a: a.replace("@", "&#64;"),
    "escape": lambda a: a.replace("@", "\\u0040"),
    "no width": lambda a: a.replace("@", "@\u200b").replace(".ex", "\u200d.ex"),
    "full width": lambda a: a.replace("@", "＠"),
    "bracketed": lambda a: a.replace("@", " (at) "),
    "square": lambda a: a.replace("@", " [at] ").replace(".", " [dot] "),
    "spoken": lambda a: a.replace("@", " at ").replace(".", " dot "),
    "base64": lambda a: base64.b64encode(a.encode()).decode(),
}
_TEXT_FIELDS = (
    "request_id", "provider", "model", "release", "prompt_name", "prompt_version", "session_id",
    "operation", "finish_reason", "error_type", "user",
)  # fmt: skip
_CARD_SPELLINGS = (" ", "-", ".", "/", "\n", "\u00a0", "\u200b")


def _nested(markers: Markers, place: str) -> dict[str, Any]:
    """Every JSON type, in every place."""
    card = markers.card(f"{place} text")
    gap = markers.draw.choice(_CARD_SPELLINGS)
    return {
        "number": int(markers.card(f"{place} number")),
        "float": float(markers.card(f"{place} float")),
        "deep": [[{"a": [markers.mail(f"{place} deep")]}, {"n": int(markers.card(f"{place} n"))}]],
        markers.mail(f"{place} name"): 1,
        "grouped": gap.join(card[i : i + 4] for i in range(0, 16, 4)),
        "password": markers.pin(f"{place} password"),
        "api_key": [markers.word(f"{place} list"), {"old": markers.word(f"{place} in list")}],
        "credentials": {"user": markers.word(f"{place} user"), "pass": markers.word(place)},
        "headers": [{"name": "Authorization", "value": markers.word(f"{place} header")}],
        "json": json.dumps({"db_pw": markers.word(f"{place} json"),
                            "to": markers.mail(f"{place} json", SPELLINGS["escape"])}),
    }  # fmt: skip


def canonical(markers: Markers) -> Iterator[dict[str, Any]]:
    number = 100
    kinds = [*TOKENS, *IN_CONTEXT]
    spelled = list(SPELLINGS.items())

    def record(**changes: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        return {**call_record(number), **changes}

    for name in _TEXT_FIELDS:
        yield record(**{name: f"of {markers.mail(name)}"})
        yield record(**{name: f"x-{number} {markers.secret('GitHub personal token', name)}"})
    for name in ("params", "tags", "guardrail_verdicts"):
        yield record(**{name: _nested(markers, name)})
    tool = {"id": "c1", "type": "function", "function": {
        "name": "send", "arguments": json.dumps(_nested(markers, "arguments"))}}  # fmt: skip
    response = {"role": "assistant", "content": "ok", "tool_calls": [tool]}
    yield record(tool_calls=[tool], response=response)
    while kinds or spelled:
        user = [markers.secret(kind, "message") for kind in kinds[:3]]
        spell = [f"{name}: {markers.mail(name, how)} end" for name, how in spelled[:2]]
        answer = [markers.secret(kind, "response") for kind in kinds[3:5]]
        kinds, spelled = kinds[5:], spelled[2:]
        said = call_record(number + 1)["messages"][0]["content"]
        yield record(
            messages=[{"role": "system", "content": "\n".join(spell) or "be brief"},
                      {"role": "user", "content": "\n".join([said, *user])}],
            response={"role": "assistant", "content": "\n".join(answer) or "none"},
            feedback=[{"kind": "correction", "corrected": f"write {markers.mail('corrected')}",
                       "comment": f"said {markers.card('comment')}", "by": markers.mail("by")},
                      {"kind": f"of {markers.mail('kind')}", "value": 1}],
        )  # fmt: skip


def plant(logs: Path, markers: Markers) -> None:
    """Writes a log of each format, full of markers."""

    def lines(name: str, *records: Any) -> None:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (logs / name).write_text(text)

    lines("planted.jsonl", *canonical(markers))
    request: dict[str, Any] = copy.deepcopy(openai.REQUEST)
    request["messages"] = [{"role": "user", "content": markers.mail("openai")}]
    request |= {"user": markers.mail("openai user"), "metadata": _nested(markers, "openai")}
    answer = copy.deepcopy(openai.COMPLETION)
    answer["id"] = f"chatcmpl {markers.mail('openai id')}"
    lines("openai.jsonl", {"request": request, "response": answer})
    asked: dict[str, Any] = copy.deepcopy(anthropic.REQUEST)
    asked["system"] = [{"type": "text", "text": markers.mail("anthropic system")}]
    asked["messages"][1]["content"][1]["input"] = _nested(markers, "anthropic")
    lines("anthropic.jsonl", {"request": asked, "response": anthropic.MESSAGE})
    contents: dict[str, Any] = copy.deepcopy(gemini.REQUEST)
    contents["contents"][1]["parts"][0]["functionCall"]["args"] = _nested(markers, "gemini")
    lines("gemini.jsonl", {"request": contents, "response": gemini.RESPONSE})
    identity = {"arn": f"arn:aws:sts::1:assumed-role/{markers.mail('bedrock')}"}
    body = {"messages": [{"role": "user", "content": [{"text": markers.mail("bedrock body")}]}],
            "additionalModelRequestFields": _nested(markers, "bedrock")}  # fmt: skip
    lines("bedrock.jsonl", bedrock.record(asked=body, identity=identity))
    said = [{"role": "user", "parts": [{"type": "text", "content": markers.mail("otlp")}]}]
    attributes = {"gen_ai.input.messages": json.dumps(said), "x.password": markers.word("otlp"),
                  "x.n": int(markers.card("otlp")), "x.of": _nested(markers, "otlp"),
                  "gen_ai.output.messages": json.dumps(otlp.OUT)}  # fmt: skip
    resource = {"service.name": markers.mail("otlp service")}
    lines("otlp.jsonl", otlp.document(otlp.span(attributes), resource=resource))
    metadata = json.dumps({"team": _nested(markers, "langfuse")})
    observed = langfuse.observation(metadata=metadata, output=markers.mail("langfuse"))
    lines("langfuse.jsonl", langfuse.export(observed, sessionId=markers.mail("langfuse session")))
    (logs / "table.csv").write_text(
        "id,model,question,answer,region,card\n"
        f'c1,m,"{markers.mail("csv")}","{markers.secret("npm token", "csv")}",'
        f"{markers.mail('csv other')},{markers.card('csv')}\n"
    )
    table = {**call_record(90), "request_id": "p1", "tags": json.dumps(_nested(markers, "parquet")),
             "messages": json.dumps([{"role": "user", "content": markers.mail("parquet")}]),
             "feedback": None, "note": markers.mail("parquet column")}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([table]), logs / "rows.parquet")
