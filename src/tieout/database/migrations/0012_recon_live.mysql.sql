CREATE TABLE tieout_recon_feed (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    checkpoint MEDIUMTEXT,
    fence BIGINT NOT NULL,
    watermark BIGINT NOT NULL,
    clock_offset BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    gap MEDIUMTEXT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_recon_rule (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    number INT NOT NULL,
    version VARCHAR(64) NOT NULL,
    phase VARCHAR(16) NOT NULL,
    feeds MEDIUMTEXT NOT NULL,
    activated_at BIGINT NOT NULL,
    totals MEDIUMTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX tieout_recon_rule_number ON tieout_recon_rule (number);

CREATE TABLE tieout_recon_fact (
    rule INT NOT NULL,
    record_key VARCHAR(700) NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    due BIGINT,
    changed_at BIGINT NOT NULL,
    told INT NOT NULL,
    body MEDIUMTEXT NOT NULL,
    PRIMARY KEY (rule, record_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_recon_fact_due ON tieout_recon_fact (rule, due);

ALTER TABLE tieout_recon_break ADD COLUMN actor VARCHAR(255);

ALTER TABLE tieout_recon_break ADD COLUMN note MEDIUMTEXT;

ALTER TABLE tieout_recon_break ADD COLUMN finding BINARY(16);

CREATE INDEX tieout_recon_break_rule ON tieout_recon_break (rule, state, id);
