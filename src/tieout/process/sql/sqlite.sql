-- name: claim_processes
UPDATE tieout_process
SET due = {now} + :lease, fence = fence + 1, attempts = attempts + 1
WHERE id IN (
    SELECT p.id
    FROM json_each(:lanes) AS wanted
    CROSS JOIN tieout_process AS p ON p.id IN (
        SELECT q.id
        FROM tieout_process AS q
        WHERE q.lane = wanted.value AND q.due <= {now} AND q.due >= :low
            AND EXISTS (
                SELECT 1
                FROM json_each(:types) AS type JOIN json_each(:versions) AS version ON version.key = type.key
                WHERE type.value = q.type AND version.value >= q.version
            )
        ORDER BY q.due
        LIMIT :share
    )
)
RETURNING id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail,
    result, note, attempts, errors, duplicates, deadline, wish, parent, created, changed,
    {now} AS now

-- name: lanes_overdue
SELECT lane, count(*) AS processes, min(due) AS oldest
FROM tieout_process
WHERE due <= {now} - :age AND type IN (SELECT value FROM json_each(:types))
GROUP BY lane
