"""The rules on what a call says: its input messages and its answer, stored as JSON.

Great Expectations has no expectation for the shape of JSON inside a database, so these are SQL
predicates (DuckDB's JSON functions), true for a bad row. Severities as in expectations/calls.py.
"""

from __future__ import annotations

from expectations.checks import Never, Present
from expectations.rules import Rule, When

_NOT_TEXT_FINISHES = "('tool_calls', 'tool_use', 'function_call', 'content_filter')"
#: as JSON texts
_KNOWN_ROLES = """('"system"', '"developer"', '"user"', '"assistant"', '"tool"', '"function"')"""
_OK = (When("status", "ok"),)

CONTENT_RULES: tuple[Rule, ...] = (
    Rule(
        "has_messages",
        "critical",
        Present("messages"),
        "Every call has its input messages.",
        "Without them it cannot be replayed; many tracers leave content out unless told otherwise.",
    ),
    Rule(
        "messages_are_a_list",
        "critical",
        Never(
            ("messages",),
            "coalesce(json_type(\"messages\"), '-') NOT IN ('ARRAY', '-') "
            'OR json_array_length("messages") = 0 '
            "OR len(list_filter(json_type(\"messages\", '$[*].role'), lambda t : t = 'VARCHAR')) "
            '<> json_array_length("messages")',
        ),
        "The input is a non-empty list of messages, each with a role.",
        "A chat template can render nothing else.",
    ),
    Rule(
        "messages_have_content",
        "critical",
        Never(
            ("messages",),
            'json_array_length("messages") > 0 '
            "AND len(list_filter(json_type(\"messages\", '$[*]'), lambda t : t <> 'OBJECT')) = 0 "
            "AND len(list_filter(json_extract(\"messages\", '$[*].content'), lambda c : "
            # a text, a list or an object that is not empty; an empty object says no less
            "left(c, 1) IN ('\"', '[', '{') AND c NOT IN ('\"\"', '[]'))) = 0 "
            "AND len(list_filter(json_array_length(\"messages\", '$[*].tool_calls'), "
            "lambda n : n > 0)) = 0",
        ),
        "At least one input message has content.",
        "Tracers that hide content keep the roles: such a call looks whole and replays as nothing.",
    ),
    Rule(
        "response_is_an_object",
        "critical",
        Never(("response",), "json_type(\"response\") NOT IN ('OBJECT', 'NULL')"),
        "The output, where there is one, is one message.",
        "Another shape means the reader misunderstood the log.",
    ),
    Rule(
        "has_response_when_ok",
        "critical",
        Never(
            ("response", "finish_reason"),
            "coalesce(json_type(\"response\"), 'NULL') = 'NULL' "
            'AND coalesce(json_array_length("tool_calls"), 0) = 0 '
            f"AND coalesce(\"finish_reason\", '') NOT IN {_NOT_TEXT_FINISHES} "
            "AND coalesce(\"operation\", '') <> 'embeddings'",
        ),
        "A call that went well has an answer, unless it ended in tool calls or was filtered.",
        "A success without an answer is an error nobody logged; it must not count as a success.",
        when=_OK,
    ),
    Rule(
        "response_not_empty",
        "warning",
        Never(
            ("response", "finish_reason"),
            "json_type(\"response\") = 'OBJECT' "
            "AND trim(coalesce(json_extract_string(\"response\", '$.content'), '')) IN ('', '[]') "
            "AND coalesce(json_array_length(\"response\", '$.tool_calls'), 0) = 0 "
            'AND coalesce(json_array_length("tool_calls"), 0) = 0 '
            f"AND coalesce(\"finish_reason\", '') NOT IN {_NOT_TEXT_FINISHES}",
        ),
        "An answer that is not a tool call has text.",
        "An empty answer may be true: it is worth a look, and worth a sample.",
        when=_OK,
    ),
    Rule(
        "tool_calls_are_a_list",
        "warning",
        Never(("tool_calls",), "json_type(\"tool_calls\") NOT IN ('ARRAY', 'NULL')"),
        "Tool calls are a list.",
        "They are not replayed yet, so another shape only warns.",
    ),
    Rule(
        "tool_calls_name_a_tool",
        "warning",
        Never(
            ("tool_calls",),
            "json_type(\"tool_calls\") = 'ARRAY' "
            "AND len(list_filter(json_extract(\"tool_calls\", '$[*]'), lambda c : "
            "coalesce(json_extract_string(c, '$.function.name'), "
            "json_extract_string(c, '$.name'), '') = '')) > 0",
        ),
        "Every tool call names its tool.",
        "Which tool was wanted is the first thing to compare.",
    ),
    Rule(
        "tool_arguments_are_json",
        "warning",
        Never(
            ("tool_calls",),
            "len(list_filter(json_extract_string(\"tool_calls\", '$[*].function.arguments'), "
            "lambda a : a <> '' AND NOT json_valid(a))) > 0",
        ),
        "Arguments of a tool call are JSON, or there are none.",
        "Broken arguments are a failure of the model that the status does not show.",
    ),
    Rule(
        "known_roles",
        "warning",
        Never(
            ("messages",),
            "len(list_filter(json_extract(\"messages\", '$[*].role'), lambda r : "
            f"left(r, 1) = '\"' AND r NOT IN {_KNOWN_ROLES})) > 0",
        ),
        "Every message has a role that chat templates know.",
        "A template may refuse the call or skip the message.",
    ),
)
