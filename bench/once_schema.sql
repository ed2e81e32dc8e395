CREATE TABLE stock (sku TEXT PRIMARY KEY, pieces BIGINT NOT NULL);

CREATE TABLE prize (code TEXT PRIMARY KEY, sku TEXT NOT NULL, quantity BIGINT NOT NULL);

CREATE TABLE answered (
    owner TEXT NOT NULL, request_key TEXT NOT NULL, fingerprint TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (owner, request_key)
);
