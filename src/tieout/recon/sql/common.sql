-- name: begin_run
INSERT INTO tieout_recon_run (id, rule, version, since, until, state, attempt, totals, started, ended)
VALUES (:id, :rule, :version, :since, :until, 'running', 1, NULL, {now}, NULL)
ON CONFLICT (id) DO UPDATE
SET version = excluded.version, state = 'running', attempt = tieout_recon_run.attempt + 1, totals = NULL,
    started = excluded.started, ended = NULL

-- name: read_run
SELECT id, rule, version, since, until, state, attempt, totals, started, ended
FROM tieout_recon_run
WHERE id = :id

-- name: list_runs
SELECT id, rule, version, since, until, state, attempt, totals, started, ended
FROM tieout_recon_run
WHERE (:rule = '' OR rule = :rule) AND started < :before
ORDER BY started DESC
LIMIT :limit

-- name: end_run
UPDATE tieout_recon_run
SET state = :state, totals = :totals, ended = {now}
WHERE id = :id AND attempt = :attempt AND state = 'running'

-- name: note_break
INSERT INTO tieout_recon_break
    (id, run, attempt, rule, version, record_key, outcome, detail, state, first_at, last_at, closed_at)
VALUES (:id, :run, :attempt, :rule, :version, :record_key, :outcome, :detail, 'open', {now}, {now}, NULL)
ON CONFLICT (id) DO UPDATE
SET run = excluded.run, attempt = excluded.attempt, version = excluded.version, outcome = excluded.outcome,
    detail = excluded.detail, state = 'open', last_at = excluded.last_at, closed_at = NULL

-- name: close_breaks
UPDATE tieout_recon_break
SET state = 'closed', closed_at = {now}
WHERE run = :run AND attempt < :attempt AND state = 'open'

-- name: breaks_of
SELECT id, record_key, outcome, detail, state, first_at, last_at, closed_at
FROM tieout_recon_break
WHERE run = :run AND id > :after AND (:state = '' OR state = :state) AND (:outcome = '' OR outcome = :outcome)
ORDER BY id
LIMIT :limit
