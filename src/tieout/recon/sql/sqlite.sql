-- name: kept_facts
SELECT record_key, outcome, due, changed_at, told, body
FROM tieout_recon_fact
WHERE rule = :rule AND record_key IN (SELECT value FROM json_each(:keys))

-- name: write_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, json_extract(value, '$.record_key'), json_extract(value, '$.outcome'), json_extract(value, '$.due'), json_extract(value, '$.changed_at'), json_extract(value, '$.told'), json_extract(value, '$.body')
FROM json_each(:rows)
WHERE true
ON CONFLICT (rule, record_key) DO UPDATE
SET outcome = excluded.outcome, due = excluded.due, changed_at = excluded.changed_at, told = excluded.told,
    body = excluded.body

-- name: add_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, json_extract(value, '$.record_key'), json_extract(value, '$.outcome'), json_extract(value, '$.due'), json_extract(value, '$.changed_at'), json_extract(value, '$.told'), json_extract(value, '$.body')
FROM json_each(:rows)
WHERE true
ON CONFLICT (rule, record_key) DO NOTHING
