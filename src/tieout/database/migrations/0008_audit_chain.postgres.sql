ALTER TABLE tieout_audit ADD COLUMN number bigint;

ALTER TABLE tieout_audit ADD COLUMN previous bytea;

ALTER TABLE tieout_audit ADD COLUMN digest bytea;

CREATE UNIQUE INDEX tieout_audit_number ON tieout_audit (number);

CREATE TABLE tieout_audit_head (
    id smallint NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    since bigint NOT NULL
);

INSERT INTO tieout_audit_head (id, number, digest, since)
SELECT 1, 0, decode(repeat('00', 32), 'hex'), coalesce(max(seq), 0) FROM tieout_audit;
