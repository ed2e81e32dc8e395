CREATE TABLE tieout_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source BLOB NOT NULL,
    message_id BLOB NOT NULL,
    message_key BLOB NOT NULL,
    topic TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    size INTEGER NOT NULL,
    received INTEGER NOT NULL,
    due INTEGER,
    attempts INTEGER NOT NULL,
    code TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX tieout_letter_message ON tieout_letter (source, message_id);

CREATE INDEX tieout_letter_due ON tieout_letter (source, due, id);
