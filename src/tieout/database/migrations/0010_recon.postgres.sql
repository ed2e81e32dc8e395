CREATE TABLE tieout_recon_run (
    id bytea NOT NULL PRIMARY KEY,
    rule text NOT NULL,
    version text NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    totals text,
    started bigint NOT NULL,
    ended bigint
);

CREATE INDEX tieout_recon_run_started ON tieout_recon_run (rule, started);

CREATE TABLE tieout_recon_break (
    id bytea NOT NULL PRIMARY KEY,
    run bytea NOT NULL,
    attempt integer NOT NULL,
    rule text NOT NULL,
    version text NOT NULL,
    record_key text NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL,
    state text NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    closed_at bigint
);

CREATE INDEX tieout_recon_break_run ON tieout_recon_break (run, id);
