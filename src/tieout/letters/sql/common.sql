-- name: add_letter
INSERT INTO tieout_letter (
    source, message_id, message_key, topic, headers, body, size, received, due, attempts, code, note
)
VALUES (
    :source, :message_id, :message_key, :topic, :headers, :body, :size, {now},
    CASE WHEN :pause < 0 THEN NULL ELSE {now} + :pause END, 1, :code, :note
)
ON CONFLICT DO NOTHING

-- name: due_letters
SELECT id, source, message_id, message_key, topic, headers, body, size, received, due, attempts, code, note
FROM tieout_letter
WHERE source = :source AND due <= {now}
ORDER BY due, id
LIMIT :limit

-- name: claim_letter
UPDATE tieout_letter
SET due = {now} + :pause
WHERE id = :id AND due = :due

-- name: fail_letter
UPDATE tieout_letter
SET due = CASE WHEN :pause < 0 THEN NULL ELSE {now} + :pause END, attempts = attempts + 1, code = :code, note = :note
WHERE id = :id AND attempts = :attempts AND due IS NOT NULL

-- name: delete_letter
DELETE FROM tieout_letter
WHERE id = :id

-- name: replay_letter
UPDATE tieout_letter
SET due = {now}, attempts = 0
WHERE id = :id

-- name: read_letter
SELECT id, source, message_id, message_key, topic, headers, body, size, received, due, attempts, code, note
FROM tieout_letter
WHERE id = :id

-- name: list_letters
SELECT id, source, message_id, message_key, topic, headers, body, size, received, due, attempts, code, note
FROM tieout_letter
WHERE id < :before
    AND (source = :source OR length(:source) = 0)
    AND (:state = 'any' OR (:state = 'dead' AND due IS NULL) OR (:state = 'waiting' AND due IS NOT NULL))
ORDER BY id DESC
LIMIT :limit

-- name: count_letters
SELECT source, count(*) AS letters, count(due) AS waiting, min(received) AS oldest
FROM tieout_letter
GROUP BY source
ORDER BY source
