-- name: insert_process
INSERT INTO tieout_process (
    id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, parent, created, changed
)
VALUES (
    :id, :type, :owner, :request_key, :version, :state, :status, 1, {now} + :due_in, :lane, :params, :snapshots, :calls,
    '[]', :result, NULL, 0, 0, 0, {now} + :deadline_in, :parent, {now},
    {now}
)
ON CONFLICT DO NOTHING
RETURNING created

-- name: read_process
SELECT id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now
FROM tieout_process
WHERE id = :id

-- Of a transaction whose snapshot may be older than the row. PostgreSQL has then refused the insert already (40001).
-- name: read_winner
SELECT id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now
FROM tieout_process
WHERE id = :id

-- name: save_process
UPDATE tieout_process
SET state = :state, status = :status, fence = :fence + 1, due = {now} + :due_in, lane = :lane, params = :params,
    snapshots = :snapshots, calls = :calls, trail = :trail, result = :result, note = :note, attempts = :attempts,
    errors = :errors, wish = :wish, changed = {now}
WHERE id = :id AND fence = :fence

-- name: lanes_in_use
WITH RECURSIVE found (lane) AS (
    SELECT min(lane)
    FROM tieout_process
    WHERE due IS NOT NULL
    UNION ALL
    SELECT (SELECT min(p.lane) FROM tieout_process AS p WHERE p.due IS NOT NULL AND p.lane > found.lane)
    FROM found
    WHERE found.lane IS NOT NULL
)
SELECT lane
FROM found
WHERE lane IS NOT NULL

-- name: server_time
SELECT {now} AS now

-- name: lanes_due
SELECT used.lane
FROM (SELECT DISTINCT lane FROM tieout_process WHERE lane IS NOT NULL) AS used
WHERE EXISTS (SELECT 1 FROM tieout_process AS p WHERE p.lane = used.lane AND p.due <= {now} AND p.due >= :low)

-- name: lease_process
UPDATE tieout_process
SET due = :due, fence = fence + 1, attempts = attempts + 1
WHERE id = :id

-- name: postpone_process
UPDATE tieout_process
SET due = {now} + :due_in, note = :note
WHERE id = :id AND fence = :fence AND status = 'running'

-- name: count_duplicate
UPDATE tieout_process
SET duplicates = duplicates + 1
WHERE id = :id

-- name: hasten_process
UPDATE tieout_process
SET due = {now}
WHERE id = :id AND status = 'running' AND due > {now}

-- name: list_processes
SELECT id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now
FROM tieout_process
WHERE created >= :since
    AND (created < :before OR (created = :before AND id < :before_id))
    AND owner >= :owner_from AND owner < :owner_to
    AND (:type = '' OR type = :type)
    AND (:state = '' OR state = :state)
    AND (:status = '' OR status = :status)
    AND (:lane = '' OR lane = :lane)
    AND (:note = '' OR note LIKE :note ESCAPE '!')
ORDER BY created DESC, id DESC
LIMIT :limit

-- name: match_processes
SELECT id, created, wish IS NOT NULL AS is_wished
FROM tieout_process
WHERE created >= :since
    AND (created < :before OR (created = :before AND id < :before_id))
    AND owner >= :owner_from AND owner < :owner_to
    AND (:type = '' OR type = :type)
    AND (:state = '' OR state = :state)
    AND (:status = '' OR status = :status OR status = :or_status)
    AND (:lane = '' OR lane = :lane)
    AND (:note = '' OR note LIKE :note ESCAPE '!')
ORDER BY created DESC, id DESC
LIMIT :limit

-- name: count_matching
SELECT count(*) AS processes
FROM tieout_process
WHERE created >= :since
    AND (created < :before OR (created = :before AND id < :before_id))
    AND owner >= :owner_from AND owner < :owner_to
    AND (:type = '' OR type = :type)
    AND (:state = '' OR state = :state)
    AND (:status = '' OR status = :status OR status = :or_status)
    AND (:lane = '' OR lane = :lane)
    AND (:note = '' OR note LIKE :note ESCAPE '!')

