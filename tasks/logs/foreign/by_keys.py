"""What a JSON value is by its keys, of kinds that tell of no model call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tasks.logs.formats import results_of_others
from tasks.logs.shapes.records import Json

Test = Callable[[Json], bool]
_SUITE = "no calls but samples: flywheel suite import makes a suite of them"


@dataclass(frozen=True, slots=True)
class Kind:
    """`needs`: groups of keys, of each of which one is there; `holds`: what is under a key;
    `lacks`: keys that are not there."""

    what: str
    needs: tuple[tuple[str, ...], ...]
    holds: Mapping[str, Test] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()

    def takes(self, value: dict[str, Json]) -> bool:
        return (
            all(any(key in value for key in group) for group in self.needs)
            and all(test(value.get(key)) for key, test in self.holds.items())
            and not any(key in value for key in self.lacks)
        )


def told(value: Json) -> str | None:
    """Of a value as a line or a document holds it; of a list its first items decide."""
    if isinstance(value, list):
        if value and isinstance(value[0], str) and value[0].startswith("client.beta."):
            return _MANAGED
        items = [each for item in value[:20]
                 for each in (item[:20] if isinstance(item, list) else [item])]  # fmt: skip
        return next(filter(None, map(_of_object, items)), None)
    return _of_object(value)


def _of_object(value: Json) -> str | None:
    if not isinstance(value, dict):
        return None
    known = next((kind.what for kind in _KINDS if kind.takes(value)), None)
    return known or results_of_others.of_value(value)


def _kind(what: str, needs: str, lacks: str = "", /, **holds: Test) -> Kind:
    """`needs` and `lacks`: keys with blanks between; `a|b` is one of them."""
    groups = tuple(tuple(group.split("|")) for group in needs.split())
    return Kind(what, groups, holds, frozenset(lacks.split()))


def _is(*words: str) -> Test:
    return lambda value: isinstance(value, str) and value in words


def _starts(*words: str) -> Test:
    return lambda value: isinstance(value, str) and value.startswith(words)


def _has(*keys: str) -> Test:
    """An object with one of these keys."""
    return lambda value: isinstance(value, dict) and any(key in value for key in keys)


def _text(value: Json) -> bool:
    return isinstance(value, str)


def _object(value: Json) -> bool:
    return isinstance(value, dict)


def _list(value: Json) -> bool:
    return isinstance(value, list)


def _list_with(*keys: str) -> Test:
    """A list of objects of which the first has all of these keys."""
    return lambda value: (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and all(key in value[0] for key in keys)
    )


_MANAGED = (
    "requests and events of managed agents (Anthropic): their frames tell what a session did, and "
    "not what a model was asked"
)
_GEOMETRIES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon",
               "GeometryCollection")  # fmt: skip
#: what tells a web request in an access log
_PATH = "path|url|uri|request_uri|request_path|requestURI|RequestPath|request|target|http.target"
_STATUS = "status|status_code|statusCode|response_code|http_status|DownstreamStatus|sc-status"
_CALL = "model messages prompt completion choices response gen_ai"

#: in the order they are asked: what is particular before what is general
_KINDS = (
    # what describes or configures
    _kind("a HAR file, what a browser loaded", "log", log=_has("entries", "creator")),
    _kind("a recording of HTTP (VCR) without an exchange with a model API that is known",
          "interactions", interactions=_list_with("request", "response")),
    _kind("a lock file (npm)", "lockfileVersion"),
    _kind("a lock file (Composer)", "content-hash packages"),
    _kind("a lock file (Pipenv)", "_meta default develop"),
    _kind("a package manifest (Composer)", "name require", name=_text, require=_object),
    _kind(
        "a package manifest (npm)",
        "name|private version|private|workspaces "
        "dependencies|devDependencies|scripts|peerDependencies|workspaces",
    ),
    _kind("a TypeScript configuration (tsconfig)", "compilerOptions"),
    _kind("a configuration of a linter", "extends rules|plugins|parserOptions", "messages"),
    _kind("a notebook (Jupyter)", "cells nbformat"),
    _kind("GeoJSON", "type features|geometry",
          type=_is("FeatureCollection", "Feature")),
    _kind("GeoJSON", "type coordinates|geometries", type=_is(*_GEOMETRIES)),
    _kind("TopoJSON", "type arcs objects", type=_is("Topology")),
    _kind("a Kubernetes audit log", "kind apiVersion auditID"),
    _kind("a Kubernetes manifest", "apiVersion kind"),
    _kind("an OpenAPI description", "openapi|swagger|asyncapi paths|channels"),
    _kind("a GraphQL schema", "__schema"),
    _kind("results of a static analysis (SARIF)", "version runs", runs=_list_with("tool")),
    _kind("a bill of materials (SBOM)", "bomFormat|spdxVersion"),
    _kind("a Postman collection", "info item", info=_has("_postman_id", "schema")),
    _kind("a Grafana dashboard", "panels schemaVersion|templating|time"),
    _kind("a JSON Schema", "$defs|definitions"),
    _kind("a JSON Schema", "$schema", **{"$schema": _starts("http://json-schema.org",
                                                             "https://json-schema.org")}),
    _kind("a JSON Schema", "type properties", type=_is("object"), properties=_object),
    _kind("a Terraform state", "terraform_version resources|modules|planned_values"),
    _kind("a CloudFormation template", "AWSTemplateFormatVersion|Transform Resources"),
    _kind("a policy of AWS IAM", "Version Statement"),
    _kind("what docker inspect prints", "Id HostConfig|RootFS"),
    _kind("a Vega chart", "mark|marks encoding|scales data"),
    _kind("linked data (JSON-LD)", "@context @type|@id|@graph"),
    # models and their training
    _kind("a tokenizer of a model", "model added_tokens|pre_tokenizer|normalizer",
          model=_has("vocab", "merges")),
    _kind("a tokenizer of a model (its configuration)", "tokenizer_class|added_tokens_decoder"),
    _kind("weights of a model (their index)", "weight_map"),
    _kind("a configuration of an adapter (PEFT)", "peft_type"),
    _kind("a configuration of a model",
          "model_type|architectures hidden_size|vocab_size|num_hidden_layers|n_embd|torch_dtype|"
          "transformers_version|d_model|text_config"),
    _kind("a configuration of a model (its generation)",
          "eos_token_id transformers_version|bos_token_id", "messages"),
    _kind("metrics of a training (trainer_state)", "log_history global_step"),
    _kind("metrics of a training (Weights & Biases)", "_step|_runtime _timestamp|_runtime|_wandb"),
    _kind("metrics of a training", "loss|eval_loss|train_loss|val_loss step|epoch|global_step",
          "messages prompt"),
    _kind("a card of a data set (dataset_info)", "features splits|builder_name|download_size"),
    # results of others, and samples
    _kind("a summary of lm-eval: the scores of samples stand in samples_TASK_TIME.jsonl",
          "results configs versions", results=_object),
    _kind(f"conversations between prompts of models (arena), {_SUITE}",
          "conversation_a conversation_b"),
    _kind(f"instructions with answers (Alpaca), {_SUITE}", "instruction output|response"),
    _kind(f"preferences between answers, {_SUITE}", "chosen rejected"),
    _kind(f"prompts with completions for fine-tuning, {_SUITE}", "prompt completion",
          "model id usage created_at timestamp"),
    _kind(f"questions with answers (SQuAD), {_SUITE}", "question answers|answer", "model"),
    _kind(f"questions with choices, {_SUITE}", "question choices|options|endings", "model"),
    _kind("a data set of sentence pairs", "premise hypothesis"),
    _kind("a data set of sentence pairs", "sentence1|sentence_a sentence2|sentence_b"),
    _kind("a data set of translations", "translation", translation=_object),
    _kind("a data set of summaries", "article|document|dialogue highlights|summary"),
    _kind("a data set of token classes", "tokens ner_tags|pos_tags|tags", tokens=_list),
    _kind("a data set of labelled texts", "text|sentence|review label|labels|sentiment",
          "model messages"),
    _kind("annotations of images (COCO)", "images annotations", images=_list),
    _kind("a corpus of texts", "text url|source|meta|id", "model usage type role response",
          text=_text),
    _kind("the trajectory of an agent (ATIF), whose steps do not tell what a model was asked",
          "agent steps schema_version|session_id", agent=_object, steps=_list_with("source")),
    # events of services
    _kind(_MANAGED, "id type", id=_starts("sevt_"), type=_text),
    _kind(_MANAGED, "id type agent", id=_starts("sesn_"), type=_is("session")),
    _kind("a GitHub webhook", "repository sender"),
    _kind("GitHub events", "actor repo type", type=_text),
    _kind("a GitLab webhook", "object_kind project|project_id"),
    _kind("Stripe events", "object type data", object=_is("event"), data=_has("object")),
    _kind("objects of Stripe", "object livemode id"),
    _kind("Slack events", "event team_id|api_app_id type", event=_object),
    _kind("messages of Slack", "type user|bot_id ts text", type=_is("message")),
    _kind("messages of Telegram", "messages name|type", messages=_list_with("from_id")),
    _kind("spans of Laminar as its SQL tells them: send the same spans as OTLP",
          "span_id trace_id span_type start_time input|output", "span_kind attributes.llm"),
    _kind("spans of AgentOps, as its API tells them: send the same spans as OTLP",
          "span_id span_name span_kind span_attributes"),
    _kind("documents of Elastic APM, whose labels have no dots: OpenTelemetry's own data streams "
          "(traces-*.otel-*) are read", "processor trace transaction|span",
          processor=_has("event")),
    _kind("Sentry events",
          "event_id platform|project exception|sdk|contexts|culprit|level|release"),
    _kind("a Sentry webhook", "action data installation"),
    _kind("AWS CloudTrail events", "eventSource eventName"),
    _kind("AWS CloudTrail events", "Records", Records=_list_with("eventName", "eventVersion")),
    _kind("notifications of AWS", "Records", Records=_list_with("eventSource")),
    _kind("a notification of AWS SNS", "Type TopicArn Message"),
    _kind("events of AWS EventBridge", "detail-type source detail"),
    _kind("audit logs of Google Cloud", "protoPayload"),
    _kind("audit logs of Microsoft 365", "Workload Operation CreationTime"),
    _kind("flow logs of a network",
          "srcaddr|src_ip|srcip|id.orig_h dstaddr|dest_ip|dstip|id.resp_h"),
    _kind("posts of a social network", "full_text|tweet user|author_id"),
    _kind("posts of a social network", "subreddit author|title"),
    # telemetry that is not of models
    _kind("OpenTelemetry metrics", "resourceMetrics|resource_metrics"),
    _kind("OpenTelemetry profiles", "resourceProfiles|resource_profiles"),
    _kind("OpenTelemetry logs without an event of a model", "resourceLogs|resource_logs"),
    _kind("an answer of Prometheus", "status data", data=_has("resultType", "activeTargets")),
    _kind("spans of Zipkin", "traceId id localEndpoint|remoteEndpoint|kind", "attributes"),
    _kind("a trace of Chrome", "traceEvents"),
    _kind("spans of Datadog APM, which keep no texts: export those of LLM Observability",
          "trace_id span_id service resource meta metrics"),
    _kind("metrics of Datadog", "series", series=_list_with("metric", "points")),
    _kind("metrics", "metric|metric_name|__name__|measurement value|values|fields|points",
          "messages response"),
    _kind("metrics", "name value|values timestamp|ts|time|tags|labels", "messages response",
          name=_text),
    *(_kind("a bulk file of Elasticsearch", action, **{action: _has("_index", "_id")})
      for action in ("index", "create", "update", "delete")),
    _kind("saved objects of Kibana", "attributes references type"),
    _kind("what Elasticsearch found", "hits took"),
    _kind("logs of MongoDB", "t s c ctx msg"),
    _kind("a MongoDB export without calls", "_id", _id=_has("$oid")),
    _kind("a DynamoDB export without calls", "Item", Item=_object),
    _kind("the journal of systemd without calls in it", "__REALTIME_TIMESTAMP|_BOOT_ID MESSAGE"),
    _kind("events of Suricata", "event_type src_ip"),
    _kind("lines of a CI or a test", "Action Package", Action=_text),
    # web servers
    _kind("an access log of a web server (Envoy)",
          "authority|:authority|x_request_id|request_id response_code "
          "upstream_host|upstream_cluster|response_flags", "model"),
    _kind("an access log of a web server (Caddy)", "request status duration|size",
          request=_has("uri", "remote_ip")),
    _kind("an access log of a load balancer (Google Cloud)", "httpRequest",
          httpRequest=_has("requestUrl", "requestMethod")),
    _kind("an access log of a web server (Traefik)", "RequestMethod RequestPath|DownstreamStatus"),
    _kind("an access log of a web server", f"{_STATUS} {_PATH}", _CALL),
    _kind("an access log of a web server", f"remote_addr|remote_ip|client_ip {_PATH}", _CALL),
    # programs
    _kind("the log of a container without calls in it", "log stream|time"),
    _kind("the log of a program without calls in it",
          "level|levelname|severity|lvl|loglevel|log.level msg|message|event|text",
          "messages response"),
    _kind("the log of a program without calls in it",
          "timestamp|time|ts|@timestamp|asctime message|msg", "messages response model"),
)  # fmt: skip
