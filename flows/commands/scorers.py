"""docs/scorers.md, made from the scorers themselves: `python -m flows.commands.scorers`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.scoring.functions import FunctionLimits
from tasks.scoring.registry import KINDS, MAX_READ, Kind
from tasks.settings.section import Section

_HEAD = """\
# Scorers

A suite names how its answers are judged: `scorer = "exact_match"`, or with parameters

```toml
[suites.sums]
scorer = { name = "numeric", tolerance = 0.01 }
```

A scorer gives a value from 0 to 1, what it read in the answer, and why it gave that value; all
three are kept. What it cannot judge, such as a target it cannot read, is **unscored** with a
reason: that is the judge's fault and counts for no release. An answer that cannot be read is the
release's fault: 0, with an explanation. `flywheel check` tells a wrong name or parameter.

Parameters are part of the name that scores are kept under, `numeric@1(tolerance=0.01)`: scores by
other parameters, or by another version of a scorer, are never mixed.

## Several scorers

```toml
[suites.mood]
scorer = "choice"
also = [{ name = "length", at_most = 3 }, "refusal"]
```

`scorer` decides. Those of `also` judge the same answers, with the same estimator of the means, the
difference and its interval; they inform and never decide, so they are no part of what a plan fixes
and share no error rate. What they cannot judge lacks nothing of the suite's own score. They stand
in the verdict's JSON, in the report, in `flywheel show`, as columns such as
`champion_also_length@1(at_most=3)` in `--csv`, and as metrics in MLflow.

One scorer may be made of several, the weighted mean of their values:

```toml
[suites.reply]
scorer = { composite = [
    { scorer = "token_f1", weight = 0.7 },
    { scorer = { name = "length", at_most = 60 }, weight = 0.3 },
] }
```

`weight` is any number above 0, 1 where it is not set; only how the weights compare matters. An
answer that one part leaves unscored is unscored as a whole, with that part's reason. Versions and
weights of the parts are in its name, `composite@1(0.3 length/1(at_most=60) + 0.7 token_f1/1)`, so a
changed part judges anew. A part is no composite itself. For demands that must each hold, take
suites or guardrails of their own: in a mean, a gain in one part pays for a loss in another.

What an answer uses is no scorer, since it does not show in the text: tokens and cost are measured
by [guardrails](settings.md), which gate, and stand with an API's latency in the report beside each
release's scores. `length` counts words, characters or lines of the text.

## All scorers

Every example here is run by the tests. Scorers marked *extra* need
`pip install 'llm-flywheel[scorers]'`."""
_SANDBOX = """\
## Code in a sandbox

