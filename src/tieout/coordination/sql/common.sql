-- name: add_lease
INSERT INTO tieout_lease (name, holder, fence, until)
VALUES (:name, '', 0, 0)
ON CONFLICT DO NOTHING

-- name: take_lease
UPDATE tieout_lease
SET holder = :holder, fence = fence + 1, until = {now} + :ttl
WHERE name = :name AND until < {now}

-- name: read_lease
SELECT holder, fence, until, {now} AS now
FROM tieout_lease
WHERE name = :name

-- Names are given in hexadecimal.
-- name: held_leases
SELECT name
FROM tieout_lease
WHERE until >= {now} AND hex(name) IN (SELECT value FROM json_each(:names))

-- name: renew_lease
UPDATE tieout_lease
SET until = {now} + :ttl
WHERE name = :name AND fence = :fence

-- name: release_lease
UPDATE tieout_lease
SET until = 0
WHERE name = :name AND fence = :fence

-- name: add_budget
INSERT INTO tieout_budget (name, next_at)
VALUES (:name, 0)
ON CONFLICT DO NOTHING

-- One more than the microseconds to wait, so that no wait at all is told from no row.
-- name: take_token
UPDATE tieout_budget
SET next_at = CASE WHEN next_at > {now} THEN next_at ELSE {now} END + :interval
WHERE name = :name AND next_at <= {now} + :patience
RETURNING CASE WHEN next_at - :interval > {now} THEN next_at - :interval - {now} + 1 ELSE 1 END AS granted

-- Names are given in hexadecimal. They stand until the transaction ends, the first by name first: whoever takes of some
-- of them too comes after, and nobody waits in a circle.
-- name: stop_budgets
SELECT name, next_at, {now} AS now
FROM tieout_budget
WHERE hex(name) IN (SELECT value FROM json_each(:names))
ORDER BY name

-- name: move_budget
UPDATE tieout_budget
SET next_at = :next_at
WHERE name = :name

-- name: close_budget
UPDATE tieout_budget
SET next_at = {now} + :pause
WHERE name = :name AND next_at < {now} + :pause
