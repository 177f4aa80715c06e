"""Rows of Azure's logs → calls (see azure.py)."""

from __future__ import annotations

from typing import Any

from tasks.logs.formats import azure_rows as rows
from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, decode, runs_no_model
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.providers import provider_of
from tasks.logs.shapes.records import Call, Json, Other, Record

#: a row this long was cut, and the next one goes on
_CUT_BYTES = 32_000
#: operations of Azure OpenAI that run a model → ours
_OPERATIONS = {
    "chatcompletions_create": "chat", "completions_create": "text_completion",
    "embeddings_create": "embeddings", "responses_create": "chat", "messages_create": "chat",
    "extensionschatcompletions_create": "chat", "create_response": "chat",
    "createresponse": "chat", "chatcompletions": "chat", "chat completions": "chat",
}  # fmt: skip
#: tag → column
_LLM_TAGS = {
    "deployment": "deploymentname", "region": "region", "api_version": "apiversion",
    "stream": "isstreamcompletion", "operation_name": "operationname", "response_id": "requestid",
}  # fmt: skip
_GATEWAY_TAGS = {
    "api": "apiid", "subscription": "apimsubscriptionid", "product": "productid",
    "operation_name": "operationid", "region": "region", "cache": "cache",
}  # fmt: skip
_REQUEST_TAGS = {
    "deployment": "modeldeploymentname", "model_version": "modelversion", "api_version": "apiname",
    "region": "location", "stream": "streamtype", "request_bytes": "requestlength",
    "response_bytes": "responselength",
}  # fmt: skip


def request_of(row: dict[str, Json]) -> Record:
    """A row of RequestResponse: a call without texts, or of something that runs no model."""
    operation = coerce.text("operationName", row.get("operationname"))
    known = _OPERATIONS.get((operation or "").lower())
    if known is None:
        return Other()
    model = coerce.text("modelName", row.get("modelname"))
    call = Call(
        request_id=coerce.text("correlationId", row.get("correlationid")),
        started_at=rows.of_ticks(row.get("requesttime"))
        or rows.moment(row.get("time", row.get("timegenerated"))),
        provider=_provider(model),
        model=model or coerce.text("deployment", row.get("modeldeploymentname")),
        user=coerce.text("objectId", row.get("objectid")),
        operation=known,
        latency_s=_duration("durationMs", row.get("durationms")),
        http_status=coerce.small_integer("resultSignature", row.get("resultsignature")),
        tags=_tags(row, _REQUEST_TAGS),
    )
    return finish(call)


