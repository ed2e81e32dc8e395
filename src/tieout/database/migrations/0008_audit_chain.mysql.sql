ALTER TABLE tieout_audit ADD COLUMN number BIGINT;

ALTER TABLE tieout_audit ADD COLUMN previous VARBINARY(32);

ALTER TABLE tieout_audit ADD COLUMN digest VARBINARY(32);

CREATE UNIQUE INDEX tieout_audit_number ON tieout_audit (number);

CREATE TABLE tieout_audit_head (
    id SMALLINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    digest VARBINARY(32) NOT NULL,
    since BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO tieout_audit_head (id, number, digest, since)
SELECT 1, 0, UNHEX(REPEAT('00', 32)), COALESCE(MAX(seq), 0) FROM tieout_audit
ON DUPLICATE KEY UPDATE id = 1;
