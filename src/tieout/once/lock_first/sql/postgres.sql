-- The lock says who is at work on a key, and goes with its transaction. Nothing but that rests on it: the statement
-- sees the table as it was just before the lock was had, so the unique id still decides when the answer is kept.

-- name: claim_key
SELECT pg_try_advisory_xact_lock(('x' || encode(substr(:id::bytea, 1, 8), 'hex'))::bit(64)::bigint) AS free,
    EXISTS (SELECT 1 FROM tieout_once WHERE id = :id) AS kept
