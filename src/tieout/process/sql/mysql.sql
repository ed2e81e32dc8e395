-- Nothing returns rows from an UPDATE here, and MySQL's INSERT does not either: what a statement hands to LAST_INSERT_ID
-- comes back with the server's word that it was done, and is the one row of its result.

-- name: insert_process
INSERT INTO tieout_process (
    id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, parent, created, changed
)
VALUES (
    :id, :type, :owner, :request_key, :version, :state, :status, 1, {now} + :due_in, :lane, :params, :snapshots, :calls,
    '[]', :result, NULL, 0, 0, 0, {now} + :deadline_in, :parent, LAST_INSERT_ID({now}),
    {now}
)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)

-- Locking: at REPEATABLE READ a plain read would not see a row that was committed after the snapshot was taken.
-- name: read_winner
SELECT id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now
FROM tieout_process
WHERE id = :id
FOR UPDATE

-- name: lanes_in_use
SELECT DISTINCT lane
FROM tieout_process
WHERE lane IS NOT NULL
ORDER BY lane

-- Of one lane, so that the index gives the rows in their order and no more of them are locked than claimed. The rows as
-- they are once they are claimed: `lease_process` makes that true, in the same transaction.
-- name: claim_processes
SELECT id, type, owner, request_key, version, state, status, fence + 1 AS fence, {now} + :lease AS due, lane, params,
    snapshots, calls, trail, result, note, attempts + 1 AS attempts, errors, duplicates, deadline, wish,
    parent, created, changed, {now} AS now
FROM tieout_process
WHERE lane = JSON_UNQUOTE(JSON_EXTRACT(:lanes, '$[0]'))
    AND due <= {now} AND due >= :low
    AND EXISTS (
        SELECT 1
        FROM JSON_TABLE(:types, '$[*]' COLUMNS (n FOR ORDINALITY, type VARCHAR(63) PATH '$')) AS known
        JOIN JSON_TABLE(:versions, '$[*]' COLUMNS (n FOR ORDINALITY, version INT PATH '$')) AS newest
            ON newest.n = known.n
        WHERE known.type = tieout_process.type AND newest.version >= tieout_process.version
    )
ORDER BY due
LIMIT :share
FOR UPDATE SKIP LOCKED

-- name: lanes_overdue
SELECT lane, count(*) AS processes, min(due) AS oldest
FROM tieout_process
WHERE due <= {now} - :age
    AND type IN (SELECT known.type FROM JSON_TABLE(:types, '$[*]' COLUMNS (type VARCHAR(63) PATH '$')) AS known)
GROUP BY lane

-- name: purge_tombstones
DELETE FROM tieout_process
WHERE created < {now} - :age AND changed < {now} - :age AND status = 'retired'
ORDER BY created
LIMIT :limit

-- name: keep_stray
INSERT INTO tieout_stray (call_key, digest, at, body)
SELECT :call_key, :digest, {now}, :body
FROM DUAL
WHERE (SELECT count(*) FROM tieout_stray) < :limit
ON DUPLICATE KEY UPDATE call_key = IF({was_there}, tieout_stray.call_key, tieout_stray.call_key)

-- name: add_child
INSERT INTO tieout_child (parent, child, n, type, params, state)
VALUES (:parent, :child, :n, :type, :params, 'pending')
ON DUPLICATE KEY UPDATE parent = IF({was_there}, parent, parent)

-- name: fold_children
UPDATE tieout_child
JOIN tieout_process AS p ON p.id = tieout_child.child
SET tieout_child.state = 'ended', tieout_child.final = p.state, tieout_child.result = p.result
WHERE tieout_child.parent = :parent AND tieout_child.state = 'started' AND p.status IN ('final', 'retired')

-- name: keep_recall
INSERT INTO tieout_recall (process, name, value)
VALUES (:process, :name, :value)
ON DUPLICATE KEY UPDATE process = IF({was_there}, process, process)
