-- name: begin_run
INSERT INTO tieout_recon_run (id, rule, version, since, until, state, attempt, totals, started, ended, seen_at)
VALUES (:id, :rule, :version, :since, :until, 'running', 1, NULL, {now}, NULL, {now})
ON CONFLICT (id) DO UPDATE
SET version = excluded.version, state = 'running', attempt = tieout_recon_run.attempt + 1, totals = NULL,
    started = excluded.started, ended = NULL, progress = NULL, note = NULL,
    seen_at = excluded.started, aborted = 0

-- name: read_run
SELECT id, rule, version, since, until, state, attempt, totals, started, ended, progress, note, seen_at, aborted, {now} AS asked_at
FROM tieout_recon_run
WHERE id = :id

-- name: list_runs
SELECT id, rule, version, since, until, state, attempt, totals, started, ended, progress, note, seen_at, aborted, {now} AS asked_at
FROM tieout_recon_run
WHERE (:rule = '' OR rule = :rule) AND (:state = '' OR state = :state)
    AND (started < :before OR (started = :before AND id < :before_id))
ORDER BY started DESC, id DESC
LIMIT :limit

-- name: tell_run
UPDATE tieout_recon_run
SET progress = :progress, seen_at = {now}
WHERE id = :id AND attempt = :attempt AND state = 'running'

-- name: abort_run
UPDATE tieout_recon_run
SET aborted = 1
WHERE id = :id AND state = 'running'

-- name: end_aborted_run
UPDATE tieout_recon_run
SET state = 'aborted', ended = {now}
WHERE id = :id AND attempt = :attempt AND state = 'running' AND aborted = 1

-- name: end_run
UPDATE tieout_recon_run
SET state = :state, totals = :totals, note = :note, ended = {now}
WHERE id = :id AND attempt = :attempt AND state = 'running'

-- A sample has not looked at the keys of another version's: of these only a comparison of all keys can tell.
-- name: close_breaks
UPDATE tieout_recon_break
SET state = 'closed', closed_at = {now}
WHERE run = :run AND attempt < :attempt AND state = 'open' AND (:is_whole = 1 OR version = :version)

-- name: breaks_of
SELECT id, record_key, outcome, detail, state, first_at, last_at, closed_at, rule, actor, note, process
FROM tieout_recon_break
WHERE run = :run AND id > :after AND (:state = '' OR state = :state) AND (:outcome = '' OR outcome = :outcome)
ORDER BY id
LIMIT :limit

-- name: due_facts
SELECT record_key
FROM tieout_recon_fact
WHERE rule = :rule AND due IS NOT NULL AND due <= :until
ORDER BY due
LIMIT :limit

-- name: count_facts
SELECT outcome, count(*)
FROM tieout_recon_fact
WHERE rule = :rule
GROUP BY outcome

-- What has become of these keys meanwhile was not told: their grace begins anew.
-- name: doubt_facts
UPDATE tieout_recon_fact
SET outcome = 'doubtful', due = 0, body = :body, changed_at = {now}
WHERE rule = :rule AND (told = 1 OR due IS NOT NULL)

-- name: drop_facts
DELETE FROM tieout_recon_fact
WHERE rule = :rule AND told = 0 AND due IS NULL

-- name: doubt_fact
UPDATE tieout_recon_fact
SET outcome = 'doubtful', due = 0
WHERE rule = :rule AND record_key = :record_key

-- name: old_facts
SELECT max(chunk.record_key) AS last, count(*) AS rows_seen
FROM (
    SELECT record_key FROM tieout_recon_fact WHERE rule = :rule AND record_key > :after ORDER BY record_key LIMIT :limit
) AS chunk

-- name: forget_facts
DELETE FROM tieout_recon_fact
WHERE rule = :rule AND record_key > :after AND record_key <= :last AND due IS NULL AND told = 0 AND changed_at < :before

