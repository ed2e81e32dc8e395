-- name: add_copy
INSERT INTO tieout_mirror (id, mirror, supplier, layout, paused, catalogued)
VALUES (:copy, :mirror, :supplier, :layout, 0, 0)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)

-- name: add_word
INSERT INTO tieout_mirror_word (copy, n, value)
VALUES (:copy, :n, :value)
ON DUPLICATE KEY UPDATE n = IF({was_there}, n, n)

-- name: add_suspect
INSERT INTO tieout_mirror_suspect (copy, item, place, since)
VALUES (:copy, :item, :place, :since)
ON DUPLICATE KEY UPDATE item = IF({was_there}, item, item)
