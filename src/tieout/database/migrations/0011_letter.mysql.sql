CREATE TABLE tieout_letter (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source VARBINARY(255) NOT NULL,
    message_id VARBINARY(255) NOT NULL,
    message_key VARBINARY(255) NOT NULL,
    topic VARCHAR(255) NOT NULL,
    headers MEDIUMTEXT NOT NULL,
    body MEDIUMBLOB NOT NULL,
    size BIGINT NOT NULL,
    received BIGINT NOT NULL,
    due BIGINT,
    attempts INT NOT NULL,
    code VARCHAR(63) NOT NULL,
    note TEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX tieout_letter_message ON tieout_letter (source, message_id);

CREATE INDEX tieout_letter_due ON tieout_letter (source, due, id);