-- name: add_feed
INSERT INTO tieout_recon_feed (name, checkpoint, fence, watermark, clock_offset, heard_at, gap)
VALUES (:name, NULL, 0, 0, 0, {now}, NULL)
ON CONFLICT (name) DO NOTHING

-- name: read_feeds
SELECT name, checkpoint, fence, watermark, clock_offset, heard_at, gap, {now} AS asked_at
FROM tieout_recon_feed
ORDER BY name

-- name: pass_feed
UPDATE tieout_recon_feed
SET checkpoint = :checkpoint, fence = fence + 1, watermark = :watermark, clock_offset = :clock_offset, heard_at = {now}
WHERE name = :name AND fence = :fence

-- name: note_gap
UPDATE tieout_recon_feed
SET gap = :gap
WHERE name = :name

-- name: read_rules
SELECT name, number, version, phase, feeds, activated_at, totals
FROM tieout_recon_rule
ORDER BY number

-- name: activate_rule
INSERT INTO tieout_recon_rule (name, number, version, phase, feeds, activated_at, totals)
VALUES (:name, :number, :version, 'baseline', :feeds, {now}, :totals)
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, phase = 'baseline', feeds = excluded.feeds, activated_at = excluded.activated_at,
    totals = excluded.totals

-- name: go_live
UPDATE tieout_recon_rule
SET phase = 'live'
WHERE name = :name AND version = :version AND phase = 'baseline'

-- name: count_rule
UPDATE tieout_recon_rule
SET totals = :totals
WHERE name = :name

-- name: mend_break
UPDATE tieout_recon_break
SET state = 'closed', closed_at = {now}
WHERE id = :id AND state IN ('open', 'ignored')

-- name: breaks_of_rule
SELECT id, record_key, outcome, detail, state, first_at, last_at, closed_at, rule, actor, note, process
FROM tieout_recon_break
WHERE (:rule = '' OR rule = :rule) AND id > :after AND (:state = '' OR state = :state)
    AND (:outcome = '' OR outcome = :outcome)
ORDER BY id
LIMIT :limit

-- name: read_break
SELECT id, record_key, outcome, detail, state, first_at, last_at, closed_at, rule, actor, note, process
FROM tieout_recon_break
WHERE id = :id

-- A break that was stored without its time is of the period that it was found in last.
-- name: count_period
SELECT state, outcome, version, count(*)
FROM tieout_recon_break
WHERE rule = :rule AND ((at >= :since AND at < :until) OR (at IS NULL AND run = :run))
GROUP BY state, outcome, version

-- name: breaks_of_period
SELECT id, record_key, outcome, detail, state, first_at, last_at, closed_at, rule, actor, note, process
FROM tieout_recon_break
WHERE rule = :rule AND ((at >= :since AND at < :until) OR (at IS NULL AND run = :run))
    AND id > :after AND (:state = '' OR state = :state)
ORDER BY id
LIMIT :limit

-- name: count_earlier
SELECT outcome, count(*)
FROM tieout_recon_break
WHERE rule = :rule AND state = 'open' AND at < :since
GROUP BY outcome

-- name: count_unplaced
SELECT count(*)
FROM tieout_recon_break
WHERE rule = :rule AND state = 'open' AND at IS NULL AND run <> :run

-- name: decide_break
UPDATE tieout_recon_break
SET state = :state, actor = :actor, note = :note, closed_at = {now}
WHERE id = :id AND state IN ('open', 'ignored', 'settled')

-- name: open_by_outcome
SELECT outcome, count(*)
FROM tieout_recon_break
WHERE rule = :rule AND state = 'open'
GROUP BY outcome

-- name: repair_break
UPDATE tieout_recon_break
SET process = :process
WHERE id = :id AND state = 'open'

-- name: count_breaks
SELECT count(*)
FROM tieout_recon_break
WHERE rule = :rule AND state = 'open' AND outcome = :outcome
