CREATE TABLE tieout_token (
    id BLOB NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL,
    owner TEXT NOT NULL,
    roles TEXT NOT NULL,
    note TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used INTEGER,
    revoked INTEGER
) STRICT;

CREATE INDEX tieout_token_created ON tieout_token (created);

CREATE TABLE tieout_job (
    id BLOB NOT NULL PRIMARY KEY,
    command TEXT NOT NULL,
    filter TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'ended')),
    tally TEXT NOT NULL,
    aborted INTEGER NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

CREATE INDEX tieout_job_created ON tieout_job (created);
