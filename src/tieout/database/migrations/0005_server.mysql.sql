CREATE TABLE tieout_token (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    digest VARBINARY(32) NOT NULL,
    owner VARCHAR(63) NOT NULL,
    roles VARCHAR(190) NOT NULL,
    note TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    revoked BIGINT,
    KEY tieout_token_created (created)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_job (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    command VARCHAR(63) NOT NULL,
    filter LONGTEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    state VARCHAR(15) NOT NULL CHECK (state IN ('running', 'ended')),
    tally LONGTEXT NOT NULL,
    aborted INT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    KEY tieout_job_created (created)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
