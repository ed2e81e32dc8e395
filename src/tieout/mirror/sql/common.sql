-- name: add_copy
INSERT INTO tieout_mirror (id, mirror, supplier, layout, paused, catalogued, head)
VALUES (:copy, :mirror, :supplier, :layout, 0, 0, 0)
ON CONFLICT DO NOTHING

-- name: read_copies
SELECT m.id, layout, paused, catalogued, {now} AS now,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_inbox AS i WHERE i.copy = m.id) THEN 1 ELSE 0 END AS has_mail,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_suspect AS s WHERE s.copy = m.id) THEN 1
        WHEN EXISTS (SELECT 1 FROM tieout_mirror_doubt AS d WHERE d.copy = m.id) THEN 1 ELSE 0 END AS has_doubts,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_choice AS c WHERE c.copy = m.id AND c.until > {now})
        THEN 1 ELSE 0 END AS has_choices
FROM tieout_mirror AS m
WHERE id IN (SELECT value FROM json_each(:copies))

-- name: pause_copy
UPDATE tieout_mirror
SET paused = :paused
WHERE id = :copy

-- name: note_catalogue
UPDATE tieout_mirror
SET catalogued = {now}
WHERE id = :copy

-- name: groups
SELECT n, name, zone, rollover, checks, gone
FROM tieout_mirror_group
WHERE copy = :copy
ORDER BY n

-- name: items
SELECT grp, n, name, gone
FROM tieout_mirror_item
WHERE copy = :copy
ORDER BY grp, n

-- name: add_group
INSERT INTO tieout_mirror_group (copy, n, name, zone, rollover, checks, gone)
VALUES (:copy, :n, :name, :zone, :rollover, :checks, NULL)

-- name: change_group
UPDATE tieout_mirror_group
SET zone = :zone, rollover = :rollover, gone = NULL
WHERE copy = :copy AND n = :n

-- name: remove_group
UPDATE tieout_mirror_group
SET gone = {now}
WHERE copy = :copy AND n = :n

-- name: write_checks
UPDATE tieout_mirror_group
SET checks = :checks
WHERE copy = :copy AND n = :n

-- name: add_item
INSERT INTO tieout_mirror_item (copy, grp, n, name, cells, gone)
VALUES (:copy, :grp, :n, :name, :cells, NULL)

-- name: bring_item
UPDATE tieout_mirror_item
SET grp = :grp, cells = :cells, gone = NULL
WHERE copy = :copy AND n = :n

-- name: remove_item
UPDATE tieout_mirror_item
SET gone = {now}
WHERE copy = :copy AND n = :n

-- name: forget_item
DELETE FROM tieout_mirror_item
WHERE copy = :copy AND n = :n AND gone IS NOT NULL

-- name: forget_demand
DELETE FROM tieout_mirror_demand
WHERE copy = :copy AND item = :item

-- name: forget_group
DELETE FROM tieout_mirror_group
WHERE copy = :copy AND n = :n AND gone IS NOT NULL

-- name: write_cells
UPDATE tieout_mirror_item
SET cells = :cells
WHERE copy = :copy AND grp = :grp AND n = :n

-- name: read_item
SELECT i.cells, g.name AS group_name, g.zone, g.rollover, g.checks, w.value AS version, {now} AS now
FROM tieout_mirror_item AS i
JOIN tieout_mirror_group AS g ON g.copy = i.copy AND g.n = i.grp
LEFT JOIN tieout_mirror_word AS w ON w.copy = i.copy AND w.n = 0
WHERE i.copy = :copy AND i.n = :n AND i.gone IS NULL

-- name: words
SELECT n, value
FROM tieout_mirror_word
WHERE copy = :copy

-- name: version_of_words
SELECT value
FROM tieout_mirror_word
WHERE copy = :copy AND n = 0

-- name: add_word
INSERT INTO tieout_mirror_word (copy, n, value)
VALUES (:copy, :n, :value)
ON CONFLICT (copy, n) DO UPDATE SET value = excluded.value

-- name: add_suspect
INSERT INTO tieout_mirror_suspect (copy, item, place, since)
VALUES (:copy, :item, :place, :since)
ON CONFLICT (copy, item, place) DO UPDATE SET since = excluded.since
WHERE excluded.since > tieout_mirror_suspect.since

-- The number of the last sighting, and suspect cells: a row without a cell where there is none.
-- name: standing
SELECT m.head, s.item, s.place, s.since
FROM tieout_mirror AS m
LEFT JOIN tieout_mirror_suspect AS s ON s.copy = m.id
WHERE m.id = :copy

-- Doubtful since: cells of the item, and windows of its group or of all groups (-1).
-- name: doubts_of
SELECT place AS first, 1 AS cells, since
FROM tieout_mirror_suspect
WHERE copy = :copy AND item = :item AND place >= :first AND place <= :last
UNION ALL
SELECT d.first, d.cells, d.since
FROM tieout_mirror_doubt AS d
JOIN tieout_mirror_item AS i ON i.copy = d.copy AND (d.grp = i.grp OR d.grp = -1)
WHERE d.copy = :copy AND i.n = :item AND d.first <= :last AND d.first + d.cells > :first

-- name: clear_suspect
DELETE FROM tieout_mirror_suspect
WHERE copy = :copy AND item = :item AND place = :place AND since = :since

-- name: post
INSERT INTO tieout_mirror_inbox (copy, id, body, received)
VALUES (:copy, :id, :body, {now})

