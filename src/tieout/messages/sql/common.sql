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

-- name: add_message
INSERT INTO tieout_outbox (message_id, channel, topic, message_key, headers, body, created, due, attempts)
VALUES (:message_id, :channel, :topic, :message_key, :headers, :body, {now}, {now}, 0)

-- What is not due yet holds back what was written after it under the same key. `previous` stands before a message in
-- its key's queue: it is due as well, but perhaps later than this one, and then it may not be among the first.
-- name: due_messages
SELECT o.id, o.message_id, o.topic, o.message_key, o.headers, o.body, o.created, o.attempts,
    (
        SELECT max(p.id)
        FROM tieout_outbox AS p
        WHERE p.channel = o.channel AND p.message_key = o.message_key AND p.id < o.id AND length(o.message_key) > 0
    ) AS previous
FROM tieout_outbox AS o
WHERE o.channel = :channel AND o.due <= {now}
    AND (length(o.message_key) = 0 OR NOT EXISTS (
        SELECT 1
        FROM tieout_outbox AS e
        WHERE e.channel = o.channel AND e.message_key = o.message_key AND e.id < o.id AND e.due > {now}
    ))
ORDER BY o.due, o.id
LIMIT :limit

-- name: first_messages
SELECT id, message_id, topic, message_key, headers, body, created, attempts
FROM tieout_outbox
WHERE channel = :channel AND message_key = :message_key AND id <= :last
ORDER BY id
LIMIT :limit

-- name: delete_message
DELETE FROM tieout_outbox
WHERE id = :id

-- name: postpone_message
UPDATE tieout_outbox
SET due = {now} + :pause, attempts = attempts + 1, note = :note
WHERE id = :id

-- name: postpone_followers
UPDATE tieout_outbox
SET due = {now} + :pause
WHERE channel = :channel AND message_key = :message_key AND id > :id AND due < {now} + :pause

-- name: count_waiting
SELECT channel, count(*) AS messages, min(created) AS oldest, max(attempts) AS attempts
FROM tieout_outbox
GROUP BY channel
ORDER BY channel
