CREATE TABLE tieout_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source bytea NOT NULL,
    message_id bytea NOT NULL,
    message_key bytea NOT NULL,
    topic text NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    size bigint NOT NULL,
    received bigint NOT NULL,
    due bigint,
    attempts integer NOT NULL,
    code text NOT NULL,
    note text NOT NULL
);

CREATE UNIQUE INDEX tieout_letter_message ON tieout_letter (source, message_id);

CREATE INDEX tieout_letter_due ON tieout_letter (source, due, id);
