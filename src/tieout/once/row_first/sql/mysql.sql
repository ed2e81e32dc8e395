-- The lock says who is at work on a key. It belongs to the session, and the driver gives it back when the transaction has
-- ended. Nothing but that rests on it: the row does, which is there from the first statement on. Locks are the server's,
-- for all its databases alike. Whoever knows which database a session is in gives the lock's name, which costs the server
-- less than to make it.

-- name: begin_row
INSERT INTO tieout_once (id, scope, owner, request_key, fingerprint, answer, created, expires)
SELECT :id, :scope, :owner, :request_key, :fingerprint, '', {now}, {now} + :keep
FROM DUAL
WHERE GET_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(:id))), 0)
ON DUPLICATE KEY UPDATE id = IF({was_there}, tieout_once.id, tieout_once.id)

-- name: begin_named_row
INSERT INTO tieout_once (id, scope, owner, request_key, fingerprint, answer, created, expires)
SELECT :id, :scope, :owner, :request_key, :fingerprint, '', {now}, {now} + :keep
FROM DUAL
WHERE GET_LOCK(:lock, 0)
ON DUPLICATE KEY UPDATE id = IF({was_there}, tieout_once.id, tieout_once.id)

-- name: is_mine
SELECT IS_USED_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(:id)))) = CONNECTION_ID() AS mine

-- name: give_answer
UPDATE tieout_once SET answer = :answer WHERE id = :id

-- name: give_response
UPDATE tieout_once
SET answer = NULL, status = :status, headers = :headers, body = :body
WHERE id = :id
