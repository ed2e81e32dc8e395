CREATE TABLE tieout_recon_feed (
    name TEXT NOT NULL PRIMARY KEY,
    checkpoint TEXT,
    fence INTEGER NOT NULL,
    watermark INTEGER NOT NULL,
    clock_offset INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    gap TEXT
) STRICT;

CREATE TABLE tieout_recon_rule (
    name TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    phase TEXT NOT NULL,
    feeds TEXT NOT NULL,
    activated_at INTEGER NOT NULL,
    totals TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX tieout_recon_rule_number ON tieout_recon_rule (number);

CREATE TABLE tieout_recon_fact (
    rule INTEGER NOT NULL,
    record_key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    due INTEGER,
    changed_at INTEGER NOT NULL,
    told INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (rule, record_key)
) STRICT;

CREATE INDEX tieout_recon_fact_due ON tieout_recon_fact (rule, due) WHERE due IS NOT NULL;

ALTER TABLE tieout_recon_break ADD COLUMN actor TEXT;

ALTER TABLE tieout_recon_break ADD COLUMN note TEXT;

ALTER TABLE tieout_recon_break ADD COLUMN finding BLOB;

CREATE INDEX tieout_recon_break_rule ON tieout_recon_break (rule, state, id);
