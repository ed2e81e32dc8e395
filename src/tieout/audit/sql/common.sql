-- name: lock_audit_head
SELECT number, digest, since, {now} AS now
FROM tieout_audit_head
WHERE id = 1
{for_update}

-- name: read_audit_head
SELECT number, digest, since, {now} AS now
FROM tieout_audit_head
WHERE id = 1

-- name: move_audit_head
UPDATE tieout_audit_head
SET number = :number, digest = :digest
WHERE id = 1 AND number = :number - 1

-- name: add_audit
INSERT INTO tieout_audit (at, actor, action, object, reason, detail, number, previous, digest)
VALUES (:at, :actor, :action, :object, :reason, :detail, :number, :previous, :digest)

-- name: audit_of
SELECT seq, at, actor, action, object, reason, detail, number, previous, digest
FROM tieout_audit
WHERE object = :object
ORDER BY seq

-- name: list_audit
SELECT seq, at, actor, action, object, reason, detail, number, previous, digest
FROM tieout_audit
WHERE seq < :before
    AND (:object = '' OR object = :object)
    AND (:actor = '' OR actor = :actor)
    AND (:action = '' OR action = :action)
ORDER BY seq DESC
LIMIT :limit

-- name: audit_numbered
SELECT seq, at, actor, action, object, reason, detail, number, previous, digest
FROM tieout_audit
WHERE number = :number

-- name: audit_following
SELECT seq, at, actor, action, object, reason, detail, number, previous, digest
FROM tieout_audit
WHERE seq > :after AND (number IS NULL OR number <= :last)
ORDER BY seq
LIMIT :limit
