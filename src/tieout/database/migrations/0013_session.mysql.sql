CREATE TABLE tieout_session (
    id VARBINARY(32) NOT NULL PRIMARY KEY,
    login VARBINARY(32) NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles VARCHAR(190) NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended BIGINT,
    KEY tieout_session_expires (expires)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
