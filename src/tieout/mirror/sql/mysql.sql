-- name: add_copy
INSERT INTO tieout_mirror (id, mirror, supplier, layout, paused, catalogued, head)
VALUES (:copy, :mirror, :supplier, :layout, 0, 0, 0)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)

-- name: add_word
INSERT INTO tieout_mirror_word (copy, n, value)
VALUES (:copy, :n, :value)
ON DUPLICATE KEY UPDATE value = VALUES(value)

-- name: add_suspect
INSERT INTO tieout_mirror_suspect (copy, item, place, since)
VALUES (:copy, :item, :place, :since)
ON DUPLICATE KEY UPDATE since = GREATEST(since, VALUES(since))

-- name: add_doubt
INSERT INTO tieout_mirror_doubt (copy, grp, first, cells, since)
VALUES (:copy, :grp, :first, :cells, {now})
ON DUPLICATE KEY UPDATE since = VALUES(since)

-- name: add_choice
INSERT INTO tieout_mirror_choice (copy, grp, kind, until)
VALUES (:copy, :grp, :kind, {now} + :lasts)
ON DUPLICATE KEY UPDATE kind = VALUES(kind), until = VALUES(until)

-- name: add_stream
INSERT INTO tieout_mirror_stream (copy, name, last)
VALUES (:copy, :name, :last)
ON DUPLICATE KEY UPDATE last = IF({was_there}, last, last)

-- Locking: at REPEATABLE READ a plain read would not see what was committed after the snapshot was taken.
-- name: last_of_stream
SELECT last
FROM tieout_mirror_stream
WHERE copy = :copy AND name = :name
FOR UPDATE

-- name: cells_of_groups
SELECT grp, n, cells
FROM tieout_mirror_item
WHERE copy = :copy AND grp IN (SELECT wanted.n FROM JSON_TABLE(:groups, '$[*]' COLUMNS (n BIGINT PATH '$')) AS wanted) AND gone IS NULL
ORDER BY grp, n

-- name: add_demand
INSERT INTO tieout_mirror_demand (copy, item, kind, weight)
VALUES (:copy, :item, :kind, :weight)
ON DUPLICATE KEY UPDATE weight = weight + VALUES(weight)

-- name: read_copies
SELECT m.id, layout, paused, catalogued, {now} AS now,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_inbox AS i WHERE i.copy = m.id) THEN 1 ELSE 0 END AS has_mail,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_suspect AS s WHERE s.copy = m.id) THEN 1
        WHEN EXISTS (SELECT 1 FROM tieout_mirror_doubt AS d WHERE d.copy = m.id) THEN 1 ELSE 0 END AS has_doubts,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_choice AS c WHERE c.copy = m.id AND c.until > {now})
        THEN 1 ELSE 0 END AS has_choices
FROM tieout_mirror AS m
WHERE id IN (SELECT wanted.id FROM JSON_TABLE(:copies, '$[*]' COLUMNS (id BIGINT PATH '$')) AS wanted)
