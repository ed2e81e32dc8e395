-- name: read_copies
SELECT m.id, layout, paused, catalogued, {now} AS now,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_inbox AS i WHERE i.copy = m.id) THEN 1 ELSE 0 END AS has_mail,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_suspect AS s WHERE s.copy = m.id) THEN 1
        WHEN EXISTS (SELECT 1 FROM tieout_mirror_doubt AS d WHERE d.copy = m.id) THEN 1 ELSE 0 END AS has_doubts,
    CASE WHEN EXISTS (SELECT 1 FROM tieout_mirror_choice AS c WHERE c.copy = m.id AND c.until > {now})
        THEN 1 ELSE 0 END AS has_choices
FROM tieout_mirror AS m
WHERE id = ANY(:copies::bigint[])

-- The planner does not look into a subquery for how long its list is: it might read all copies to find hundreds of rows.
-- name: cells_of_groups
SELECT i.grp, i.n, i.cells
FROM unnest((SELECT :groups::bigint[])) AS one (grp)
JOIN tieout_mirror_item AS i ON i.copy = :copy AND i.grp = one.grp
WHERE i.gone IS NULL
ORDER BY i.grp, i.n

-- name: add_item
INSERT INTO tieout_mirror_item (copy, grp, n, name, cells, gone)
SELECT :copy::bigint, one.grp, one.n, one.name, :cells::bytea, NULL
FROM {each}(:grp::bigint[], :n::bigint[], :name::bytea[]) AS one (grp, n, name)

-- Lists stand in subqueries for the same reason, here and below.
-- name: write_cells
UPDATE tieout_mirror_item AS i
SET cells = one.cells
FROM {each}((SELECT :grp::bigint[]), (SELECT :n::bigint[]), (SELECT :cells::bytea[])) AS one (grp, n, cells)
WHERE i.copy = :copy::bigint AND i.grp = one.grp AND i.n = one.n

-- name: write_checks
UPDATE tieout_mirror_group AS g
SET checks = one.checks
FROM {each}((SELECT :n::bigint[]), (SELECT :checks::bytea[])) AS one (n, checks)
WHERE g.copy = :copy::bigint AND g.n = one.n

-- name: take_out
DELETE FROM tieout_mirror_inbox AS i
USING {each}(:id::bytea[]) AS one (id)
WHERE i.copy = :copy::bigint AND i.id = one.id

-- name: add_sighting
INSERT INTO tieout_mirror_sighting
    (copy, seq, grp, first, cells, cause, start, took, whole, known, changed, days, at)
SELECT one.*, {now}
FROM {each}(
    :copy::bigint[], :seq::bigint[], :grp::bigint[], :first::bigint[], :cells::bigint[], :cause::text[],
    :start::bigint[], :took::bigint[], :whole::bigint[], :known::bigint[], :changed::bigint[], :days::bytea[]
) AS one (copy, seq, grp, first, cells, cause, start, took, whole, known, changed, days)
