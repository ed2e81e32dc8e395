-- name: take_in
INSERT INTO tieout_inbox (source, message_id, expires)
VALUES (:source, :message_id, {now} + :keep)
ON DUPLICATE KEY UPDATE source = IF({was_there}, source, source)

-- name: purge_inbox
DELETE FROM tieout_inbox
WHERE expires < {now}
ORDER BY expires
LIMIT :limit
