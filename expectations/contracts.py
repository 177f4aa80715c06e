"""Table contracts: the columns every stage may rely on.

A table contract is the first expectation. The store creates its tables from these and the Great
Expectations suites are built from them, so the two cannot drift apart. Names follow the
OpenTelemetry GenAI conventions where they have one. This module imports nothing but the standard
library and knows no SQL beyond the name of a column type.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: DuckDB type, whether NULL is allowed, and what it means (with its unit)."""

    name: str
    sql_type: str
    description: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class TableContract:
    """An ordered set of columns and the key that makes a row unique (empty: no key).

    `is_control`: few rows that say what was done and decided; of a store that machines share they
    are rows of its database, and those of all other tables are files on its object storage.
    `has_index`: the database itself keeps the key unique, by an index that takes about 150 bytes of
    memory a row; else whoever inserts sees to it.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    is_control: bool = False
    has_index: bool = True

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}; it has {', '.join(self.column_names)}")


_c = Column
#: What a log format has to deliver for one LLM call: the canonical record. Anything may be NULL
#: on arrival except what ingest itself adds: missing values are for the expectations to judge.
_CALL_COLUMNS = (
    _c("request_id", "VARCHAR", "id of the call, unique; from the log or derived from content"),
    _c("started_at", "TIMESTAMP", "when the call began, UTC without zone"),
    _c("provider", "VARCHAR", "who served it: openai, anthropic, local, …"),
    _c("model", "VARCHAR", "model that answered (response model, else request model)"),
    _c("release", "VARCHAR", "our release name or the service version that made the call"),
    _c("prompt_name", "VARCHAR", "name of the prompt, which is the kind of task"),
    _c("prompt_version", "VARCHAR", "version of that prompt"),
    _c("session_id", "VARCHAR", "conversation; the cluster of the statistics"),
    _c("user_hash", "VARCHAR", "keyed or plain hash of the user, never the name"),
    _c("operation", "VARCHAR", "chat, text_completion, embeddings, …"),
    _c("messages", "JSON", 'input: [{"role", "content", …}] in order, system message included'),
    _c("response", "JSON", 'output message: {"role", "content", "tool_calls"?}'),
    _c("tool_calls", "JSON", "tool calls of the output as a list"),
    _c("finish_reason", "VARCHAR", "stop, length, tool_calls, content_filter, error, …"),
    _c("params", "JSON", "sampling parameters sent: temperature, top_p, max_tokens, …"),
    _c("input_tokens", "BIGINT", "tokens of the input"),
    _c("output_tokens", "BIGINT", "tokens of the output, reasoning included"),
    _c("total_tokens", "BIGINT", "tokens in all as the log states it"),
    _c("cached_tokens", "BIGINT", "input tokens read from a prefix cache"),
    _c("reasoning_tokens", "BIGINT", "output tokens spent on reasoning"),
    _c("ttft_s", "DOUBLE", "time to first token, seconds"),
    _c("latency_s", "DOUBLE", "whole call, seconds"),
    _c("cost_usd", "DOUBLE", "price of the call, US dollars"),
    _c("status", "VARCHAR", "ok or error"),
    _c("error_type", "VARCHAR", "class of the error where status is error"),
    _c("http_status", "INTEGER", "HTTP status code"),
    _c("retries", "INTEGER", "attempts after the first"),
    _c("guardrail_verdicts", "JSON", "verdicts of guardrails on the call"),
    _c("tags", "JSON", "any further key and value of the log: an object"),
)
CALL_FIELDS = tuple(column.name for column in _CALL_COLUMNS)
#: `format` of conversations out of data sets: sources of samples, and no calls of production
DATA_SET_FORMAT = "conversations"

_ARRIVAL_COLUMNS = (
    _c("sources", "VARCHAR[]", "file:line of every place that reported the call", nullable=False),
    _c("format", "VARCHAR", "log format that was read", nullable=False),
    _c("content_digest", "VARCHAR", "sha256 of the canonical call fields", nullable=False),
    _c("run_id", "VARCHAR", "run that took the row in", nullable=False),
    _c("ingested_at", "TIMESTAMP", "when, UTC", nullable=False),
)

LANDING = TableContract(
    "landing",
    "calls as they came in: not yet validated nor redacted; empties into requests or quarantine",
    _CALL_COLUMNS + _ARRIVAL_COLUMNS,
)
REQUESTS = TableContract(
    "requests",
    "calls that passed the expectations, with secrets and personal data out",
    LANDING.columns,
    key=("request_id",),
    has_index=False,
)
FEEDBACK = TableContract(
    "feedback",
    "a human or automatic signal on a call",
    (
        _c("feedback_id", "VARCHAR", "sha256 of the content: the same signal counts once", False),
        _c("request_id", "VARCHAR", "the call it speaks of", False),
        _c("kind", "VARCHAR", "thumbs, correction, audit, rating, incident, …", False),
        _c("value", "DOUBLE", "thumbs: -1 or 1; rating: as given"),
        _c("comment", "VARCHAR", "free text"),
        _c("corrected", "VARCHAR", "what the answer should have been; of an audit: the right one"),
        _c("given_at", "TIMESTAMP", "when, UTC"),
        _c("by_hash", "VARCHAR", "hash of who gave it"),
        _c("source", "VARCHAR", "file:line", False),
        _c("run_id", "VARCHAR", "run that took it in, then the one that judged it", False),
    ),
    key=("feedback_id",),
)
MET_AGAIN = TableContract(
    "met_again",
    "where calls were met again, from the commit of that file until it stands with the call",
    (
        _c("request_id", "VARCHAR", "the call"),
        _c("content_digest", "VARCHAR", "of the call"),
        _c("source", "VARCHAR", "file:line"),
    ),
)
MERGED_REPORTS = TableContract(
    "merged_reports",
    "a second report of a call (a gateway's beside a span's) that went into the first one's row",
    (
        _c("request_id", "VARCHAR", "id under which it was reported", False),
        _c("content_digest", "VARCHAR", "sha256 of what it said: known when met again", False),
        _c("merged_into", "VARCHAR", "request_id of the row that took it up", False),
        _c("run_id", "VARCHAR", "run that merged it", False),
    ),
    key=("request_id", "content_digest"),
)
SOURCES = TableContract(
    "sources",
    "a log file read, by content: makes ingest incremental and idempotent",
    (
        _c("path", "VARCHAR", "absolute path, address without secrets, or stdin:digest", False),
        _c("digest", "VARCHAR", "sha256 of the bytes read", False),
        _c("size_bytes", "BIGINT", "size when read", False),
        _c("mtime_ns", "BIGINT", "time of its last change (ctime) when read", False),
        _c("bytes_done", "BIGINT", "bytes taken in so far (a cut-off tail waits)", False),
        _c("format", "VARCHAR", "format found or forced", False),
        _c("parser_version", "VARCHAR", "version of that parser", False),
        _c("rows_in", "BIGINT", "records met: calls, feedback, duplicates, dead letters", False),
        _c("rows_out", "BIGINT", "calls and feedback taken in", False),
        _c("duplicates", "BIGINT", "records already known", False),
        _c("dead_letters", "BIGINT", "records that could not be read", False),
        _c("input_tokens", "BIGINT", "sum over the calls taken in", False),
        _c("output_tokens", "BIGINT", "sum over the calls taken in", False),
        _c("other_spans", "BIGINT", "spans and the like that are no calls", False),
        _c("run_id", "VARCHAR", "run that read it: the counts are of this reading", False),
        _c("read_at", "TIMESTAMP", "when, UTC", False),
        _c("etag", "VARCHAR", "version that object storage or a web server named"),
        _c("since", "TIMESTAMP", "calls before it were passed over; with until NULL: none were"),
        _c("until", "TIMESTAMP", "calls from then on were passed over"),
        _c("outside_window", "BIGINT", "how many this reading passed over"),
        _c("first_call_at", "TIMESTAMP", "earliest start of a call in the file"),
        _c("last_call_at", "TIMESTAMP", "latest start of a call in the file"),
        _c("changed", "BOOLEAN", "it had changed other than by growing since it was read before"),
        _c("forgotten", "BIGINT", "of the duplicates those that had been erased: passed over"),
        _c("unread_keys", "JSON", "keys that mean nothing to us and how many records have each"),
    ),
    key=("path", "digest", "run_id"),
)
DEAD_LETTERS = TableContract(
    "dead_letters",
    "a line or record that could not be read, with its bytes",
    (
        _c("dead_letter_id", "VARCHAR", "sha256 of source, offset and bytes", False),
        _c("source", "VARCHAR", "path of the log file, as in sources", False),
        _c("line_number", "BIGINT", "1-based; NULL for a whole file"),
        _c("byte_offset", "BIGINT", "of the first byte", False),
        _c(
            "raw",
            "BLOB",
            "the bytes, sealed where there is a key; none of the rest of a file or once purged",
            False,
        ),
        _c("error", "VARCHAR", "why", False),
        _c("format", "VARCHAR", "format tried", False),
        _c("parser_version", "VARCHAR", "version of that parser", False),
        _c("run_id", "VARCHAR", "run that met it", False),
        _c("created_at", "TIMESTAMP", "when, UTC", False),
        _c("state", "VARCHAR", "dead or replayed", False),
        _c("is_rest", "BOOLEAN", "it stands for all records beyond the cap of its file"),
        _c("num_records", "BIGINT", "how many it stands for"),
        _c("last_line", "BIGINT", "the line of the last of them; NULL for one"),
        _c("key_id", "VARCHAR", "of the key that seals `raw`; NULL: in the clear"),
    ),
    key=("dead_letter_id",),
)
QUARANTINE = TableContract(
    "quarantine",
    "a call that failed a critical expectation, whole, so that it can be replayed",
    (
        _c("quarantine_id", "VARCHAR", "sha256 of request id, content and first source", False),
        _c("request_id", "VARCHAR", "of the call, if it has one"),
        _c("expectation", "VARCHAR", "id of the first expectation failed, in their order", False),
        _c("also_failed", "VARCHAR[]", "ids of the other expectations failed", False),
        _c("column_name", "VARCHAR", "column (or columns) that expectation looks at"),
        _c("observed", "VARCHAR", "value seen there, shortened, secrets masked"),
        _c("suite_version", "VARCHAR", "digest of the rules", False),
        _c("run_id", "VARCHAR", "run that judged it", False),
        _c("created_at", "TIMESTAMP", "when, UTC", False),
        _c("row", "JSON", "the landing row, sealed where there is a key", False),
        _c("state", "VARCHAR", "held, replayed or purged", False),
        _c("key_id", "VARCHAR", "of the key that seals `row`; NULL: in the clear"),
    ),
    key=("quarantine_id",),
)
EVAL_SETS = TableContract(
    "eval_sets",
    "an immutable list of samples, addressed by content",
    (
        _c(
            "eval_set_digest",
            "VARCHAR",
            "sha256 over the sorted samples: ids, clusters, weights, strata, is_counted",
            False,
        ),
        _c("created_at", "TIMESTAMP", "UTC", False),
        _c("run_id", "VARCHAR", "run that first made it", False),
        _c("parent_digest", "VARCHAR", "eval set it replaced"),
        _c("rule", "JSON", "selection rule: settings, seed, counts, sampling frame", False),
        _c("num_samples", "BIGINT", "samples in it", False),
    ),
    key=("eval_set_digest",),
    is_control=True,
)
SAMPLES = TableContract(
    "samples",
    "one eval item, addressed by content",
    (
        _c("sample_id", "VARCHAR", "sha256 of the rest but request_id and weight", False),
        _c("suite", "VARCHAR", "suite it belongs to", False),
        _c("task", "VARCHAR", "prompt name: which prompt of a release answers it"),
        _c("messages", "JSON", "input without system message", False),
        _c("system", "VARCHAR", "system message of the log, for releases without a prompt"),
        _c("target", "VARCHAR", "what a right answer is", False),
        _c("target_kind", "VARCHAR", "gold, corrected, accepted, recorded or logged", False),
        _c("origin", "VARCHAR", "suite, failure, traffic or pin: where it comes from", False),
        _c("slices", "JSON", "name → value, for the breakdown", False),
        _c("must_pass", "BOOLEAN", "a failure of the challenger here blocks", False),
        _c("weight", "DOUBLE", "1; what it counts is of a set: eval_set_samples.weight", False),
        _c("request_id", "VARCHAR", "call it came from; NULL for suite files"),
        _c("served", "JSON", "told beside the messages: tools, template, continues, sampling"),
        _c("session", "VARCHAR", "recorded session that it is a step of"),
        _c("step", "BIGINT", "its place there, from 1 on"),
    ),
    key=("sample_id",),
)
EVAL_SET_SAMPLES = TableContract(
    "eval_set_samples",
    "which samples an eval set holds, in which cluster each falls there and what it counts",
    (
        _c("eval_set_digest", "VARCHAR", "the set", False),
        _c("sample_id", "VARCHAR", "the sample", False),
        _c("position", "BIGINT", "order in the set", False),
        _c("cluster_id", "VARCHAR", "conversation or near-duplicate group", False),
        _c("weight", "DOUBLE", "what it counts in its suite's means; 1 on average"),
        _c("num_draws", "DOUBLE", "independent draws from the traffic that it is worth"),
        _c("stratum", "VARCHAR", "failed, liked or unjudged; empty: production never asked it"),
        _c("is_counted", "BOOLEAN", "false: selected by outcome, so only shown"),
    ),
    key=("eval_set_digest", "sample_id"),
)
RELEASES = TableContract(
    "releases",
    "a release as it was resolved: the unit that ships",
    (
        _c(
            "release_digest",
            "VARCHAR",
            "sha256 over everything below that changes an answer",
            False,
        ),
        _c("name", "VARCHAR", "name in flywheel.toml at the time", False),
        _c("model", "VARCHAR", "reference as given", False),
        _c("model_digest", "VARCHAR", "sha256 of its content", False),
        _c("prompt_digest", "VARCHAR", "sha256 of its prompts", False),
        _c("prompts", "JSON", "task → messages", False),
        _c("sampling", "JSON", "sampling parameters", False),
        _c("engine", "JSON", "dtype, device class, quantisation, engine version", False),
        _c("created_at", "TIMESTAMP", "UTC", False),
    ),
    key=("release_digest",),
    is_control=True,
)
MODEL_FILES = TableContract(
    "model_files",
    "the files of a model by content, so that it can be told which of them is another",
    (
        _c("model_digest", "VARCHAR", "of the whole, as in releases", False),
        _c("name", "VARCHAR", "file in the model's folder, or the one file", False),
        _c("digest", "VARCHAR", "sha256 of its content", False),
    ),
    key=("model_digest", "name"),
    is_control=True,
)
COMPLETIONS = TableContract(
    "completions",
    "what one release said to one sample under one seed; a hit here is a re-read",
    (
        _c(
            "release_digest",
            "VARCHAR",
            "the release, with all of the engine that may change an answer",
            False,
        ),
        _c("sample_id", "VARCHAR", "the sample", False),
        _c("seed", "BIGINT", "seed of the run", False),
        _c("text", "VARCHAR", "what it said; NULL where error is set"),
        _c("finish_reason", "VARCHAR", "stop, length or error", False),
        _c("input_tokens", "BIGINT", "tokens of the prompt"),
        _c("cached_tokens", "BIGINT", "of them read from the prefix cache"),
        _c("output_tokens", "BIGINT", "tokens generated"),
        _c("error", "VARCHAR", "why there is no text"),
        _c("run_id", "VARCHAR", "run that computed it", False),
        _c("created_at", "TIMESTAMP", "UTC", False),
        _c("fault", "VARCHAR", "whose fault the error is: release, judge or harness"),
        _c("ttft_s", "DOUBLE", "of an API: seconds to the first text"),
        _c("latency_s", "DOUBLE", "of an API: seconds to the end of the answer"),
        _c("served_by", "VARCHAR", "of an API: model and build that it says answered"),
    ),
    key=("release_digest", "sample_id", "seed"),
)
SPENDING = TableContract(
    "spending",
    "what a run spent on an API; the sum over its journals is what counts against its budget",
    (
        _c("journal_id", "VARCHAR", "the journal it was read from, each once", False),
        _c("release_digest", "VARCHAR", "the release that was asked", False),
        _c("run_id", "VARCHAR", "run that spent it", False),
        _c("requests", "BIGINT", "attempts, failed ones too", False),
        _c("input_tokens", "BIGINT", "as told, or at most where nothing was told", False),
        _c("output_tokens", "BIGINT", "the same", False),
        _c("cost", "DOUBLE", "of both by the price of that day; 0: no price", False),
        _c("currency", "VARCHAR", "of the cost", False),
        _c("created_at", "TIMESTAMP", "UTC", False),
    ),
    key=("journal_id", "release_digest"),
    is_control=True,
)
SCORES = TableContract(
    "scores",
    "one scorer on one completion; unscored is not zero",
    (
        _c("release_digest", "VARCHAR", "the release", False),
        _c("sample_id", "VARCHAR", "the sample", False),
        _c("seed", "BIGINT", "seed of the run", False),
        _c("scorer", "VARCHAR", "name and version: exact_match@1", False),
        _c("value", "DOUBLE", "0 to 1; NULL: unscored"),
        _c("unscored_reason", "VARCHAR", "why there is no value"),
        _c("answer", "VARCHAR", "what was extracted from the completion"),
        _c("explanation", "VARCHAR", "why the value is what it is", False),
        _c("fault", "VARCHAR", "whose fault it is that there is no value"),
    ),
    key=("release_digest", "sample_id", "seed", "scorer"),
)
RUNS = TableContract(
    "runs",
    "one turn of the flywheel and what it was asked",
    (
        _c("run_id", "VARCHAR", "sortable by time", False),
        _c("request", "JSON", "what was asked: logs, champion, challengers, seed, stages", False),
        _c(
            "request_digest",
            "VARCHAR",
            "sha256 of it and the settings: finds a run to resume",
            False,
        ),
        _c("state", "VARCHAR", "running, completed, failed or abandoned", False),
        _c("pid", "BIGINT", "process that works on it", False),
        _c("started_at", "TIMESTAMP", "UTC", False),
        _c("finished_at", "TIMESTAMP", "UTC"),
        _c("error", "VARCHAR", "why it failed"),
        _c("eval_set_digest", "VARCHAR", "eval set it used"),
        _c("champion_digest", "VARCHAR", "release"),
        _c("challenger_digest", "VARCHAR", "release"),
        _c("mlflow_run_id", "VARCHAR", "parent run in MLflow"),
        _c("report", "VARCHAR", "path of the HTML report"),
        _c("more_challengers", "VARCHAR[]", "releases: the second challenger and those after it"),
    ),
    key=("run_id",),
    is_control=True,
)
COMMITMENTS = TableContract(
    "commitments",
    "what a run was bound to when it began, before any answer of its own",
    (
        _c("run_id", "VARCHAR", "the run", False),
        _c("fixed_at", "TIMESTAMP", "when it was written down, UTC", False),
        _c("policy", "JSON", "what decides: dotted key of the settings → value", False),
        _c("policy_digest", "VARCHAR", "sha256 of it", False),
        _c("settings", "JSON", "settings that change a result; no address, no secret", False),
        _c("settings_digest", "VARCHAR", "sha256 of them, as a run is found again by", False),
        _c("rules", "JSON", "kind of rows → digest of the rules they are judged by", False),
        _c("files", "JSON", "file that the settings name → sha256 of its content", False),
        _c("materials", "JSON", "packages and commit, once for each that it ran under", False),
    ),
    key=("run_id",),
    is_control=True,
)
RUN_STAGES = TableContract(
    "run_stages",
    "a finished stage of a run, with its receipt",
    (
        _c("run_id", "VARCHAR", "the run", False),
        _c("stage", "VARCHAR", "the stage", False),
        _c("receipt", "JSON", "counts and notes", False),
        _c("finished_at", "TIMESTAMP", "UTC", False),
    ),
    key=("run_id", "stage"),
    is_control=True,
)
VERDICTS = TableContract(
    "verdicts",
    "the decision of one run on one challenger",
    (
        _c("run_id", "VARCHAR", "the run", False),
        _c("role", "VARCHAR", "challenger, challenger_2, …: in the order they were named", False),
        _c("verdict", "VARCHAR", "better, no_worse, worse or cannot_tell", False),
        _c("reasons", "JSON", "list of sentences", False),
        _c("suites", "JSON", "list of suite results with intervals and denominators", False),
        _c("slices", "JSON", "list of slice results", False),
        _c("created_at", "TIMESTAMP", "UTC", False),
        _c("is_leading", "BOOLEAN", "whether it is what the run came to", False),
        _c("guardrails", "JSON", "list of guardrail results; NULL: by an earlier build"),
    ),
    key=("run_id", "role"),
    is_control=True,
)
RANKINGS = TableContract(
    "rankings",
    "where a release stands among all of a run, on one suite",
    (
        _c("run_id", "VARCHAR", "the run", False),
        _c("suite", "VARCHAR", "the suite; empty: all gating suites taken together", False),
        _c("role", "VARCHAR", "champion, challenger, challenger_2, …", False),
        _c("mean", "DOUBLE", "weighted mean score; NULL: not known"),
        _c("low", "BIGINT", "best rank that it may have, 1 the first", False),
        _c("high", "BIGINT", "worst rank that it may have", False),
        _c("num_samples", "BIGINT", "samples that count", False),
    ),
    key=("run_id", "suite", "role"),
    is_control=True,
)

DRIFT = TableContract(
    "drift",
    "one column of a run's new calls beside the reference window; numbers NULL where not judged",
    (
        _c("run_id", "VARCHAR", "run that took the calls in", False),
        _c("column_name", "VARCHAR", "column; text: topics; text_novelty: unlike before", False),
        _c("position", "BIGINT", "order in the report", False),
        _c("num_reference", "BIGINT", "calls drawn from the window (texts: different ones)", False),
        _c("num_new", "BIGINT", "calls drawn from the new ones (texts: different ones)", False),
        _c("psi", "DOUBLE", "population stability index"),
        _c("test", "VARCHAR", "two-sample test"),
        _c("statistic", "DOUBLE", "of the test"),
        _c("p_value", "DOUBLE", "of the test"),
        _c("adjusted_p", "DOUBLE", "by Holm over the columns judged"),
        _c("is_alarm", "BOOLEAN", "adjusted p and psi both beyond their limits", False),
        _c("not_judged", "VARCHAR", "why there are no numbers"),
        _c("reference_since", "TIMESTAMP", "beginning of the reference window, UTC", False),
        _c("created_at", "TIMESTAMP", "UTC", False),
    ),
    key=("run_id", "column_name"),
)

EVIDENCE = TableContract(
    "evidence",
    "what all nights so far say of one pair of releases on one suite",
    (
        _c("evidence_id", "VARCHAR", "sha256 of the five columns after it and the last", False),
        _c("champion_digest", "VARCHAR", "release in production", False),
        _c("challenger_digest", "VARCHAR", "release that may ship", False),
        _c("suite", "VARCHAR", "the suite", False),
        _c("scorer", "VARCHAR", "name and version that was counted: exact_match@1", False),
        _c("margin", "DOUBLE", "loss of mean score that may still ship", False),
        _c("state", "JSON", "plan, bets and looks: enough to go on from", False),
        _c("run_id", "VARCHAR", "run that fed it last", False),
        _c("updated_at", "TIMESTAMP", "UTC", False),
        _c("num_challengers", "BIGINT", "challengers of a run that share its error rate"),
    ),
    key=("evidence_id",),
    is_control=True,
)
EVIDENCE_SAMPLES = TableContract(
    "evidence_samples",
    "a sample that was fed to evidence, as it was observed first: never fed again",
    (
        _c("evidence_id", "VARCHAR", "the evidence", False),
        _c("sample_id", "VARCHAR", "the sample", False),
        _c("cluster_id", "VARCHAR", "its cluster, which is fed once, whole", False),
        _c("difference", "DOUBLE", "score of the challenger - score of the champion", False),
        _c("weight", "DOUBLE", "what it counts", False),
        _c("num_draws", "DOUBLE", "independent draws from the traffic that it is worth"),
        _c("run_id", "VARCHAR", "run that fed it", False),
    ),
    key=("evidence_id", "sample_id"),
)
EVIDENCE_LOOKS = TableContract(
    "evidence_looks",
    "evidence as it stood after a run had fed it: what the next look began with",
    (
        _c("evidence_id", "VARCHAR", "the evidence", False),
        _c("run_id", "VARCHAR", "run that fed it", False),
        _c("state", "JSON", "as in evidence", False),
    ),
    key=("evidence_id", "run_id"),
    is_control=True,
)

RUN_SAMPLES = TableContract(
    "run_samples",
    "the samples that a run asked its releases, where it was decided before all of its eval set",
    (
        _c("run_id", "VARCHAR", "the run that evaluated", False),
        _c("sample_id", "VARCHAR", "the sample", False),
        _c("is_in_turn", "BOOLEAN", "false: asked before its turn, since it must pass", False),
    ),
    key=("run_id", "sample_id"),
)

FORGOTTEN = TableContract(
    "forgotten",
    "what was erased and does not come in again: keyed hashes of its ids, and nothing else of it",
    (
        _c("digest", "VARCHAR", "HMAC-SHA256 of a kind and an id by the pseudonym key", False),
        _c("until", "TIMESTAMP", "of a user: what began later is new, UTC; NULL: whenever"),
        _c("erasure_id", "VARCHAR", "the erasure that it stands for", False),
    ),
    key=("digest",),
    is_control=True,
)
ERASURES = TableContract(
    "erasures",
    "an eval set that samples were erased from; what stood on it cannot be re-executed whole",
    (
        _c("erasure_id", "VARCHAR", "sortable by time", False),
        _c("erased_at", "TIMESTAMP", "UTC", False),
        _c("eval_set_digest", "VARCHAR", "the set, of which the row in eval_sets stays", False),
        _c("successor_digest", "VARCHAR", "the set of the samples that are left; NULL: none made"),
        _c("num_samples", "BIGINT", "samples that left it", False),
    ),
    key=("erasure_id", "eval_set_digest"),
    is_control=True,
)

#: written anew by every judgement, so it is no table of the schema
ALIASES = TableContract(
    "aliases",
    "which release is champion, and which was before it: moved by promotion and rollback alone",
    (
        _c("alias", "VARCHAR", "champion or previous", False),
        _c("release", "VARCHAR", "its name in flywheel.toml when it was promoted", False),
        _c("release_digest", "VARCHAR", "the release as it was judged", False),
        _c("run_id", "VARCHAR", "run whose verdict allowed it; NULL: life began with it"),
        _c("since", "TIMESTAMP", "when the alias came to point at it, UTC", False),
    ),
    key=("alias",),
    is_control=True,
)
AUDIT = TableContract(
    "audit",
    "who moved the champion, when and why: appended to, each row with the hash of the one before",
    (
        _c("seq", "BIGINT", "1, 2, 3, … without a gap", False),
        _c("at", "TIMESTAMP", "when, UTC", False),
        _c("by", "VARCHAR", "who", False),
        _c("action", "VARCHAR", "promote, rollback, told, untold; ask, refuse, unanswered", False),
        _c("subject", "VARCHAR", "the release; of told and untold: who was to hear of it", False),
        _c("details", "JSON", "canonical JSON: releases, run, verdict, override, reason", False),
        _c("previous_hash", "VARCHAR", "hash of the row before; empty in the first", False),
        _c("hash", "VARCHAR", "sha256 over the canonical JSON of all columns above", False),
    ),
    key=("seq",),
    is_control=True,
)
BATCH_PROFILE = TableContract(
    "batch_profile",
    "what the calls judged last are like as a whole: one row",
    (
        _c("num_calls", "BIGINT", "calls that came in", False),
        _c("age_h", "DOUBLE", "hours from the newest known call to now; NULL: no call has a time"),
        _c("day", "TIMESTAMP", "newest whole day (UTC) that calls came in for"),
        _c("day_calls", "BIGINT", "calls of that day, those stored before included"),
        _c("past_days", "BIGINT", "same weekdays of the four weeks before with stored calls"),
        _c("usual_calls", "DOUBLE", "median of their calls; NULL: too few of them, or too small"),
        _c("volume_ratio", "DOUBLE", "day_calls / usual_calls"),
    ),
)

ALL_TABLES = (
    LANDING,
    REQUESTS,
    FEEDBACK,
    SOURCES,
    MERGED_REPORTS,
    DEAD_LETTERS,
    QUARANTINE,
    EVAL_SETS,
    SAMPLES,
    EVAL_SET_SAMPLES,
    RELEASES,
    MODEL_FILES,
    COMPLETIONS,
    SPENDING,
    SCORES,
    RUNS,
    COMMITMENTS,
    RUN_STAGES,
    VERDICTS,
    RANKINGS,
    DRIFT,
    EVIDENCE,
    EVIDENCE_SAMPLES,
    EVIDENCE_LOOKS,
    RUN_SAMPLES,
    ALIASES,
    AUDIT,
    FORGOTTEN,
    ERASURES,
)

#: what machines that share a store have in common; all else in a database is of one process
SHARED_TABLES = (*ALL_TABLES, MET_AGAIN)
