-- name: add_audit
INSERT INTO tieout_audit (at, actor, action, object, reason, detail)
VALUES ({now}, :actor, :action, :object, :reason, :detail)

-- name: audit_of
SELECT seq, at, actor, action, object, reason, detail
FROM tieout_audit
WHERE object = :object
ORDER BY seq

-- name: list_audit
SELECT seq, at, actor, action, object, reason, detail
FROM tieout_audit
WHERE seq < :before
    AND (:object = '' OR object = :object)
    AND (:actor = '' OR actor = :actor)
    AND (:action = '' OR action = :action)
ORDER BY seq DESC
LIMIT :limit
