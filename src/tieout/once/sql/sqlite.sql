-- Whoever may write is alone: inside such a transaction no other is at work, in any process.

-- name: claim_key
SELECT 1 AS free, o.scope, o.owner, o.request_key, o.fingerprint, o.answer, o.status, o.headers, o.body
FROM (SELECT 1) AS always
LEFT JOIN tieout_once AS o ON o.id = :id

-- name: is_at_work
SELECT :id IS NULL AS at_work
