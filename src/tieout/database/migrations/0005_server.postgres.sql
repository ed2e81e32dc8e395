CREATE TABLE tieout_token (
    id bytea NOT NULL PRIMARY KEY,
    digest bytea NOT NULL,
    owner text NOT NULL,
    roles text NOT NULL,
    note text NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL,
    used bigint,
    revoked bigint
);

CREATE INDEX tieout_token_created ON tieout_token (created);

CREATE TABLE tieout_job (
    id bytea NOT NULL PRIMARY KEY,
    command text NOT NULL,
    filter text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'ended')),
    tally text NOT NULL,
    aborted integer NOT NULL,
    created bigint NOT NULL,
    changed bigint NOT NULL
);

CREATE INDEX tieout_job_created ON tieout_job (created);
