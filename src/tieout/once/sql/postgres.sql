-- name: is_at_work
SELECT EXISTS (
    SELECT 1
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint)
            = ('x' || encode(substr(:id::bytea, 1, 8), 'hex'))::bit(64)::bigint
) AS at_work
