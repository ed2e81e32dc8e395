CREATE TABLE tieout_outbox (
    id INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL,
    channel TEXT NOT NULL,
    topic TEXT NOT NULL,
    message_key BLOB NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    note TEXT
) STRICT;

CREATE INDEX tieout_outbox_due ON tieout_outbox (channel, due, id);

CREATE INDEX tieout_outbox_key ON tieout_outbox (channel, message_key, id);
