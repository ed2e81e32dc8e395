-- name: is_at_work
SELECT :id IS NULL AS at_work
