-- One pass over landing with the checks of the suite for calls, written by hand from their
-- sentences: a column of counts, named by rule. $now is the clock of the run.
WITH doubled AS (
    SELECT request_id FROM landing GROUP BY request_id HAVING count(*) > 1
),
conflicting AS (
    SELECT DISTINCT l.request_id, l.content_digest
    FROM landing l JOIN requests r ON r.request_id = l.request_id
    WHERE r.content_digest <> l.content_digest
),
call AS (
    SELECT landing.*, status = 'ok' AS ok,
           json_type(messages) AS messages_type, json_type(response) AS response_type,
           json_extract(messages, '$[*]') AS items,
           coalesce(json_array_length(tool_calls), 0) AS num_tool_calls,
           coalesce(finish_reason, '') IN
               ('tool_calls', 'tool_use', 'function_call', 'content_filter') AS no_text
    FROM landing
)
SELECT
    count(*) FILTER (request_id IS NULL) AS has_request_id,
    count(*) FILTER (request_id IN (FROM doubled WHERE request_id IS NOT NULL))
        AS unique_request_id,
    count(*) FILTER ((request_id, content_digest) IN (FROM conflicting)) AS request_id_conflict,
    count(*) FILTER (model IS NULL) AS has_model,
    count(*) FILTER (NOT regexp_matches(model, '\S')) AS model_not_blank,
    count(*) FILTER (messages IS NULL) AS has_messages,
    count(*) FILTER (messages_type <> 'ARRAY' OR len(items) = 0 OR
        len(list_filter(items, lambda m : json_type(m) <> 'OBJECT'
            OR json_type(m, '$.role') IS DISTINCT FROM 'VARCHAR')) > 0) AS messages_are_a_list,
    count(*) FILTER (len(items) > 0 AND len(list_filter(items, lambda m :
        json_type(m) <> 'OBJECT'
        OR CASE json_type(m, '$.content')
               WHEN 'OBJECT' THEN true
               WHEN 'ARRAY' THEN json_array_length(m, '$.content') > 0
               WHEN 'VARCHAR' THEN json_extract_string(m, '$.content') <> ''
               ELSE false END
        OR coalesce(json_array_length(m, '$.tool_calls'), 0) > 0)) = 0) AS messages_have_content,
    count(*) FILTER (response_type NOT IN ('OBJECT', 'NULL')) AS response_is_an_object,
    count(*) FILTER (ok AND coalesce(response_type, 'NULL') = 'NULL' AND num_tool_calls = 0
        AND NOT no_text AND operation IS DISTINCT FROM 'embeddings') AS has_response_when_ok,
    count(*) FILTER (ok AND response_type = 'OBJECT' AND num_tool_calls = 0 AND NOT no_text
        AND trim(coalesce(json_extract_string(response, '$.content'), '')) IN ('', '[]')
        AND coalesce(json_array_length(response, '$.tool_calls'), 0) = 0) AS response_not_empty,
    count(*) FILTER (json_type(tool_calls) NOT IN ('ARRAY', 'NULL')) AS tool_calls_are_a_list,
    count(*) FILTER (json_type(tool_calls) = 'ARRAY' AND len(list_filter(
        json_extract(tool_calls, '$[*]'), lambda c : coalesce(
        json_extract_string(c, '$.function.name'), json_extract_string(c, '$.name'), '') = '')) > 0)
        AS tool_calls_name_a_tool,
    count(*) FILTER (len(list_filter(
        json_extract_string(tool_calls, '$[*].function.arguments'),
        lambda a : a <> '' AND NOT json_valid(a))) > 0) AS tool_arguments_are_json,
    count(*) FILTER (len(list_filter(items, lambda m : json_type(m, '$.role') = 'VARCHAR'
        AND json_extract_string(m, '$.role') NOT IN
            ('system', 'developer', 'user', 'assistant', 'tool', 'function'))) > 0) AS known_roles,
    count(*) FILTER (started_at > $now::TIMESTAMP + INTERVAL 300 SECOND) AS started_at_not_in_future,
    count(*) FILTER (started_at < TIMESTAMP '2015-01-01') AS started_at_not_too_old,
    count(*) FILTER (input_tokens NOT BETWEEN 0 AND 10000000) AS input_tokens_possible,
    count(*) FILTER (output_tokens NOT BETWEEN 0 AND 10000000) AS output_tokens_possible,
    count(*) FILTER (total_tokens NOT BETWEEN 0 AND 20000000) AS total_tokens_possible,
    count(*) FILTER (cached_tokens NOT BETWEEN 0 AND 10000000) AS cached_tokens_possible,
    count(*) FILTER (reasoning_tokens NOT BETWEEN 0 AND 10000000) AS reasoning_tokens_possible,
    count(*) FILTER (total_tokens::HUGEINT - input_tokens - output_tokens NOT IN (0,
        coalesce(reasoning_tokens, 0), coalesce(cached_tokens, 0),
        coalesce(reasoning_tokens, 0)::HUGEINT + coalesce(cached_tokens, 0)))
        AS total_tokens_add_up,
    count(*) FILTER (cached_tokens > input_tokens) AS cached_within_input,
    count(*) FILTER (reasoning_tokens > output_tokens) AS reasoning_within_output,
    count(*) FILTER (latency_s NOT BETWEEN 0 AND 604800) AS latency_possible,
    count(*) FILTER (ttft_s NOT BETWEEN 0 AND 604800) AS ttft_possible,
    count(*) FILTER (ttft_s > latency_s) AS ttft_within_latency,
    count(*) FILTER (status NOT IN ('ok', 'error')) AS known_status,
    count(*) FILTER (status = 'error' AND error_type IS NULL) AS error_has_type,
    count(*) FILTER (ok AND finish_reason IS NULL) AS ok_has_finish_reason,
    count(*) FILTER (ok AND finish_reason = 'stop' AND output_tokens < 1) AS text_has_output_tokens,
    count(*) FILTER (http_status NOT BETWEEN 100 AND 599) AS http_status_possible,
    count(*) FILTER (ok AND http_status > 399) AS ok_has_no_http_error,
    count(*) FILTER (started_at IS NULL) AS has_started_at,
    count(*) FILTER (status IS NULL) AS has_status,
    count(*) FILTER (retries NOT BETWEEN 0 AND 1000) AS retries_possible,
    count(*) FILTER (cost_usd NOT BETWEEN 0 AND 10000) AS cost_possible
FROM call
