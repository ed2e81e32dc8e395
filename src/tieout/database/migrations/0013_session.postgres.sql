CREATE TABLE tieout_session (
    id bytea NOT NULL PRIMARY KEY,
    login bytea NOT NULL UNIQUE,
    name text NOT NULL,
    roles text NOT NULL,
    created bigint NOT NULL,
    used bigint NOT NULL,
    expires bigint NOT NULL,
    ended bigint
);

CREATE INDEX tieout_session_expires ON tieout_session (expires);
