"""Every key of flywheel.toml, with its meaning and default.

The descriptions are also what `flywheel init` writes and docs/settings.md lists.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine import EngineError, SamplingParams
from expectations.contracts import CALL_FIELDS
from tasks.errors import UsageError, did_you_mean
from tasks.model.guardrail import Measure
from tasks.model.table_mapping import TABLE, TableMapping, read_mapping
from tasks.on_ray.place import Place, checked
from tasks.privacy.policy import check_fields
from tasks.settings.calendar import CalendarEntry
from tasks.settings.hosted import (
    HOLDS_SECRET,
    Address,
    Api,
    BudgetSettings,
    Endpoint,
    Parameters,
    RequestSettings,
    Variable,
)
from tasks.settings.judges import JudgeName, JudgeSettings
from tasks.settings.lineage import LineageSettings
from tasks.settings.notices import NotifySettings
from tasks.settings.promotion import PromotionSettings
from tasks.settings.receipts import ReceiptsSettings
from tasks.settings.retention import RetentionSettings
from tasks.settings.section import Section
from tasks.settings.store import StoreSettings
from tasks.settings.suite_files import ENDING, ITEMS

CONFIG_NAME = "flywheel.toml"
#: scripts of Unicode, as RE2 names them
Script = Literal[
    "Arabic", "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek",
    "Gujarati", "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer",
    "Lao", "Latin", "Malayalam", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai",
]  # fmt: skip


def _names(value: Any) -> Any:
    """One message instead of one for each of the kinds that are allowed."""
    listed = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(name, str) for name in listed):
        raise ValueError("the name of a release, or a list of them")
    return value


def _scorer(value: Any) -> Any:
    """One message instead of one for each of the kinds that are allowed."""
    if not isinstance(value, str | dict):
        raise ValueError("the name of a scorer, or a table with its name and parameters")
    return value


#: what a scorer takes is for tasks/scoring to say
Scorer = Annotated[str | dict[str, Any], BeforeValidator(_scorer)]


class IngestSettings(Section):
    max_line_bytes: int = Field(
        16 * 2**20, gt=0, description="a longer line becomes a dead letter without being parsed"
    )
    # the writer of JSON stops at 254 levels, so what may be read must stay below
    max_json_depth: int = Field(100, gt=0, le=200, description="deeper JSON becomes a dead letter")
    max_document_bytes: int = Field(
        256 * 2**20, gt=0, description="a file that is one document may be this large, no larger"
    )
    max_decompressed_bytes: int = Field(
        64 * 2**30, gt=0, description="a compressed file is read up to this many bytes"
    )
    max_compression_ratio: float = Field(
        200.0, gt=1, description="more bytes out per byte in than this is a bomb, not a log"
    )
    max_dead_letters: int = Field(
        1000,
        ge=0,
        description="of one file that are kept each by itself, with its bytes; one more stands for "
        "the rest, which `flywheel replay` reads again in the file",
    )
    max_parser_bytes: int = Field(
        4 * 2**30,
        ge=2**30,
        description="address space of a process that parses; a file that needs more becomes a dead "
        "letter",
    )
    max_parser_s: int = Field(
        20,
        ge=1,
        description="processor time that it may take for a batch of rows or a whole document, "
        "seconds; the same, as if it stands still for 12 times as long",
    )
    processes: int = Field(
        0,
        ge=0,
        le=64,
        description="processes that parse, several new files at once or a large one in pieces, "
        "and mask calls; 0: one a core, at most 8",
    )
    # of no digest, with the one after it: whoever reads, the rows are the same
    on: Annotated[str, AfterValidator(checked)] = Field(
        "here",
        description="where new log files are read and calls masked: here; ray, by workers on this "
        "machine; ray://HOST:10001, by those of a cluster ([Ray](ray.md)); needs [ray]",
    )
    max_workers: int = Field(
        0, ge=0, description="of Ray, a processor each; 0: as many as there is room for, at most 32"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description='of CSV and Parquet tables: field of a call = "column"; others become tags',
    )
    mappings: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="further tables by name, for `--format NAME`: a table "
        "[ingest.mappings.NAME], or the path of a TOML file "
        "([format](data-formats.md#a-table-of-your-own))",
    )

    @model_validator(mode="after")
    def _mappings_are_whole(self) -> IngestSettings:
        assert self.tables is not None  # a ValueError says what is wrong
        return self

    @property
    def tables(self) -> tuple[TableMapping, ...]:
        """The mappings of the user, `columns` last."""
        said = {**self.mappings, **({TABLE: {"columns": self.columns}} if self.columns else {})}
        return tuple(read_mapping(name, each, CALL_FIELDS) for name, each in said.items())


class ValidateSettings(Section):
    max_quarantined_ratio: float = Field(
        0.25, ge=0, le=1, description="more than this share quarantined stops the run (exit 3)"
    )
    min_rows_for_ratio: int = Field(
        50, ge=1, description="below this many new rows the share is reported but stops nothing"
    )
    max_clock_skew_s: float = Field(
        300.0, ge=0, description="a call may start this far in the future, seconds"
    )
    max_null_ratio: dict[str, float] = Field(
        default_factory=dict,
        description="field of a call = share of the calls that may lack it; more stops the run",
    )
    max_garbled_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="more calls than this with broken encoding (replacement characters, UTF-8 read "
        "as Latin-1) stop the run; 1: off",
    )
    scripts: tuple[Script, ...] = Field(
        (),
        strict=False,
        description='scripts that questions are written in, such as ["Latin"]; none: not judged',
    )
    max_other_script_ratio: float = Field(
        0.2, ge=0, le=1, description="more questions than this mostly in others stop the run"
    )
    max_age_h: float = Field(
        0.0, ge=0, description="a newest call older than this stops the run, hours; 0: off"
    )
    min_volume_ratio: float = Field(
        0.2,
        ge=0,
        description="newest whole day against the median of the same weekday in the four weeks "
        "before (three of them needed): less stops the run; 0: off",
    )
    max_volume_ratio: float = Field(5.0, ge=0, description="the same: more stops the run; 0: off")
    max_lost_feedback_ratio: float = Field(
        0.9,
        ge=0,
        le=1,
        description="more feedback than this on calls that have not come in stops the run; 1: off",
    )
    rules: str = Field(
        "expectations",
        description="folder with rules of your own, *.toml; read if it is there (docs/rules.md)",
    )
    data_docs: bool = Field(True, description="write the Data Docs pages")

    @model_validator(mode="after")
    def _nulls_are_of_fields(self) -> ValidateSettings:
        for name, ratio in self.max_null_ratio.items():
            if name not in CALL_FIELDS:
                hint = did_you_mean(name, CALL_FIELDS)
                raise ValueError(f"max_null_ratio: a call has no field {name!r}{hint}")
            if not 0 <= ratio <= 1:
                raise ValueError(f"max_null_ratio: {name} is a share, 0 to 1")
        return self


class RedactSettings(Section):
    kinds: tuple[str, ...] = Field(
        ("secret", "email", "phone", "card", "iban", "ip"),
        strict=False,
        description="what leaves the texts before anything is stored for people; "
        "`url` may be added, and `person` with the extra `ner`",
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description='field of a call or its feedback, or a member ("tags.customer") = '
        "mask, hash, drop or keep; the others are masked",
    )
    person_model: str = Field(
        "en_core_web_lg", min_length=1, description="installed spaCy model that finds persons"
    )

    @model_validator(mode="after")
    def _fields_are_redacted(self) -> RedactSettings:
        check_fields(self.fields)
        return self


class DriftSettings(Section):
    enabled: bool = Field(True, description="compare new calls with those before")
    reference_days: float = Field(28.0, gt=0, description="length of the reference window, days")
    false_alarm_rate: float = Field(
        0.05, gt=0, lt=0.5, description="chance of any alarm in a run when nothing has changed"
    )
    min_psi: float = Field(
        0.1, ge=0, description="population stability index below which a change does not matter"
    )
    min_rows: int = Field(200, ge=20, description="with fewer calls on a side nothing is judged")
    max_rows: int = Field(5000, ge=20, description="calls drawn from each side, at most")
    action: Literal["warn", "stop"] = Field(
        "warn", description="after an alarm; stop: the new calls wait in landing (exit 3)"
    )


class CurateSettings(Section):
    max_samples: int = Field(
        1000,
        ge=1,
        description="samples mined from logs, at most, suites that gate first; every release "
        "answers each, and with about 300 in a suite an equal release passes four times in five",
    )
    judged_represent_all: bool = Field(
        False,
        description="calls that people judged stand for those they did not; true only where who "
        "judges does not hang on how good the answer is",
    )
    max_calls: int = Field(
        1_000_000,
        ge=0,
        description="calls of the history that are read, at most, give or take a session; of a "
        "longer one a sample with known chances, [weighed by them]"
        "(statistics.md#a-history-read-in-part); 0: all",
    )
    near_duplicate_jaccard: float = Field(
        0.8, gt=0, le=1, description="texts at least this alike count as one"
    )
    use_logged_targets: bool = Field(
        True,
        description="where no target is known, the logged answer is the reference (suite 'logged')",
    )
    pins: str = Field(
        "pins.jsonl",
        min_length=1,
        description="file of the calls that must pass, which `flywheel pin` writes",
    )


class EvaluateSettings(Section):
    seed: int = Field(0, ge=0, description="seed of the run; a sample's seed derives from it")
    repeats: int = Field(1, ge=1, description="completions a sample; their mean is the score")
    chunk_size: int = Field(64, ge=1, description="completions stored at a time")
    stop_when_decided: bool = Field(
        False,
        description="ask samples at random, and no more once a loss or a pass is certain or a pass "
        "out of reach",
    )
    # of no digest, with the two after it: where answers are computed changes none
    on: Annotated[str, AfterValidator(checked)] = Field(
        "here",
        description="where engines answer: here, in this process; ray, by actors on this machine; "
        "ray://HOST:10001, by those of a cluster ([Ray](ray.md)); needs [ray]",
    )
    cores_per_actor: int = Field(
        4, ge=1, description="processors of an actor on machines without a GPU; with GPUs, one each"
    )
    max_actors: int = Field(0, ge=0, description="actors of a model; 0: as many as there is room")
    budget: BudgetSettings = Field(default_factory=BudgetSettings)


class NoiseSettings(Section):
    max_samples: int = Field(
        100,
        ge=2,
        description="samples of each gating suite that the champion answers again, at most",
    )


class GateSettings(Section):
    alpha: float = Field(0.05, gt=0, lt=0.5, description="error rate of the gate, two-sided")
    margin: float = Field(0.05, gt=0, lt=1, description="loss that is still accepted, 0 to 1")
    max_missing_ratio: float = Field(
        0.1, ge=0, le=1,
        description="more answers than this lost by judge or harness: cannot tell",
    )  # fmt: skip
    early: float = Field(
        0.2, ge=0, lt=1,
        description="part of alpha for looks besides the planned one; 0: each run by itself",
    )  # fmt: skip
    planned_samples: int = Field(
        0, ge=0,
        description="of a suite at the planned look; 0: as many as pass an equal release",
    )  # fmt: skip
    unseen_loss: float = Field(
        0.25, ge=0, le=1,
        description="loss of a cluster unlike all seen, on average; below six clusters: 1",
    )  # fmt: skip
    must_pass_reliability: float = Field(
        0.98, gt=0, lt=1,
        description="share of repeats in which a sample that must pass has to; of one repeat, all",
    )  # fmt: skip


class ReviewSettings(Section):
    folder: str = Field(
        "reviews",
        min_length=1,
        description="folder of what people say of answers, a file a person: `flywheel review`",
    )


class MlflowSettings(Section):
    tracking_uri: str = Field("", description="empty: a SQLite file in the state folder")
    experiment: str = Field("flywheel", min_length=1, description="experiment of all runs")
    max_rows: int = Field(
        2000, ge=0, description="samples a release sent to the evaluation view; above: drawn"
    )


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FIRST_SAMPLING_KEYS = ("max_tokens", "temperature", "top_p", "stop")


class SamplingSettings(Section):
    max_tokens: int = Field(64, ge=1, description="tokens generated, at most")
    temperature: float = Field(0.0, ge=0, description="0: greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling")
    stop: tuple[str, ...] = Field((), strict=False, description="texts that end the answer")
    top_k: int = Field(0, ge=0, description="draw from so many most probable tokens; 0: all")
    min_p: float = Field(0.0, ge=0, le=1, description="as probable as this share of the first")
    repetition_penalty: float = Field(
        1.0, gt=0, description="above 1: against tokens that the prompt or the answer has already"
    )
    stop_token_ids: tuple[int, ...] = Field(
        (), strict=False, description="token ids that end the answer"
    )
    min_tokens: int = Field(0, ge=0, description="the answer cannot end before")
    json_schema: str = Field(
        "", description="JSON schema (its text) that the answer must follow; needs [structured]"
    )
    as_logged: bool = Field(
        False, description="what is not set here is as the logged call set it (docs/served.md)"
    )

    @model_validator(mode="after")
    def _engine_accepts(self) -> SamplingSettings:
        """One judge of what is allowed: the engine's own check."""
        try:
            self.params(0)
        except EngineError as error:
            raise ValueError(str(error).removeprefix("SamplingParams.")) from None
        return self

    @property
    def is_sampled(self) -> bool:
        """Whether another seed may give another answer: as logged, some call may be."""
        may_be = self.as_logged and "temperature" not in self.model_fields_set
        return self.temperature > 0 or may_be

    def params(self, seed: int, logged: Mapping[str, Any] = _NOTHING) -> SamplingParams:
        """As the engine takes them; every key here but `as_logged` is one of its own. `logged`:
        what the call set, which holds only `as_logged` and where nothing is set here. The seed is
        always the run's: repeats differ by it."""
        values = {name: getattr(self, name) for name in SAMPLING_NAMES}
        if self.as_logged:
            free = SAMPLING_NAMES - self.model_fields_set
            values |= {name: value for name, value in logged.items() if name in free}
        return SamplingParams(**values | {"json_schema": self.json_schema or None, "seed": seed})

    @model_serializer(mode="wrap")
    def _without_unset(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later appear only where they are set, so that the digests of releases
        made before stay what they were."""
        values: dict[str, Any] = serialise(self)
        if self.as_logged:  # what is set differs from what is not, though it be the default
            return {name: value for name, value in values.items() if name in self.model_fields_set}
        fields = type(self).model_fields
        later = [name for name in fields if name not in _FIRST_SAMPLING_KEYS]
        unset = {name for name in later if getattr(self, name) == fields[name].default}
        return {name: value for name, value in values.items() if name not in unset}


#: what of it the engine takes by the same name
SAMPLING_NAMES = frozenset(SamplingSettings.model_fields) - {"as_logged"}


class EngineSettings(Section):
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number format of the weights"
    )
    batch_invariant: bool = Field(True, description="same answer whatever the batch")
    quantization: Literal["none", "int8", "int4"] = Field(
        "none", description="weights of the layers kept as integers: less memory, other answers"
    )


class PriceSettings(Section):
    input: float = Field(0.0, ge=0, description="of a million tokens read; both 0: not known")
    output: float = Field(0.0, ge=0, description="of a million tokens written")
    currency: str = Field("USD", min_length=1, description="the same for releases to be compared")


class ReleaseSettings(Section):
    model: str = Field(
        min_length=1,
        description="folder, .gguf file, hub id, or package:NAME (a GGUF in a Python package); "
        "with `api`: the name the API knows it by",
    )
    prompt: str = Field(
        "", description="prompt file, or folder with one file a task; empty: prompts as logged"
    )
    api: Api = Field(
        "", description="who answers: openai (and what speaks like it), anthropic, gemini; empty: "
        "the engine here",
    )  # fmt: skip
    endpoint: Endpoint = Field("chat", description="of openai: chat, completions or responses")
    base_url: Address = Field("", description="of the API; empty: its maker's own")
    api_key_env: Variable = Field(
        "", description="environment variable that holds the key; empty: none is sent"
    )
    body: Parameters = Field(
        default_factory=dict, description="more parameters of a request, as the API names them"
    )
    omit: tuple[str, ...] = Field(
        (), strict=False, description="parameters that a request does not have, such as seed"
    )
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    requests: RequestSettings = Field(default_factory=RequestSettings)
    # of no digest: another price computes nothing anew
    price: PriceSettings = Field(default_factory=PriceSettings)
    # of no digest: who comes next changes no answer
    successor: str = Field(
        "", description="release that is judged by itself once the end of this one's model is near"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ReleaseSettings:
        """Keys of an API and keys of the engine do not meet in a release."""
        of_api = ("endpoint", "base_url", "api_key_env", "body", "omit", "requests")
        strange = ("engine",) if self.api else of_api
        fields = type(self).model_fields
        for name in strange:
            if getattr(self, name) != fields[name].get_default(call_default_factory=True):
                where = f"has no meaning with api = {self.api!r}" if self.api else "needs `api`"
                raise PydanticCustomError(HOLDS_SECRET, "`{key}` " + where, {"key": name})
        if self.api not in ("", "openai") and self.endpoint != "chat":
            raise PydanticCustomError(HOLDS_SECRET, "`endpoint` needs api = 'openai'")
        return self

    @property
    def is_sampled(self) -> bool:
        """Whether another seed may give another answer: of an API it always may."""
        return bool(self.api) or self.sampling.is_sampled


Mode = Literal["generate", "choose", "perplexity"]
_SCORER_OF_MODE = {"choose": "multiple_choice", "perplexity": "likelihood"}


class SuiteSettings(Section):
    task: str = Field("", description="prompt name of the calls it covers; empty: the suite's name")
    # of no digest: its keys are
    file: str = Field(
        "",
        description="TOML file with the other keys of this section, and `[[items]]` instead of "
        "`samples` ([one file](suites.md#one-file))",
    )
    samples: str = Field("", description="JSON lines with messages, target and slices")
    mode: Mode = Field(
        "generate",
        description="generate: the release writes an answer; choose: the most likely of the "
        "`choices` of a sample is its answer; perplexity: how likely its target is ([modes]"
        "(modes.md))",
    )
    template: Literal["chat", "raw"] = Field(
        "chat",
        description="chat: the model's own template writes the prompt; raw: the messages' text "
        "alone does",
    )
    scorer: Scorer = Field(
        "exact_match",
        description="how an answer is judged against the target: a name, or name and parameters, "
        'such as `{ name = "numeric", tolerance = 0.01 }` ([scorers](scorers.md)); '
        '`{ judge = "NAME" }`: by a model ([judges](judges.md))',
    )
    also: tuple[Scorer, ...] = Field(
        (),
        strict=False,
        description="more scorers of the same answers, each as `scorer`; they inform and never "
        "decide",
    )
    sessions: bool = Field(
        False,
        description="logged calls that share a session are its steps, and what was recorded at "
        "each is its target (docs/served.md)",
    )
    margin: float | None = Field(None, gt=0, lt=1, description="instead of [gate] margin")
    role: Literal["primary", "guard", "report"] = Field(
        "guard", description="primary may win, guard must not lose, report only informs"
    )
    owner: str = Field("", description="who answers for this suite")
    purpose: str = Field("", description="what it is there to find out")
    review_by: date | None = Field(
        None, description="a day, such as 2027-01-01; from then on `check` and runs ask for a look"
    )
    slices: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=dict,
        description="guarded slices with their margins: no value of one may lose more",
    )

    @model_validator(mode="before")
    @classmethod
    def _scorer_of_mode(cls, values: Any) -> Any:
        """Where none is named. A mode that is none is refused where it stands."""
        if isinstance(values, dict) and "scorer" not in values:
            scorer = _SCORER_OF_MODE.get(str(values.get("mode")))
            return values | {"scorer": scorer} if scorer else values
        return values

    @field_validator("file")
    @classmethod
    def _is_toml(cls, file: str) -> str:
        if file and not file.endswith(ENDING):
            raise ValueError("a suite in one file is TOML, *.toml; `samples` names JSON lines")
        return file

    @field_validator("samples")
    @classmethod
    def _are_lines(cls, samples: str, info: ValidationInfo) -> str:
        if samples.endswith(ENDING) and samples != info.data.get("file"):
            raise ValueError("samples are JSON lines; `file` names a suite in one TOML file")
        return samples

    @model_validator(mode="after")
    def _sessions_are_generated(self) -> SuiteSettings:
        if self.sessions and not self.takes_calls:
            raise ValueError('sessions: they need mode = "generate" and template = "chat"')
        return self

    @property
    def items_key(self) -> str:
        """Where its items are written: what to name where something is wrong with them."""
        return ITEMS if self.file and self.samples == self.file else "samples"

    @property
    def takes_calls(self) -> bool:
        """Whether logged calls can be its samples: they were chats that were answered."""
        return self.mode == "generate" and self.template == "chat"


class GuardrailSettings(Section):
    measure: Measure = Field(
        description="output_tokens, input_tokens or cost (by [releases.NAME.price]) of an answer"
    )
    margin: float = Field(
        0.1, gt=0, description="0.1: the challenger's mean may be 10% above the champion's"
    )
    suites: tuple[str, ...] = Field(
        (), strict=False, description="of whose samples; none: of all suites that gate"
    )
    owner: str = Field("", description="who answers for it")


class Settings(Section):
    home: str = Field(".flywheel", description="state folder; FLYWHEEL_HOME overrides it")
    logs: tuple[str, ...] = Field(
        (), strict=False, description="log files: paths, patterns or addresses"
    )
    champion: str = Field(
        "", description="release in production, until one is promoted ([releases](releases.md))"
    )
    challenger: Annotated[
        str | Annotated[tuple[str, ...], Field(strict=False)], BeforeValidator(_names)
    ] = Field("", description="release that asks to ship, or a list of several")
    # of no digest: without it there is no result
    allow_code_execution: bool = Field(
        False,
        description="the scorer `code_execution` may run code that a model wrote, in a sandbox on "
        "this machine ([what remains](scorers.md#code-in-a-sandbox))",
    )
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    # `validate` and `json` would shadow methods of the base class
    validation: ValidateSettings = Field(default_factory=ValidateSettings, alias="validate")
    redact: RedactSettings = Field(default_factory=RedactSettings)
    drift: DriftSettings = Field(default_factory=DriftSettings)
    curate: CurateSettings = Field(default_factory=CurateSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    noise: NoiseSettings = Field(default_factory=NoiseSettings)
    gate: GateSettings = Field(default_factory=GateSettings)
    # of no digest: labels change no verdict
    review: ReviewSettings = Field(default_factory=ReviewSettings)
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings)
    # of no digest: they change no result
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    # of no digest: who is told changes no result
    notify: NotifySettings = Field(default_factory=NotifySettings)
    # of no digest: what they add to a run is in its request
    retirement_days: int = Field(
        60, ge=0, description="days before the end of its model from which on a champion's "
        "`successor` is judged by itself ([calendar](nightly.md#models-that-end))",
    )  # fmt: skip
    calendar: tuple[CalendarEntry, ...] = Field(
        (), strict=False, description="models that end, a table `[[calendar]]` each: `model` and "
        "`retires_on`; `api` (openai), `successor`, `source`",
    )  # fmt: skip
    receipts: ReceiptsSettings = Field(default_factory=ReceiptsSettings)
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    # of no digest: the same
    lineage: LineageSettings = Field(default_factory=LineageSettings)
    # of no digest: wherever the store is, it holds the same
    store: StoreSettings = Field(default_factory=StoreSettings)
    releases: dict[str, ReleaseSettings] = Field(default_factory=dict)
    suites: dict[str, SuiteSettings] = Field(default_factory=dict)
    guardrails: dict[str, GuardrailSettings] = Field(default_factory=dict)
    judges: dict[JudgeName, JudgeSettings] = Field(default_factory=dict)
    base: str = Field("", exclude=True, description="folder of the file; set by the reader")

    @property
    def challengers(self) -> tuple[str, ...]:
        named = (self.challenger,) if isinstance(self.challenger, str) else self.challenger
        return tuple(name for name in named if name)

    @property
    def takes_logged_sampling(self) -> bool:
        """Whether some release draws its answers as the logged calls were drawn."""
        return any(release.sampling.as_logged for release in self.releases.values())

    def path(self, value: str) -> Path:
        """A path of the file as an absolute one."""
        return (Path(self.base or ".") / Path(value).expanduser()).resolve()

    @property
    def home_path(self) -> Path:
        return self.path(os.environ.get("FLYWHEEL_HOME") or self.home)

    @property
    def store_path(self) -> Path:
        return self.home_path / "flywheel.duckdb"

    @property
    def rules_path(self) -> Path | None:
        """The folder of the user's rules; None where it is not named and not there, or empty."""
        if not self.validation.rules:
            return None
        path = self.path(self.validation.rules)
        return path if path.is_dir() or "rules" in self.validation.model_fields_set else None

    @property
    def digest(self) -> str:
        left_out: Any = {
            "allow_code_execution": True,
            "calendar": True,
            "notify": True,
            "retention": True,
            "retirement_days": True,
            "receipts": True,
            "promotion": True,
            "lineage": True,
            "review": True,
            "store": True,
            "ingest": {"on", "max_workers"},
            "evaluate": {"budget", "on", "cores_per_actor", "max_actors"},
            "releases": {"__all__": {"requests", "api_key_env", "successor"}},
            "suites": {"__all__": {"purpose", "review_by", "file"}},
        }
        values = self.model_dump(mode="json", by_alias=True, exclude=left_out)
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def rows_run(self) -> Place:
        """Where log files are read and calls masked."""
        ingest = self.ingest
        return Place(ingest.on, 1, ingest.max_workers, self.home_path, "ingest.on")

    def placed(self, on: str) -> Settings:
        """The same with another `ingest.on` and `evaluate.on`. Raises UsageError where it is
        none."""
        try:
            place = checked(on)
        except ValueError as error:
            raise UsageError("--on names no place", received=on, allowed=str(error)) from None
        ingest = self.ingest.model_copy(update={"on": place})
        evaluate = self.evaluate.model_copy(update={"on": place})
        return self.model_copy(update={"ingest": ingest, "evaluate": evaluate})

    def release(self, name: str) -> ReleaseSettings:
        if name in self.releases:
            return self.releases[name]
        raise UsageError(
            f"release {name or '(none)'!r} is not in {CONFIG_NAME}"
            + did_you_mean(name, self.releases),
            received=name or "nothing",
            allowed=", ".join(sorted(self.releases)) or "no release is declared yet",
            next=f"add [releases.{name or 'NAME'}] to {CONFIG_NAME}, see flywheel init --print",
        )

    def margin(self, suite: str) -> float:
        settings = self.suites.get(suite)
        return self.gate.margin if settings is None or settings.margin is None else settings.margin
