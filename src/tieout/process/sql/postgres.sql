-- name: claim_processes
WITH found AS (
    SELECT due.id
    FROM unnest(:lanes::text[]) AS wanted (lane)
    CROSS JOIN LATERAL (
        SELECT p.id
        FROM tieout_process AS p
        WHERE p.lane = wanted.lane AND p.due <= {now} AND p.due >= :low
            AND EXISTS (
                SELECT 1 FROM unnest(:types::text[], :versions::int[]) AS known (type, version)
                WHERE known.type = p.type AND known.version >= p.version
            )
        ORDER BY p.due
        LIMIT :share
        FOR UPDATE OF p SKIP LOCKED
    ) AS due
)
UPDATE tieout_process AS p
SET due = {now} + :lease, fence = p.fence + 1, attempts = p.attempts + 1
FROM found
WHERE p.id = found.id
RETURNING p.id, p.type, p.owner, p.request_key, p.version, p.state, p.status, p.fence, p.due, p.lane, p.params,
    p.snapshots, p.calls, p.trail, p.result, p.note, p.attempts, p.errors, p.duplicates, p.deadline, p.wish,
    p.parent, p.created, p.changed, {now} AS now

-- name: lanes_overdue
SELECT lane, count(*) AS processes, min(due) AS oldest
FROM tieout_process
WHERE due <= {now} - :age AND type = ANY (:types::text[])
GROUP BY lane