class Correlated:
    """The rows of one CorrelationId."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._llm: list[dict[str, Json]] = []
        self._gateway: dict[str, Json] | None = None

    def add(self, category: str, row: dict[str, Json]) -> None:
        if category == rows.LLM:
            self._llm.append(row)
        else:
            self._gateway = row

    def record(self) -> Record:
        """One call; a request of the gateway to something else is none."""
        found = [*self._llm, *([self._gateway] if self._gateway else [])]
        return or_dead(found, self._record)

    def _record(self) -> Record:
        around = _of_gateway(self._gateway or {})
        ordered = sorted(
            self._llm, key=lambda row: coerce.integer("n", row.get("sequencenumber")) or 0
        )
        facts: dict[str, Json] = {}
        for row in ordered:
            facts = {**row, **facts}
        bodies = _exchange(self._gateway or {}, around, facts)
        api = None if bodies is None else api_of(bodies)
        if bodies is None or api is None:
            return _of_llm(self._name, ordered, facts, around) if ordered else Other()
        call = call_of(bodies, api)
        if call.request_id is not None:
            call.tags = {**call.tags, "response_id": call.request_id}
        call.request_id = self._name
        return call


def _of_llm(
    name: str, ordered: list[dict[str, Json]], facts: dict[str, Json], around: dict[str, Json]
) -> Call:
    """`facts`: what any of the rows tells."""
    model = coerce.text("ModelName", facts.get("modelname"))
    deployment = coerce.text("DeploymentName", facts.get("deploymentname"))
    asked = _pieces([row.get("requestmessages") for row in ordered])
    said = _pieces([row.get("responsemessages") for row in ordered])
    call = Call(
        request_id=name,
        started_at=around.get("started_at")
        or rows.moment(facts.get("timegenerated", facts.get("time"))),
        provider=_provider(model or deployment),
        model=model or deployment,
        user=around.get("user"),
        operation="chat",
        messages=None if asked is None else message_list("RequestMessages", asked),
        latency_s=around.get("latency_s"),
        http_status=around.get("status_code"),
        **_counts(facts),
        tags={**around.get("tags", {}), **_tags(facts, _LLM_TAGS)},
    )
    answer = NOT_RECORDED if said is None else Answer(message=_message(said), body=said)
    return finish(call, answer, error=around.get("error"))


def _counts(facts: dict[str, Json]) -> dict[str, Any]:
    return usage.tokens({
        "input_tokens": facts.get("prompttokens"), "output_tokens": facts.get("completiontokens"),
        "total_tokens": facts.get("totaltokens"),
    })  # fmt: skip


def _pieces(cells: list[Json]) -> Json:
    """Messages out of the cells of several rows; None where no row has any."""
    given = [cell for cell in cells if cell not in (None, "", [], "[]")]
    if not given:
        return None
    decoded = [decode(cell) for cell in given]
    if any(isinstance(cell, str) for cell in decoded):  # a JSON text that was cut
        whole = decode("".join(cell if isinstance(cell, str) else dump(cell) for cell in given))
        return whole if isinstance(whole, list) else [{"role": None, "content": whole}]
    messages: list[Json] = []
    cut = False
    for cell in decoded:
        for item in cell if isinstance(cell, list) else [cell]:
            last: Json = messages[-1] if messages else None
            if cut and _goes_on(last, item):
                messages[-1] = {**item, "content": last["content"] + item["content"]}
            else:
                messages.append(item)
            cut = False
        cut = len(dump(cell)) >= _CUT_BYTES
    return messages


def _goes_on(last: Json, item: Json) -> bool:
    if not isinstance(last, dict) or not isinstance(item, dict):
        return False
    texts = isinstance(last.get("content"), str) and isinstance(item.get("content"), str)
    return texts and last.get("role") == item.get("role")


def _message(said: Json) -> dict[str, Json] | None:
    """The pieces of an answer together."""
    whole: dict[str, Json] = {"role": "assistant", "content": None}
    for item in said if isinstance(said, list) else [said]:
        if not isinstance(item, dict):
            continue
        text = item.get("content")
        if isinstance(text, str) and isinstance(whole["content"], str | None):
            whole["content"] = (whole["content"] or "") + text
        elif text is not None:
            whole["content"] = text
        calls = coerce.first(item, "tool_calls", "toolCalls")
        if isinstance(calls, list):
            whole["tool_calls"] = [*whole.get("tool_calls", []), *calls]
    return whole


def _of_gateway(row: dict[str, Json]) -> dict[str, Any]:
    """What the gateway's own row tells of a call."""
    code = coerce.first(row, "backendresponsecode", "responsecode")
    status = coerce.small_integer("ResponseCode", code)
    took = coerce.first(row, "totaltime", "durationms", "backendtime")
    reason = coerce.text("LastErrorReason", row.get("lasterrorreason"))
    failed = reason if str(row.get("isrequestsuccess")).lower() == "false" else None
    return {
        "started_at": rows.moment(coerce.first(row, "timegenerated", "time")),
        "latency_s": _duration("TotalTime", took),
        "status_code": status or None,
        "user": coerce.text("UserId", row.get("userid")),
        "error": failed,
        "tags": _tags(row, _GATEWAY_TAGS),
    }


def _exchange(
    row: dict[str, Json], around: dict[str, Any], facts: dict[str, Json]
) -> Exchange | None:
    """Where the bodies were logged: those to and from the backend, else the client's."""
    url = coerce.first(row, "backendurl", "url")
    request = decode(coerce.first(row, "backendrequestbody", "requestbody"))
    response = decode(coerce.first(row, "backendresponsebody", "responsebody"))
    if runs_no_model(url) or not isinstance(response, dict | list):
        return None
    beside = {key: item for key, item in around.items() if key != "tags"}
    beside |= {"usage": _counts(facts), "model": facts.get("modelname")}
    request = request if isinstance(request, dict) else None
    return Exchange(request, response, {**beside, **around["tags"]}, url)


def _provider(model: str | None) -> str:
    """Azure serves OpenAI's models by one service and those of others by another."""
    family = provider_of(None, "openai", model)
    return "azure.ai.openai" if family == "openai" else "azure.ai.inference"


def _duration(name: str, value: Json) -> float | None:
    seconds = coerce.seconds(name, value, 1000.0)
    return None if seconds is None or seconds < 0 else seconds


def _tags(row: dict[str, Json], names: dict[str, str]) -> dict[str, Json]:
    return {tag: row[name] for tag, name in names.items() if row.get(name) is not None}
