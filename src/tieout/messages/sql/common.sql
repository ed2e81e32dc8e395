-- name: take_in
INSERT INTO tieout_inbox (source, message_id, expires)
VALUES (:source, :message_id, {now} + :keep)
ON CONFLICT DO NOTHING

-- name: is_known
SELECT 1 AS known
FROM tieout_inbox
WHERE source = :source AND message_id = :message_id

-- name: purge_inbox
DELETE FROM tieout_inbox
WHERE (source, message_id) IN (
    SELECT source, message_id FROM tieout_inbox
    WHERE expires < {now}
    ORDER BY expires
    LIMIT :limit
)
