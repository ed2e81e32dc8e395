-- name: begin_run
INSERT INTO tieout_recon_run (id, rule, version, since, until, state, attempt, totals, started, ended, seen_at)
VALUES (:id, :rule, :version, :since, :until, 'running', 1, NULL, {now}, NULL, {now})
ON DUPLICATE KEY UPDATE
    version = VALUES(version), state = 'running', attempt = attempt + 1, totals = NULL,
    started = VALUES(started), ended = NULL, progress = NULL, note = NULL,
    seen_at = VALUES(started), aborted = 0

-- A person's word on a break stands as long as the same is found. JSON has no bytes: ids and findings stand one behind
-- the other, 16 bytes each.
-- name: note_breaks
INSERT INTO tieout_recon_break
    (id, run, attempt, rule, version, record_key, outcome, detail, finding, state, first_at, last_at, closed_at, at)
SELECT SUBSTRING(:ids, 16 * given.n - 15, 16), :run, :attempt, :rule, :version, given.record_key, given.outcome,
    given.detail, SUBSTRING(:findings, 16 * given.n - 15, 16), 'open', {now}, {now}, NULL, given.at
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
    n FOR ORDINALITY, record_key LONGTEXT CHARACTER SET utf8mb4 PATH '$[0]', outcome VARCHAR(16) PATH '$[1]',
    detail LONGTEXT CHARACTER SET utf8mb4 PATH '$[2]', at BIGINT PATH '$[3]'
)) AS given
ON DUPLICATE KEY UPDATE
    state = IF(state IN ('settled', 'ignored') AND finding = VALUES(finding), state, 'open'),
    run = VALUES(run), attempt = VALUES(attempt), version = VALUES(version), outcome = VALUES(outcome),
    detail = VALUES(detail), finding = VALUES(finding), last_at = VALUES(last_at), closed_at = NULL, at = VALUES(at)

-- name: kept_facts
SELECT record_key, outcome, due, changed_at, told, body
FROM tieout_recon_fact
WHERE rule = :rule AND record_key IN (
    SELECT wanted.k COLLATE utf8mb4_bin
    FROM JSON_TABLE(:keys, '$[*]' COLUMNS (k VARCHAR(700) CHARACTER SET utf8mb4 PATH '$')) AS wanted
)

-- JSON_TABLE gives no text for an array, so that here the body is text already.
-- name: write_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, given.record_key, given.outcome, given.due, given.changed_at, given.told, given.body
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
    record_key VARCHAR(700) CHARACTER SET utf8mb4 PATH '$.record_key', outcome VARCHAR(16) PATH '$.outcome', due BIGINT PATH '$.due',
    changed_at BIGINT PATH '$.changed_at', told INT PATH '$.told', body LONGTEXT CHARACTER SET utf8mb4 PATH '$.body'
)) AS given
ON DUPLICATE KEY UPDATE
    outcome = VALUES(outcome), due = VALUES(due), changed_at = VALUES(changed_at), told = VALUES(told),
    body = VALUES(body)

-- name: begin_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, given.record_key, given.outcome, given.due, given.changed_at, given.told, given.body
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
    record_key VARCHAR(700) CHARACTER SET utf8mb4 PATH '$.record_key', outcome VARCHAR(16) PATH '$.outcome', due BIGINT PATH '$.due',
    changed_at BIGINT PATH '$.changed_at', told INT PATH '$.told', body LONGTEXT CHARACTER SET utf8mb4 PATH '$.body'
)) AS given

-- name: add_facts
INSERT INTO tieout_recon_fact (rule, record_key, outcome, due, changed_at, told, body)
SELECT :rule, given.record_key, given.outcome, given.due, given.changed_at, given.told, given.body
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
    record_key VARCHAR(700) CHARACTER SET utf8mb4 PATH '$.record_key', outcome VARCHAR(16) PATH '$.outcome', due BIGINT PATH '$.due',
    changed_at BIGINT PATH '$.changed_at', told INT PATH '$.told', body LONGTEXT CHARACTER SET utf8mb4 PATH '$.body'
)) AS given
ON DUPLICATE KEY UPDATE rule = IF({was_there}, tieout_recon_fact.rule, tieout_recon_fact.rule)

-- name: add_feed
INSERT INTO tieout_recon_feed (name, checkpoint, fence, watermark, clock_offset, heard_at, gap)
VALUES (:name, NULL, 0, 0, 0, {now}, NULL)
ON DUPLICATE KEY UPDATE name = IF({was_there}, name, name)

-- name: activate_rule
INSERT INTO tieout_recon_rule (name, number, version, phase, feeds, activated_at, totals)
VALUES (:name, :number, :version, 'baseline', :feeds, {now}, :totals)
ON DUPLICATE KEY UPDATE
    version = VALUES(version), phase = 'baseline', feeds = VALUES(feeds), activated_at = VALUES(activated_at),
    totals = VALUES(totals)
