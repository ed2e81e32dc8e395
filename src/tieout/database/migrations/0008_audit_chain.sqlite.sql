ALTER TABLE tieout_audit ADD COLUMN number INTEGER;

ALTER TABLE tieout_audit ADD COLUMN previous BLOB;

ALTER TABLE tieout_audit ADD COLUMN digest BLOB;

CREATE UNIQUE INDEX tieout_audit_number ON tieout_audit (number);

CREATE TABLE tieout_audit_head (
    id INTEGER NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    since INTEGER NOT NULL
) STRICT;

INSERT INTO tieout_audit_head (id, number, digest, since)
SELECT 1, 0, zeroblob(32), coalesce(max(seq), 0) FROM tieout_audit;
