-- name: add_lease
INSERT INTO tieout_lease (name, holder, fence, until)
VALUES (:name, '', 0, 0)
ON DUPLICATE KEY UPDATE name = IF({was_there}, name, name)

-- name: held_leases
SELECT l.name
FROM JSON_TABLE(:names, '$[*]' COLUMNS (name VARCHAR(510) PATH '$')) AS wanted
JOIN tieout_lease AS l ON l.name = UNHEX(wanted.name)
WHERE l.until >= {now}

-- name: add_budget
INSERT INTO tieout_budget (name, next_at)
VALUES (:name, 0)
ON DUPLICATE KEY UPDATE name = IF({was_there}, name, name)

-- Assigned from left to right: what is granted is computed first, from the row as it was, and given back unchanged.
-- name: take_token
UPDATE tieout_budget
SET next_at = GREATEST(next_at, {now}) + :interval + 0 * LAST_INSERT_ID(GREATEST(next_at - {now}, 0) + 1)
WHERE name = :name AND next_at <= {now} + :patience

-- The list comes first, so that rows are locked in its order.
-- name: stop_budgets
SELECT STRAIGHT_JOIN b.name, b.next_at, {now} AS now
FROM JSON_TABLE(:names, '$[*]' COLUMNS (name VARCHAR(510) PATH '$')) AS wanted
JOIN tieout_budget AS b ON b.name = UNHEX(wanted.name)
FOR UPDATE
