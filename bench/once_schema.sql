CREATE TABLE stock (sku VARCHAR(100) PRIMARY KEY, pieces BIGINT NOT NULL);

CREATE TABLE prize (code VARCHAR(100) PRIMARY KEY, sku TEXT NOT NULL, quantity BIGINT NOT NULL);

CREATE TABLE answered (
    owner VARCHAR(100) NOT NULL, request_key VARCHAR(100) NOT NULL, fingerprint TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (owner, request_key)
);
