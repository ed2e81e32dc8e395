-- Whoever may write is alone: inside such a transaction no other is at work, in any process. Of a new key there is no row.

-- name: claim_key
SELECT 1 AS free, 1 AS kept FROM tieout_once WHERE id = :id
