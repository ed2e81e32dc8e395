-- The lock says who is at work on a key, and goes with its transaction. Nothing but that rests on it: the statement
-- sees the table as it was just before the lock was had, so the unique id still decides when the answer is kept.

-- name: claim_key
SELECT pg_try_advisory_xact_lock(('x' || encode(substr(:id::bytea, 1, 8), 'hex'))::bit(64)::bigint) AS free,
    EXISTS (SELECT 1 FROM tieout_once WHERE id = :id) AS kept

-- name: is_at_work
SELECT EXISTS (
    SELECT 1
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint)
            = ('x' || encode(substr(:id::bytea, 1, 8), 'hex'))::bit(64)::bigint
) AS at_work
