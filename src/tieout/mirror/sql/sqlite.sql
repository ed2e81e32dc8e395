-- name: cells_of_groups
SELECT grp, n, cells
FROM tieout_mirror_item
WHERE copy = :copy AND grp IN (SELECT value FROM json_each(:groups)) AND gone IS NULL
ORDER BY grp, n
