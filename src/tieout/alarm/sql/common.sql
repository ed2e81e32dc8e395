-- name: raise_alarm
INSERT INTO tieout_alarm (id, kind, object, process, severity, state, summary, count, first_at, last_at)
VALUES (:id, :kind, :object, :process, :severity, 'open', :summary, 1, {now}, {now})
ON CONFLICT (id) DO UPDATE SET count = tieout_alarm.count + 1, last_at = {now}
RETURNING count

-- name: add_evidence
INSERT INTO tieout_evidence (alarm, digest, at, count, body)
SELECT :alarm, :digest, {now}, 1, :body
WHERE (SELECT count(*) FROM tieout_evidence WHERE alarm = :alarm) < :limit
    OR EXISTS (SELECT 1 FROM tieout_evidence WHERE alarm = :alarm AND digest = :digest)
ON CONFLICT (alarm, digest) DO UPDATE SET count = tieout_evidence.count + 1
RETURNING count

-- name: read_alarm
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at
FROM tieout_alarm
WHERE id = :id

-- name: evidence_of
SELECT digest, at, count, body
FROM tieout_evidence
WHERE alarm = :alarm
ORDER BY at, digest

-- name: list_alarms
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at
FROM tieout_alarm
WHERE (last_at < :before OR (last_at = :before AND id < :before_id))
    AND (:kind = '' OR kind = :kind)
    AND (:state = '' OR state = :state)
ORDER BY last_at DESC, id DESC
LIMIT :limit

-- name: alarms_of
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at
FROM tieout_alarm
WHERE process = :process
ORDER BY first_at, id

-- name: count_alarms
SELECT kind, state, count(*) AS alarms, min(first_at) AS oldest
FROM tieout_alarm
WHERE state <> 'resolved'
GROUP BY kind, state
ORDER BY kind, state

-- name: acknowledge_alarm
UPDATE tieout_alarm
SET state = 'acknowledged'
WHERE id = :id AND state = 'open'

-- name: resolve_alarm
UPDATE tieout_alarm
SET state = 'resolved', resolution = :resolution, note = :note, resolved_by = :resolved_by, resolved_at = {now},
    wish = NULL
WHERE id = :id AND state <> 'resolved'

-- name: reopen_alarm
UPDATE tieout_alarm
SET state = 'open', wish = NULL
WHERE id = :id AND state = 'resolved'

-- name: record_wish
UPDATE tieout_alarm
SET wish = :wish, state = CASE WHEN state = 'resolved' THEN 'open' ELSE state END
WHERE id = :id
