-- name: held_leases
SELECT name
FROM tieout_lease
WHERE until >= {now} AND name IN (SELECT decode(wanted.name, 'hex') FROM unnest(:names::text[]) AS wanted (name))

-- name: stop_budgets
SELECT name, next_at, {now} AS now
FROM tieout_budget
WHERE name IN (SELECT decode(wanted.name, 'hex') FROM unnest(:names::text[]) AS wanted (name))
ORDER BY name
FOR UPDATE

-- name: move_budget
UPDATE tieout_budget AS b
SET next_at = one.next_at
FROM {each}(:name::bytea[], :next_at::bigint[]) AS one (name, next_at)
WHERE b.name = one.name
