CREATE TABLE tieout_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bytea NOT NULL,
    channel text NOT NULL,
    topic text NOT NULL,
    message_key bytea NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    created bigint NOT NULL,
    due bigint NOT NULL,
    attempts integer NOT NULL,
    note text
);

CREATE INDEX tieout_outbox_due ON tieout_outbox (channel, due, id);

CREATE INDEX tieout_outbox_key ON tieout_outbox (channel, message_key, id);
