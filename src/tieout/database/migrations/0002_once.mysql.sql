CREATE TABLE tieout_once (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    scope VARCHAR(63) NOT NULL,
    owner VARBINARY(255) NOT NULL,
    request_key VARBINARY(255) NOT NULL,
    fingerprint VARBINARY(32) NOT NULL,
    answer LONGTEXT,
    status INT,
    headers TEXT,
    body LONGBLOB,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    CHECK ((answer IS NULL) = (status IS NOT NULL)),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL)),
    KEY tieout_once_expires (expires)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_inbox (
    source VARBINARY(255) NOT NULL,
    message_id VARBINARY(255) NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (source, message_id),
    KEY tieout_inbox_expires (expires)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
