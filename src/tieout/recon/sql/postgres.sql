-- An array, and not IN: a plan for a table that has just grown must not scan it.
-- name: kept_facts
SELECT record_key, outcome, due, changed_at, told, body
FROM tieout_recon_fact
WHERE rule = :rule AND record_key = ANY(ARRAY(SELECT json_array_elements_text(CAST(:keys AS json))))

-- The rows come as a text for each column, which takes the server half the time of JSON.
-- name: write_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT CAST(:rule AS integer), given.*
FROM (SELECT CAST(:rows AS text[]) AS one) AS texts, unnest(
    string_to_array(one[1], E'\x1e'), string_to_array(one[2], E'\x1e'),
    CAST(string_to_array(one[3], E'\x1e', '') AS bigint[]), CAST(string_to_array(one[4], E'\x1e') AS bigint[]),
    CAST(string_to_array(one[5], E'\x1e') AS integer[]), string_to_array(one[6], E'\x1e')
) AS given (record_key, outcome, due, changed_at, told, body)
ON CONFLICT (rule, record_key) DO UPDATE
SET outcome = excluded.outcome, due = excluded.due, changed_at = excluded.changed_at, told = excluded.told,
    body = excluded.body

-- Without a word on conflicts: looking for one first, and noting that there was none, is a third of what a row takes.
-- name: begin_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT CAST(:rule AS integer), given.*
FROM (SELECT CAST(:rows AS text[]) AS one) AS texts, unnest(
    string_to_array(one[1], E'\x1e'), string_to_array(one[2], E'\x1e'),
    CAST(string_to_array(one[3], E'\x1e', '') AS bigint[]), CAST(string_to_array(one[4], E'\x1e') AS bigint[]),
    CAST(string_to_array(one[5], E'\x1e') AS integer[]), string_to_array(one[6], E'\x1e')
) AS given (record_key, outcome, due, changed_at, told, body)

-- name: add_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT CAST(:rule AS integer), given.*
FROM (SELECT CAST(:rows AS text[]) AS one) AS texts, unnest(
    string_to_array(one[1], E'\x1e'), string_to_array(one[2], E'\x1e'),
    CAST(string_to_array(one[3], E'\x1e', '') AS bigint[]), CAST(string_to_array(one[4], E'\x1e') AS bigint[]),
    CAST(string_to_array(one[5], E'\x1e') AS integer[]), string_to_array(one[6], E'\x1e')
) AS given (record_key, outcome, due, changed_at, told, body)
ON CONFLICT (rule, record_key) DO NOTHING

-- A person's word on a break stands as long as the same is found. JSON has no bytes: ids and findings stand one behind
-- the other, 16 bytes each.
-- name: note_breaks
INSERT INTO tieout_recon_break
    (id, run, attempt, rule, version, record_key, outcome, detail, finding, state, first_at, last_at, closed_at, at)
SELECT substring(CAST(:ids AS bytea) FROM 16 * CAST(given.n AS integer) - 15 FOR 16), CAST(:run AS bytea),
    CAST(:attempt AS integer), CAST(:rule AS text), CAST(:version AS text), one ->> 0, one ->> 1, one ->> 2,
    substring(CAST(:findings AS bytea) FROM 16 * CAST(given.n AS integer) - 15 FOR 16), 'open', {now}, {now}, NULL,
    CAST(one ->> 3 AS bigint)
FROM json_array_elements(CAST(:rows AS json)) WITH ORDINALITY AS given (one, n)
ON CONFLICT (id) DO UPDATE
SET state = CASE
        WHEN tieout_recon_break.state IN ('settled', 'ignored') AND tieout_recon_break.finding = excluded.finding
        THEN tieout_recon_break.state ELSE 'open' END,
    run = excluded.run, attempt = excluded.attempt, version = excluded.version, outcome = excluded.outcome,
    detail = excluded.detail, finding = excluded.finding, last_at = excluded.last_at, closed_at = NULL,
    at = excluded.at
