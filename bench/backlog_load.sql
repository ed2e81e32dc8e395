-- name: finals
INSERT INTO tieout_process (
    id, type, owner, request_key, version, state, status, fence, params, snapshots, calls, trail, result, attempts,
    errors, duplicates, created, changed
)
SELECT
    decode(md5('final' || n), 'hex'), 'redeem0', 'ann', convert_to('f' || n, 'UTF8'), 1, 'completed', 'final', 2,
    '{"request_id":"f' || n || '"}', '{}',
    '[{"n":1,"step":"issue","args":{"sku":"mug"},"final":{"kind":"succeeded","source":"immediate","by":"call","at":'
    || (:created + n) || ',"value":{"code":"A' || n || '"},"identity":{"code":"00112233445566"}},"closed":true}]',
    '[{"to":"completed","at":' || (:created + n) || ',"source":"immediate","by":"call","n":1}]',
    '{"code":"A' || n || '"}', 0, 0, 0, :created + n, :created + n
FROM generate_series(1, :count) AS n

-- name: dues
INSERT INTO tieout_process (
    id, type, owner, request_key, version, state, status, fence, due, lane, params, snapshots, calls, trail, attempts,
    errors, duplicates, created, changed
)
SELECT
    decode(md5(:round || 'due' || n), 'hex'), 'redeem' || n % :lanes, 'ann', convert_to(:round || n, 'UTF8'), 1, 'issue',
    'running', 1, :created + n, 'lane' || n % :lanes, '{"request_id":"' || :round || n || '"}', '{}',
    '[{"n":1,"step":"issue","args":{"sku":"mug"}}]', '[]', 0, 0, 0, :created + n, :created + n
FROM generate_series(1, :count) AS n
