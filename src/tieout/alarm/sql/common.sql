-- name: raise_alarm
INSERT INTO tieout_alarm (
    id, kind, object, process, severity, state, summary, count, first_at, last_at, opened_at, lane
)
VALUES (:id, :kind, :object, :process, :severity, 'open', :summary, 1, {now}, {now}, {now}, :lane)
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
    resolved_by, resolved_at, owner, snoozed_until, escalation, opened_at, parent, lane
FROM tieout_alarm
WHERE id = :id

-- name: evidence_of
SELECT digest, at, count, body
FROM tieout_evidence
WHERE alarm = :alarm
ORDER BY at, digest

-- name: list_alarms
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at, owner, snoozed_until, escalation, opened_at, parent, lane
FROM tieout_alarm
WHERE (last_at < :before OR (last_at = :before AND id < :before_id))
    AND (:kind = '' OR kind = :kind)
    AND (:state = '' OR state = :state)
    AND (:owner = '' OR owner = :owner)
    AND (parent = :parent OR length(:parent) = 0)
ORDER BY last_at DESC, id DESC
LIMIT :limit

-- name: alarms_of
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at, owner, snoozed_until, escalation, opened_at, parent, lane
FROM tieout_alarm
WHERE process = :process
ORDER BY first_at, id

-- name: count_alarms
SELECT kind, state, count(*) AS alarms, min(first_at) AS oldest
FROM tieout_alarm
WHERE state <> 'resolved'
GROUP BY kind, state
ORDER BY kind, state

-- name: add_alarm_event
INSERT INTO tieout_alarm_event (alarm, at, happening, actor, note)
VALUES (:alarm, {now}, :happening, :actor, :note)

-- name: events_of
SELECT id, alarm, at, happening, actor, note
FROM tieout_alarm_event
WHERE alarm = :alarm
ORDER BY id DESC
LIMIT :limit

-- name: own_alarm
UPDATE tieout_alarm
SET owner = :owner, state = 'acknowledged'
WHERE id = :id AND state <> 'resolved'

-- name: acknowledge_alarm
UPDATE tieout_alarm
SET state = 'acknowledged', owner = coalesce(owner, :owner)
WHERE id = :id AND state = 'open'

-- name: snooze_alarm
UPDATE tieout_alarm
SET snoozed_until = {now} + :pause, attention = {now} + :pause
WHERE id = :id AND state <> 'resolved'

-- name: resolve_alarm
UPDATE tieout_alarm
SET state = 'resolved', resolution = :resolution, note = :note, resolved_by = :resolved_by, resolved_at = {now},
    wish = NULL, snoozed_until = NULL, parent = NULL
WHERE id = :id AND state <> 'resolved'

-- name: look_at_folded
UPDATE tieout_alarm
SET attention = 0
WHERE parent = :parent

-- name: reopen_alarm
UPDATE tieout_alarm
SET state = 'open', wish = NULL, escalation = 0, opened_at = {now}, attention = 0
WHERE id = :id AND state = 'resolved'

-- name: wake_alarm
UPDATE tieout_alarm
SET snoozed_until = NULL, opened_at = {now}, attention = 0
WHERE id = :id AND snoozed_until IS NOT NULL

-- name: record_wish
UPDATE tieout_alarm
SET wish = :wish, state = CASE WHEN state = 'resolved' THEN 'open' ELSE state END
WHERE id = :id

-- name: alarm_time
SELECT {now} AS now

-- name: due_alarms
SELECT id, kind, object, process, severity, state, summary, count, first_at, last_at, wish, resolution, note,
    resolved_by, resolved_at, owner, snoozed_until, escalation, opened_at, parent, lane
FROM tieout_alarm
WHERE attention <= {now}
ORDER BY attention
LIMIT :limit

-- name: tend_alarm
UPDATE tieout_alarm
SET escalation = :escalation, opened_at = :opened_at, snoozed_until = :snoozed_until, parent = :parent,
    attention = :attention
WHERE id = :id AND state = :state AND escalation = :was_escalation AND opened_at = :was_opened_at
    AND coalesce(snoozed_until, 0) = :was_snoozed

-- name: fold_alarm
UPDATE tieout_alarm
SET parent = :parent
WHERE id = :id AND state = 'open'
    AND EXISTS (SELECT 1 FROM tieout_alarm AS p WHERE p.id = :parent AND p.state <> 'resolved')

-- name: untold_events
SELECT id, alarm, at, happening, actor, note
FROM tieout_alarm_event
WHERE told IS NULL
ORDER BY id
LIMIT :limit

-- name: event_told
UPDATE tieout_alarm_event
SET told = {now}
WHERE id = :id
