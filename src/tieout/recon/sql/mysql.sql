-- name: begin_run
INSERT INTO tieout_recon_run (id, rule, version, since, until, state, attempt, totals, started, ended)
VALUES (:id, :rule, :version, :since, :until, 'running', 1, NULL, {now}, NULL)
ON DUPLICATE KEY UPDATE
    version = VALUES(version), state = 'running', attempt = attempt + 1, totals = NULL,
    started = VALUES(started), ended = NULL

-- name: note_break
INSERT INTO tieout_recon_break
    (id, run, attempt, rule, version, record_key, outcome, detail, state, first_at, last_at, closed_at)
VALUES (:id, :run, :attempt, :rule, :version, :record_key, :outcome, :detail, 'open', {now}, {now}, NULL)
ON DUPLICATE KEY UPDATE
    run = VALUES(run), attempt = VALUES(attempt), version = VALUES(version), outcome = VALUES(outcome),
    detail = VALUES(detail), state = 'open', last_at = VALUES(last_at), closed_at = NULL