`code_execution` runs code that a model wrote. It has to be allowed, and needs Linux on x86-64 or
ARM64 with [bubblewrap](https://github.com/containers/bubblewrap) 0.7 or newer
(`apt-get install bubblewrap`):

```toml
allow_code_execution = true   # at the top of flywheel.toml

[suites.functions]
samples = "suites/functions.jsonl"
scorer = { name = "code_execution", timeout_s = 3 }
```

```json
{"input": "Write a Python function add(a, b).", "target": "assert add(1, 2) == 3"}
{"input": "Write sub(a, b).", "target": ["assert sub(3, 2) == 1", "assert sub(0, 1) == -1"]}
{"input": "mul!", "target": {"entry_point": "mul", "test": "def check(f):\\n  assert f(2, 3)==6"}}
```

`flywheel check` and every run start one sandbox first, and refuse the suite in one line where that
fails, as in containers that forbid namespaces: nothing weaker takes its place. Code has the
standard library of the Python that the flywheel runs on, whose version is in the scorer's name, and
no packages. On a slow core a sample took 37 ms at best, half of it Python's own start, and 75 to
90 ms while others kept both cores busy.

| the code | gets |
| --- | --- |
| network | none: a loopback of its own, without a listener |
| files | Python's own and `/usr/lib`, read-only; 16 MiB in `/tmp`, gone afterwards; nothing else |
| environment | six variables of ours |
| processes | none: the kernel refuses to start one (seccomp); 64 threads, of root more |
| memory | `memory_bytes` of address space, then a `MemoryError`: 0 |
| time | `timeout_s` of the processor, twelve times as many by the clock: 0 |
| output | is dropped; 64 KiB in the channel of the result end it: 0 |

The tests of this project try to reach more in 31 ways and to forge a pass in 21; none succeeds.
What remains:

- **An object that claims to be equal to everything passes `==`**, and one that claims to be close
  to every number passes that. Ask for the type too: `assert type(add(1, 2)) is int`. So it is with
  modules that the tests import, which the code may have changed. The code stands beside each score:
  look at it.
- Code and tests share a process, so that a pass is forged is made hard, not impossible. The code is
  loaded before the tests can be read, by a thread that reaches no frame with the word for "passed";
  frames, tracing, `ctypes` and other interpreters are refused. Code that is written against just
  this scorer may find a way still, by bytecode made by hand for example.
- A fault of the kernel or of bubblewrap is a way out of the sandbox. Where that matters, run the
  flywheel in a virtual machine.
- Empty files in `/tmp` take memory of the kernel that only the time limits.
- Code that looks at frames gets a `ValueError`; a traceback is printed without its lines.
- What hangs on the clock, or on chance without a seed, may come out otherwise the next time. Sets
  have the same order every time."""
_OWN = """\
## Your own scorers

A plain function in a module beside `flywheel.toml`:

```python
# my_scorers.py
def polite(answer: str, target: str, word: str = "please") -> bool:
    return word in answer.lower()
```

```toml
[suites.mood]
scorer = { function = "my_scorers:polite", word = "thank you", timeout_s = 2 }
```

It gives a value from 0 to 1, true or false; or a dict with `value` and, if you like, `answer` and
`explanation`; or `{"unscored_reason": "..."}`. Other keys of the table are its parameters.

`flywheel check` reads the function's parameters from its source and loads the module once. It runs
in a process of its own with the limits below, without standard input or output. An exception, a
limit that is broken or a value of another kind leaves that answer unscored, with the reason and as
the judge's fault; the next answer is judged by a new process if need be. The process is no sandbox:
the function may do what you may do. Parameters are shown with the scores, so a secret is none:
let the function read it from the environment.

Scores are kept under the digest of the module's file, so a changed file judges anew; what else the
module imports is not part of the digest. The same answer and target must get the same value."""


def scorers_markdown() -> str:
    """Regenerate it with `python -m flows.commands.scorers > docs/scorers.md`."""
    lines = [_HEAD, "", "| scorer | right is | version |", "| --- | --- | --- |"]
    for kind in KINDS.values():
        extra = ", *extra*" if kind.package and kind.bound is None else ""
        lines.append(f"| [`{kind.name}`](#{kind.name}) | {kind.meaning} | {kind.version}{extra} |")
    for kind in KINDS.values():
        lines += _section(kind)
    lines += ["", _SANDBOX, "", _OWN, "", *_parameters(FunctionLimits)]
    return "\n".join(lines) + "\n"


def _section(kind: Kind) -> list[str]:
    lines = ["", f"## {kind.name}", "", f"Target: {kind.target}."]
    if kind.mode != "generate":
        lines += ["", f'Of suites with `mode = "{kind.mode}"` alone ([modes](modes.md)).']
    if kind.note:
        lines += ["", kind.note]
    if kind.max_chars <= MAX_READ:
        lines += ["", f"An answer of more than {kind.max_chars:,} characters is wrong, unread."]
    if kind.parameters.model_fields:
        lines += ["", *_parameters(kind.parameters)]
    example = kind.example
    said = "" if not example.parameters else f", with {_inline(example.parameters)}"
    lines += [
        "",
        f"| target{said} | right | wrong |",
        "| --- | --- | --- |",
        f"| {_code(example.target)} | {_code(example.right)} | {_code(example.wrong)} |",
    ]
    return lines


def _parameters(model: type[Section]) -> list[str]:
    lines = ["| parameter | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        allowed = _cell(_allowed(properties[name]))
        lines.append(f"| `{name}` | {_code(field.default)} | {allowed} | {field.description} |")
    return lines


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_allowed(one) for one in schema["anyOf"])
    signs = {
        "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most",
        "exclusiveMaximum": "below",
    }  # fmt: skip
    bounds = [f"{sign} {_number(schema[key])}" for key, sign in signs.items() if key in schema]
    names = {"string": "a text", "number": "a number", "integer": "a whole number",
             "boolean": "true, false", "array": "a list", "null": "not set"}  # fmt: skip
    return ", ".join([names[schema["type"]], *bounds])


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _inline(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in parameters.items())


def _code(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value)
    shown = text.replace("\n", "↵") or '""'
    fence = "``" if "`" in shown else "`"
    blank = " " if "`" in shown else ""
    return _cell(f"{fence}{blank}{shown}{blank}{fence}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(scorers_markdown(), end="")
