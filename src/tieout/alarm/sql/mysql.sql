-- What is handed to LAST_INSERT_ID is the one row of the result.

-- name: raise_alarm
INSERT INTO tieout_alarm (id, kind, object, process, severity, state, summary, count, first_at, last_at)
VALUES (:id, :kind, :object, :process, :severity, 'open', :summary, LAST_INSERT_ID(1), {now}, {now})
ON DUPLICATE KEY UPDATE count = LAST_INSERT_ID(count + 1), last_at = {now}

-- name: add_evidence
INSERT INTO tieout_evidence (alarm, digest, at, count, body)
SELECT :alarm, :digest, {now}, LAST_INSERT_ID(1), :body
FROM DUAL
WHERE (SELECT count(*) FROM tieout_evidence WHERE alarm = :alarm) < :limit
    OR EXISTS (SELECT 1 FROM tieout_evidence WHERE alarm = :alarm AND digest = :digest)
ON DUPLICATE KEY UPDATE count = LAST_INSERT_ID(tieout_evidence.count + 1)
