CREATE TABLE tieout_recon_run (
    id BLOB NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    version TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    totals TEXT,
    started INTEGER NOT NULL,
    ended INTEGER
) STRICT;

CREATE INDEX tieout_recon_run_started ON tieout_recon_run (rule, started);

CREATE TABLE tieout_recon_break (
    id BLOB NOT NULL PRIMARY KEY,
    run BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    rule TEXT NOT NULL,
    version TEXT NOT NULL,
    record_key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    state TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    closed_at INTEGER
) STRICT;

CREATE INDEX tieout_recon_break_run ON tieout_recon_break (run, id);
