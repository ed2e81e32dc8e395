CREATE TABLE tieout_once (
    id BLOB NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    owner BLOB NOT NULL,
    request_key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    answer TEXT,
    status INTEGER,
    headers TEXT,
    body BLOB,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    CHECK ((answer IS NULL) = (status IS NOT NULL)),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
) STRICT;

CREATE INDEX tieout_once_expires ON tieout_once (expires);

CREATE TABLE tieout_inbox (
    source BLOB NOT NULL,
    message_id BLOB NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (source, message_id)
) STRICT;

CREATE INDEX tieout_inbox_expires ON tieout_inbox (expires);
