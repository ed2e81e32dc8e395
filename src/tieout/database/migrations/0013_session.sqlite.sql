CREATE TABLE tieout_session (
    id BLOB NOT NULL PRIMARY KEY,
    login BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER
) STRICT;

CREATE INDEX tieout_session_expires ON tieout_session (expires);