-- name: posted
SELECT id, body
FROM tieout_mirror_inbox
WHERE copy = :copy
ORDER BY received, id
LIMIT :limit

-- name: take_out
DELETE FROM tieout_mirror_inbox
WHERE copy = :copy AND id = :id

-- name: add_doubt
INSERT INTO tieout_mirror_doubt (copy, grp, first, cells, since)
VALUES (:copy, :grp, :first, :cells, {now})
ON CONFLICT (copy, grp, first, cells) DO UPDATE SET since = excluded.since

-- What is excluded, here and below, is not asked for: it takes no places from others.
-- name: doubts
SELECT grp, first, cells, since
FROM tieout_mirror_doubt AS d
WHERE copy = :copy AND NOT EXISTS (
    SELECT 1 FROM tieout_mirror_choice AS c
    WHERE c.copy = d.copy AND c.grp = d.grp AND c.kind = 'exclude' AND c.until > {now}
)
ORDER BY since
LIMIT :limit

-- name: clear_doubt
DELETE FROM tieout_mirror_doubt
WHERE copy = :copy AND grp = :grp AND first = :first AND cells = :cells AND since = :since

-- name: some_suspects
SELECT item, place, since
FROM tieout_mirror_suspect AS s
WHERE copy = :copy AND NOT EXISTS (
    SELECT 1 FROM tieout_mirror_choice AS c
    JOIN tieout_mirror_item AS i ON i.copy = c.copy AND i.grp = c.grp
    WHERE c.copy = s.copy AND i.n = s.item AND c.kind = 'exclude' AND c.until > {now}
)
LIMIT :limit

-- name: add_stream
INSERT INTO tieout_mirror_stream (copy, name, last)
VALUES (:copy, :name, :last)
ON CONFLICT DO NOTHING

-- name: last_of_stream
SELECT last
FROM tieout_mirror_stream
WHERE copy = :copy AND name = :name

-- name: advance_stream
UPDATE tieout_mirror_stream
SET last = :last
WHERE copy = :copy AND name = :name AND last = :known

-- name: knows_group
SELECT n
FROM tieout_mirror_group
WHERE copy = :copy AND n = :n AND gone IS NULL

-- name: advance_head
UPDATE tieout_mirror
SET head = head + :count
WHERE id = :copy

-- name: head
SELECT head
FROM tieout_mirror
WHERE id = :copy

-- name: heads
SELECT id, head, {now} AS now
FROM tieout_mirror

-- name: add_sighting
INSERT INTO tieout_mirror_sighting
    (copy, seq, grp, first, cells, cause, start, took, whole, known, changed, days, at)
VALUES (:copy, :seq, :grp, :first, :cells, :cause, :start, :took, :whole, :known, :changed, :days, {now})

-- name: sightings
SELECT seq, grp, first, cells, cause, start, took, whole, known, changed, days, at
FROM tieout_mirror_sighting
WHERE copy = :copy AND seq > :after
ORDER BY seq
LIMIT :limit

-- name: changing_sightings
SELECT seq, grp, first, cells, cause, start, took, whole, known, changed, days, at
FROM tieout_mirror_sighting
WHERE copy = :copy AND seq > :after AND changed > 0
ORDER BY seq
LIMIT :limit

-- name: oldest_sighting
SELECT seq
FROM tieout_mirror_sighting
WHERE copy = :copy
ORDER BY seq
LIMIT 1

-- name: purge_sightings
DELETE FROM tieout_mirror_sighting
WHERE copy = :copy AND seq < :until AND at < {now} - :keep

-- name: all_cells
SELECT grp, n, name, cells
FROM tieout_mirror_item
WHERE copy = :copy AND gone IS NULL
ORDER BY grp, n

-- name: all_suspects
SELECT copy, item, place
FROM tieout_mirror_suspect
LIMIT :limit

-- name: all_doubts
SELECT copy, grp, first, cells
FROM tieout_mirror_doubt
LIMIT :limit

-- name: add_demand
INSERT INTO tieout_mirror_demand (copy, item, kind, weight)
VALUES (:copy, :item, :kind, :weight)
ON CONFLICT (copy, item, kind) DO UPDATE SET weight = tieout_mirror_demand.weight + excluded.weight

-- name: demand_of_groups
SELECT i.grp, d.kind, sum(d.weight) AS weight
FROM tieout_mirror_demand AS d
JOIN tieout_mirror_item AS i ON i.copy = d.copy AND i.n = d.item
WHERE d.copy = :copy
GROUP BY i.grp, d.kind

-- name: add_choice
INSERT INTO tieout_mirror_choice (copy, grp, kind, until)
VALUES (:copy, :grp, :kind, {now} + :lasts)
ON CONFLICT (copy, grp) DO UPDATE SET kind = excluded.kind, until = excluded.until

-- name: drop_choice
DELETE FROM tieout_mirror_choice
WHERE copy = :copy AND grp = :grp

-- name: choices
SELECT grp, kind, until
FROM tieout_mirror_choice
WHERE copy = :copy AND until > {now}

-- name: sighted_by_cause
SELECT cause, sum(CASE WHEN grp = :many THEN length(days) ELSE :size END) AS sizes,
    sum(known) AS known, sum(changed) AS changed
FROM tieout_mirror_sighting
WHERE copy = :copy AND at > {now} - :window
GROUP BY cause

-- name: count_doubtful
SELECT count(*) AS doubtful
FROM tieout_mirror_suspect
WHERE copy = :copy
