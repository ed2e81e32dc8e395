-- What is handed to LAST_INSERT_ID is the one row of the result.

-- name: raise_alarm
INSERT INTO tieout_alarm (
    id, kind, object, process, severity, state, summary, count, first_at, last_at, opened_at, lane
)
VALUES (:id, :kind, :object, :process, :severity, 'open', :summary, LAST_INSERT_ID(1), {now}, {now}, {now}, :lane)
ON DUPLICATE KEY UPDATE count = LAST_INSERT_ID(count + 1), last_at = {now}

-- name: add_evidence
INSERT INTO tieout_evidence (alarm, digest, at, count, body)
SELECT :alarm, :digest, {now}, LAST_INSERT_ID(1), :body
FROM DUAL
WHERE (SELECT count(*) FROM tieout_evidence WHERE alarm = :alarm) < :limit
    OR EXISTS (SELECT 1 FROM tieout_evidence WHERE alarm = :alarm AND digest = :digest)
ON DUPLICATE KEY UPDATE count = LAST_INSERT_ID(tieout_evidence.count + 1)

-- Not EXISTS: an UPDATE may not read its own table in a subquery here.
-- name: fold_alarm
UPDATE tieout_alarm AS a
JOIN tieout_alarm AS p ON p.id = :parent AND p.state <> 'resolved'
SET a.parent = p.id
WHERE a.id = :id AND a.state = 'open'
