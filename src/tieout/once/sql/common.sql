-- name: keep_answer
INSERT INTO tieout_once (
    id, scope, owner, request_key, fingerprint, answer, status, headers, body, created, expires
) VALUES (
    :id, :scope, :owner, :request_key, :fingerprint, :answer, :status, :headers, :body, {now}, {now} + :keep
)
ON CONFLICT DO NOTHING

-- name: add_answer
INSERT INTO tieout_once (id, scope, owner, request_key, fingerprint, answer, created, expires)
VALUES (:id, :scope, :owner, :request_key, :fingerprint, :answer, {now}, {now} + :keep)

-- name: add_response
INSERT INTO tieout_once (
    id, scope, owner, request_key, fingerprint, status, headers, body, created, expires
) VALUES (
    :id, :scope, :owner, :request_key, :fingerprint, :status, :headers, :body, {now}, {now} + :keep
)

-- name: read_answer
SELECT scope, owner, request_key, fingerprint, answer, status, headers, body
FROM tieout_once
WHERE id = :id

-- name: purge_answers
DELETE FROM tieout_once
WHERE id IN (
    SELECT id FROM tieout_once
    WHERE expires < {now}
    ORDER BY expires
    LIMIT :limit
)
