CREATE TABLE tieout_recon_feed (
    name text NOT NULL PRIMARY KEY,
    checkpoint text,
    fence bigint NOT NULL,
    watermark bigint NOT NULL,
    clock_offset bigint NOT NULL,
    heard_at bigint NOT NULL,
    gap text
);

CREATE TABLE tieout_recon_rule (
    name text NOT NULL PRIMARY KEY,
    number integer NOT NULL,
    version text NOT NULL,
    phase text NOT NULL,
    feeds text NOT NULL,
    activated_at bigint NOT NULL,
    totals text NOT NULL
);

CREATE UNIQUE INDEX tieout_recon_rule_number ON tieout_recon_rule (number);

CREATE TABLE tieout_recon_fact (
    rule integer NOT NULL,
    record_key text COLLATE "C" NOT NULL,
    outcome text NOT NULL,
    due bigint,
    changed_at bigint NOT NULL,
    told integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (rule, record_key)
);

CREATE INDEX tieout_recon_fact_due ON tieout_recon_fact (rule, due) WHERE due IS NOT NULL;

ALTER TABLE tieout_recon_break ADD COLUMN actor text;

ALTER TABLE tieout_recon_break ADD COLUMN note text;

ALTER TABLE tieout_recon_break ADD COLUMN finding bytea;

CREATE INDEX tieout_recon_break_rule ON tieout_recon_break (rule, state, id);
