-- name: is_at_work
SELECT IS_USED_LOCK(MD5(CONCAT('tieout ', DATABASE(), ' ', HEX(:id)))) IS NOT NULL AS at_work

-- name: keep_answer
INSERT INTO tieout_once (
    id, scope, owner, request_key, fingerprint, answer, status, headers, body, created, expires
) VALUES (
    :id, :scope, :owner, :request_key, :fingerprint, :answer, :status, :headers, :body, {now}, {now} + :keep
)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)

-- name: read_answer
SELECT scope, owner, request_key, fingerprint, answer, status, headers, body
FROM tieout_once
WHERE id = :id AND (status IS NOT NULL OR answer <> '')

-- name: purge_answers
DELETE FROM tieout_once
WHERE expires < {now}
ORDER BY expires
LIMIT :limit
