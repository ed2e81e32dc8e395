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

-- name: begin_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, json_extract(value, '$.record_key'), json_extract(value, '$.outcome'), json_extract(value, '$.due'), json_extract(value, '$.changed_at'), json_extract(value, '$.told'), json_extract(value, '$.body')
FROM json_each(:rows)

-- name: add_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, json_extract(value, '$.record_key'), json_extract(value, '$.outcome'), json_extract(value, '$.due'), json_extract(value, '$.changed_at'), json_extract(value, '$.told'), json_extract(value, '$.body')
FROM json_each(:rows)
WHERE true
ON CONFLICT (rule, record_key) DO NOTHING

-- A person's word on a break stands as long as the same is found. JSON has no bytes: ids and findings stand one behind
-- the other, 16 bytes each.
-- name: note_breaks
INSERT INTO tieout_recon_break
    (id, run, attempt, rule, version, record_key, outcome, detail, finding, state, first_at, last_at, closed_at, at)
SELECT substr(:ids, 16 * key + 1, 16), :run, :attempt, :rule, :version, json_extract(value, '$[0]'),
    json_extract(value, '$[1]'), json_extract(value, '$[2]'), substr(:findings, 16 * key + 1, 16), 'open', {now}, {now},
    NULL, json_extract(value, '$[3]')
FROM json_each(:rows)
WHERE true
ON CONFLICT (id) DO UPDATE
SET state = CASE
        WHEN tieout_recon_break.state IN ('settled', 'ignored') AND tieout_recon_break.finding = excluded.finding
        THEN tieout_recon_break.state ELSE 'open' END,
    run = excluded.run, attempt = excluded.attempt, version = excluded.version, outcome = excluded.outcome,
    detail = excluded.detail, finding = excluded.finding, last_at = excluded.last_at, closed_at = NULL,
    at = excluded.at
