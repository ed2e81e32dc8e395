-- name: upstream
CREATE TABLE payment (
    id bigint NOT NULL, amount numeric(12, 2) NOT NULL, currency text NOT NULL, paid_at timestamptz NOT NULL
);
INSERT INTO payment
SELECT n, (n * 7919 % 100000) / 100.0, (ARRAY['EUR', 'USD', 'CNY'])[n % 3 + 1],
    timestamptz '2026-11-22 00:00:00Z' + n * (interval '1 day' / :count)
FROM generate_series(0, :count - 1) AS n;

-- name: downstream
-- One row in :every is different: a third of these is missing, a third has another amount, a third another key.
CREATE TABLE payment (
    id bigint NOT NULL, amount numeric(12, 2) NOT NULL, currency text NOT NULL, paid_at timestamptz NOT NULL
);
INSERT INTO payment
SELECT n + CASE WHEN n % (3 * :every) = 2 * :every THEN 10 * :count ELSE 0 END,
    (n * 7919 % 100000) / 100.0 + CASE WHEN n % (3 * :every) = :every THEN 0.01 ELSE 0 END,
    (ARRAY['EUR', 'USD', 'CNY'])[n % 3 + 1],
    timestamptz '2026-11-22 00:00:00Z' + n * (interval '1 day' / :count)
FROM generate_series(0, :count - 1) AS n
WHERE n % (3 * :every) <> 0;

-- name: index
ALTER TABLE payment ADD PRIMARY KEY (id);
CREATE INDEX ON payment (paid_at);
