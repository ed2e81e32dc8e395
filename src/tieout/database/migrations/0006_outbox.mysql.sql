CREATE TABLE tieout_outbox (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    message_id BINARY(16) NOT NULL,
    channel VARCHAR(255) NOT NULL,
    topic VARCHAR(255) NOT NULL,
    message_key VARBINARY(255) NOT NULL,
    headers TEXT NOT NULL,
    body MEDIUMBLOB NOT NULL,
    created BIGINT NOT NULL,
    due BIGINT NOT NULL,
    attempts INT NOT NULL,
    note TEXT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_outbox_due ON tieout_outbox (channel, due, id);

CREATE INDEX tieout_outbox_key ON tieout_outbox (channel, message_key, id);
