-- The lock says who is at work on a key. It belongs to the session, and the driver gives it back when the transaction has
-- ended. Nothing but that rests on it: the unique id still decides when the answer is kept. Locks are the server's, for
-- all its databases alike.

-- name: claim_key
SELECT GET_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(:id))), 0) AS free,
    EXISTS (SELECT 1 FROM tieout_once WHERE id = :id) AS kept

-- name: is_at_work
SELECT IS_USED_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(:id)))) IS NOT NULL AS at_work

-- name: keep_answer
INSERT INTO tieout_once (
    id, scope, owner, request_key, fingerprint, answer, status, headers, body, created, expires
) VALUES (
    :id, :scope, :owner, :request_key, :fingerprint, :answer, :status, :headers, :body, {now}, {now} + :keep
)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)

-- name: purge_answers
DELETE FROM tieout_once
WHERE expires < {now}
ORDER BY expires
LIMIT :limit
