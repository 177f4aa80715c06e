"""Tables by a mapping: shipped, of the user, and the one of [ingest.columns]."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import CALL_FIELDS
from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats.table import Mapped
from tasks.logs.shapes.records import Call, Other, UnreadableError
from tasks.model.table_mapping import read_mapping
from tests.tasks.logs.builders import make_run

SPEC: dict[str, Any] = {
    "where": {"kind": "llm"}, "failed_where": {"state": ["failed", "lost"]},
    "constants": {"provider": "acme"},
    "columns": {
        "request_id": "id", "started_at": "at", "model": ["model", "meta.model"],
        "messages": "asked", "response": "said", "latency_s": {"column": "took", "unit": "ms"},
        "input_tokens": "counts.in", "output_tokens": "counts.out", "error": "why",
    },
}  # fmt: skip
ROW = {"id": "1", "kind": "llm", "state": "ok", "at": "2026-11-03 08:00:00", "model": "",
       "meta": '{"model": "m-1", "zone": "eu"}', "asked": "which colour?", "said": "Blue.",
       "took": "1500", "counts": '{"in": 3, "out": 2}', "why": "", "region": "x"}  # fmt: skip
OPENROUTER = (
    "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,tokens_reasoning,"
    "tokens_cached,model_permaslug,provider_name,cancelled,user,finish_reason_normalized,"
    "generation_time_ms,time_to_first_token_ms,app_name\n"
    "gen-9,2026-11-03 08:00:00.5,0.002,30,8,4,10,org/m,Acme,false,u,stop,1200,300,app\n"
    "gen-10,2026-11-03 08:00:01,0,30,0,,,org/m,Acme,true,u,,100,,app\n"
)
LANGFUSE = (
    "id,traceId,type,startTime,endTime,name,level,statusMessage,input,output,model,"
    "modelParameters,inputUsage,outputUsage,totalUsage,totalCost,promptName,userId\n"
    "o1,t,SPAN,2026-11-03T08:00:00Z,2026-11-03T08:00:02Z,n,DEFAULT,,,,,,,,,,,\n"
    "o2,t,GENERATION,2026-11-03T08:00:00Z,2026-11-03T08:00:02Z,n,DEFAULT,note,"
    '"[{""role"":""user"",""content"":""hi""}]","{""role"":""assistant"",""content"":""yo""}",m,'
    '"{""temperature"":0}",3,2,5,0.1,p,u\n'
    "o3,t,GENERATION,2026-11-03T08:00:00Z,,n,ERROR,timed out,,,m,,,,,,,\n"
)


def mapped(**changes: Any) -> Mapped:
    return Mapped(read_mapping("acme", {**SPEC, **changes}, CALL_FIELDS))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def one(format: Any, row: dict[str, Any]) -> Call:
    (call,) = format.records(row)
    assert isinstance(call, Call)
    return call


def test_a_row_becomes_a_call_with_units_keys_of_json_and_constants():
    call = one(mapped(), ROW)
    assert (call.request_id, call.model, call.provider) == ("1", "m-1", "acme")
    assert (str(call.started_at), call.latency_s) == ("2026-11-03 08:00:00", 1.5)
    assert (call.input_tokens, call.output_tokens) == (3, 2)
    assert call.messages == [{"role": "user", "content": "which colour?"}]
    assert call.response == {"role": "assistant", "content": "Blue."}
    assert call.tags == {"state": "ok", "meta": {"zone": "eu"}, "region": "x"}
    assert one(mapped(), {**ROW, "model": "m-2"}).model == "m-2"


def test_rows_that_are_no_calls_are_other_and_failed_ones_are_errors():
    assert list(mapped().records({**ROW, "kind": "tool"})) == [Other()]
    failed = one(mapped(), {**ROW, "state": "lost", "why": "timeout", "said": ""})
    assert (failed.status, failed.error_type) == ("error", "timeout")
    assert one(mapped(), {**ROW, "why": "only a remark"}).status == "ok"


def test_bodies_in_cells_are_read_and_an_answer_that_is_json_stays_its_text():
    body = (
        '{"model":"m-9","choices":[{"message":{"role":"assistant","content":"yo"},'
        '"finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":1}}'
    )
    columns = {"request": "asked", "response": "said"}
    asked = '{"model":"m-8","messages":[{"role":"user","content":"hi"}],"temperature":0}'
    call = one(mapped(columns=columns), {**ROW, "asked": asked, "said": body})
    assert (call.model, call.finish_reason, call.input_tokens) == ("m-8", "length", 4)
    assert (call.params, call.response["content"]) == ({"temperature": 0}, "yo")
    plain = '{"colour":  "blue"}'
    assert one(mapped(), {**ROW, "said": plain}).response["content"] == plain


def test_a_table_is_recognised_by_its_header():
    assert mapped().fits(list(ROW))
    assert not mapped().fits([name for name in ROW if name != "took"])
    short = mapped(recognised_by=["id", "kind|sort"])
    assert short.fits(["id", "sort", "x"])
    assert not short.fits(["id"])
    with pytest.raises(UnreadableError, match="no column kind or sort"):
        list(short.records({"id": 1}))


@pytest.mark.parametrize(("name", "text"), [("openrouter", OPENROUTER), ("langfuse", LANGFUSE)])
def test_exports_as_csv_are_read_by_the_format_of_their_vendor(name: str, text: str):
    """They had mappings too, which lost to it by content."""
    assert {formats.recognise(row).NAME for row in rows(text)} == {name}


@pytest.mark.parametrize("name", ["lunary"])
def test_shipped_mappings_take_no_other_table(name: str):
    known = formats.by_name(name)
    assert name in formats.NAMES
    for header in ("id,type,name", "id,created_at,amount", "region,units,price", "id,model,cost"):
        assert not known.matches(dict.fromkeys(header.split(",")))


def test_mappings_lie_beside_the_code_that_reads_them():
    """The wheel holds whatever lies in a package."""
    folder = Path(formats.__file__).parent.parent / "mappings"
    assert list(folder.glob("*.toml"))


@pytest.mark.parametrize(("changes", "said"), [
    ({"columns": {}}, r"\[columns\] says"), ({"colums": {}}, "no key 'colums'"),
    ({"columns": {"modle": "m"}}, "no field 'modle'"), ({"columns": {"model": 3}}, "is a text"),
    ({"columns": {"latency_s": {"column": "x", "unit": "min"}}}, "the unit is one of"),
    ({"columns": {"model": {"column": "x", "unit": "ms"}}}, "only latency_s and ttft_s"),
    ({"where": ["x"]}, "where is a table"), ({"constants": {"x": 1}}, "no field 'x'"),
])  # fmt: skip
def test_a_wrong_mapping_says_what_is_wrong(changes: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        mapped(**changes)


def test_the_user_names_mappings_in_the_settings_or_in_a_file(tmp_path: Path):
    (tmp_path / "acme.toml").write_text('[columns]\nrequest_id = "id"\nmodel = "model"\n')
    run = make_run(tmp_path, ingest={"mappings": {"acme": "acme.toml", "other": SPEC}})
    tables = run.settings.ingest.tables
    assert [table.name for table in tables] == ["acme", "other"]
    known = formats.by_name("acme", tables)
    assert one(known, {"id": "1", "model": "m"}).model == "m"
    assert formats.table_of(list(ROW), tables).NAME == "acme"
    assert formats.table_of(["a"], tables) is None
    assert formats.unknown_version(tables) != formats.unknown_version(())
    with pytest.raises(UsageError, match="mapping acme cannot be read"):
        make_run(tmp_path, ingest={"mappings": {"acme": "gone.toml"}})
    with pytest.raises(UsageError, match="no field 'modle'"):
        make_run(tmp_path, ingest={"mappings": {"acme": {"columns": {"modle": "m"}}}})


def test_a_mapping_is_forced_by_its_name_or_found_by_the_header(tmp_path: Path):
    (tmp_path / "a.csv").write_text(OPENROUTER)
    own = "id;kind;at;model;meta;asked;said;took;counts;why\n1;llm;2026-11-03;m;{};q;a;5;{};\n"
    (tmp_path / "b.csv").write_text(own)
    run = make_run(tmp_path, tmp_path, ingest={"mappings": {"acme": SPEC}})
    assert ingest(run).notes["by_format"] == {"acme": 1, "openrouter": 2}
    again = make_run(tmp_path, tmp_path / "b.csv", run_id="run-2", log_format="acme")
    with pytest.raises(UsageError, match="unknown log format 'acme'"):
        ingest(again)


DOCS = (Path(__file__).parents[4] / "docs" / "data-formats.md").read_text()


def _block(language: str, begin: str) -> str:
    """The fenced block that begins so."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(begin)]
    return str(found)


def test_the_mapping_in_the_docs_reads_the_table_in_the_docs():
    spec = tomllib.loads(_block("toml", "# acme.toml"))
    known = Mapped(read_mapping("acme", spec, CALL_FIELDS))
    first, second = rows(_block("csv", "rid,"))
    call = one(known, first)
    assert (call.model, call.latency_s, call.input_tokens) == ("m-1", 0.9, 12)
    assert call.tags == {"state": "ok", "region": "eu"}
    assert list(known.records(second)) == [Other()]


def test_the_format_in_the_docs_is_one():
    names: dict[str, Any] = {}
    exec(_block("python", "from tasks.logs"), names)
    value = {"acme": 1, "prompt": "which colour?", "answer": "Blue.", "ms": 900}
    assert names["matches"](value)
    assert not names["matches"]({"prompt": "x"})
    (call,) = names["records"](value)
    assert (call.response["content"], call.latency_s, call.status) == ("Blue.", 0.9, "ok")
    assert {"NAME", "VERSION"} <= names.keys()
