-- name: next_due
SELECT min(due)
FROM tieout_process

-- name: business_tables
SELECT name
FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'tieout\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY name
