CREATE TABLE tieout_once (
    id bytea NOT NULL PRIMARY KEY,
    scope text NOT NULL,
    owner bytea NOT NULL,
    request_key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    answer text,
    status integer,
    headers text,
    body bytea,
    created bigint NOT NULL,
    expires bigint NOT NULL,
    CHECK ((answer IS NULL) = (status IS NOT NULL)),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
);

CREATE INDEX tieout_once_expires ON tieout_once (expires);

CREATE TABLE tieout_inbox (
    source bytea NOT NULL,
    message_id bytea NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (source, message_id)
);

CREATE INDEX tieout_inbox_expires ON tieout_inbox (expires);
