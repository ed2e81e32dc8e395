-- Whoever may write is alone: inside such a transaction no other is at work, in any process.

-- name: claim_key
SELECT 1 AS free, EXISTS (SELECT 1 FROM tieout_once WHERE id = :id) AS kept
