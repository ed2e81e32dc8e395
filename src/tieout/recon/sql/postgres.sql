-- An array, and not IN: a plan for a table that has just grown must not scan it.
-- name: kept_facts
SELECT record_key, outcome, due, changed_at, told, body
FROM tieout_recon_fact
WHERE rule = :rule AND record_key = ANY(ARRAY(SELECT json_array_elements_text(CAST(:keys AS json))))

-- name: write_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT CAST(:rule AS integer), given.*
FROM json_to_recordset(CAST(:rows AS json))
    AS given (record_key text, outcome text, due bigint, changed_at bigint, told integer, body text)
ON CONFLICT (rule, record_key) DO UPDATE
SET outcome = excluded.outcome, due = excluded.due, changed_at = excluded.changed_at, told = excluded.told,
    body = excluded.body

-- name: add_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT CAST(:rule AS integer), given.*
FROM json_to_recordset(CAST(:rows AS json))
    AS given (record_key text, outcome text, due bigint, changed_at bigint, told integer, body text)
ON CONFLICT (rule, record_key) DO NOTHING