-- name: count_processes
SELECT type, state, status, count(*) AS processes
FROM tieout_process
GROUP BY type, state, status
ORDER BY type, state, status

-- name: stored_states
SELECT type, state, status, max(version) AS version, count(*) AS processes
FROM tieout_process
WHERE status IN ('running', 'held')
GROUP BY type, state, status
ORDER BY type, state, status

-- name: finals_to_retire
SELECT id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now
FROM tieout_process
WHERE created < {now} - :age AND changed < {now} - :age AND status = 'final' AND created >= :since
ORDER BY created
LIMIT :limit

-- name: purge_tombstones
DELETE FROM tieout_process
WHERE id IN (
    SELECT id FROM tieout_process
    WHERE created < {now} - :age AND changed < {now} - :age AND status = 'retired'
    ORDER BY created
    LIMIT :limit
)

-- name: keep_stray
INSERT INTO tieout_stray (call_key, digest, at, body)
SELECT :call_key, :digest, {now}, :body
WHERE (SELECT count(*) FROM tieout_stray) < :limit
ON CONFLICT DO NOTHING

-- name: strays_of
SELECT call_key, digest, at, body
FROM tieout_stray
WHERE call_key = :call_key
ORDER BY at

-- name: forget_strays
DELETE FROM tieout_stray
WHERE at < {now} - :age

-- name: add_child
INSERT INTO tieout_child (parent, child, n, type, params, state)
VALUES (:parent, :child, :n, :type, :params, 'pending')
ON CONFLICT DO NOTHING

-- name: pending_children
SELECT child, type, params
FROM tieout_child
WHERE parent = :parent AND state = 'pending'
ORDER BY n
LIMIT :limit

-- name: child_started
UPDATE tieout_child
SET state = 'started'
WHERE parent = :parent AND child = :child AND state = 'pending'

-- name: child_refused
UPDATE tieout_child
SET state = 'ended', final = 'refused', result = :result
WHERE parent = :parent AND child = :child AND state = 'pending'

-- name: fold_children
UPDATE tieout_child
SET state = 'ended', final = p.state, result = p.result
FROM tieout_process AS p
WHERE tieout_child.parent = :parent AND tieout_child.state = 'started'
    AND p.id = tieout_child.child AND p.status IN ('final', 'retired')

-- name: open_children
SELECT count(*) AS children
FROM tieout_child
WHERE parent = :parent AND state <> 'ended'

-- name: ended_children
SELECT child, type, final, result
FROM tieout_child
WHERE parent = :parent AND state = 'ended'
ORDER BY n

-- name: forget_children
DELETE FROM tieout_child
WHERE parent = :parent

-- name: recall
SELECT value
FROM tieout_recall
WHERE process = :process AND name = :name

-- name: keep_recall
INSERT INTO tieout_recall (process, name, value)
VALUES (:process, :name, :value)
ON CONFLICT DO NOTHING

-- name: forget_recalls
DELETE FROM tieout_recall
WHERE process = :process

-- name: add_job
INSERT INTO tieout_job (id, command, filter, actor, reason, state, tally, aborted, created, changed)
VALUES (:id, :command, :filter, :actor, :reason, 'running', :tally, 0, {now}, {now})

-- name: read_job
SELECT id, command, filter, actor, reason, state, tally, aborted, created, changed, {now} AS now
FROM tieout_job
WHERE id = :id

-- name: list_jobs
SELECT id, command, filter, actor, reason, state, tally, aborted, created, changed, {now} AS now
FROM tieout_job
WHERE created < :before OR (created = :before AND id < :before_id)
ORDER BY created DESC, id DESC
LIMIT :limit

-- name: tell_job
UPDATE tieout_job
SET state = :state, tally = :tally, changed = {now}
WHERE id = :id AND state = 'running'

-- name: abort_job
UPDATE tieout_job
SET aborted = 1
WHERE id = :id AND state = 'running'
