-- name: add_token
INSERT INTO tieout_token (id, digest, owner, roles, note, created, expires)
VALUES (:id, :digest, :owner, :roles, :note, {now}, {now} + :lifetime)

-- name: read_token
SELECT id, digest, owner, roles, note, created, expires, used, revoked, {now} AS now
FROM tieout_token
WHERE id = :id

-- name: list_tokens
SELECT id, digest, owner, roles, note, created, expires, used, revoked, {now} AS now
FROM tieout_token
WHERE created > :after OR (created = :after AND id > :after_id)
ORDER BY created, id
LIMIT :limit

-- name: token_used
UPDATE tieout_token
SET used = {now}
WHERE id = :id

-- name: revoke_token
UPDATE tieout_token
SET revoked = {now}
WHERE id = :id AND revoked IS NULL

-- name: count_valid_tokens
SELECT count(*) AS tokens
FROM tieout_token
WHERE revoked IS NULL AND expires > {now}

-- name: add_session
INSERT INTO tieout_session (id, login, name, roles, created, used, expires)
VALUES (:id, :login, :name, :roles, {now}, {now}, {now} + :lifetime)

-- name: read_session
SELECT id, name, roles, created, used, expires, ended, {now} AS now
FROM tieout_session
WHERE id = :id

-- name: session_used
UPDATE tieout_session
SET used = {now}
WHERE id = :id AND ended IS NULL

-- name: end_session
UPDATE tieout_session
SET ended = {now}
WHERE id = :id AND ended IS NULL

-- name: list_sessions
SELECT id, name, roles, created, used, expires, ended, {now} AS now
FROM tieout_session
WHERE ended IS NULL AND expires > {now} AND (:name = '' OR name = :name)
ORDER BY created, id
LIMIT :limit

-- name: forget_sessions
DELETE FROM tieout_session
WHERE expires < {now} - :age
