CREATE TABLE tieout_recon_run (
    id BINARY(16) NOT NULL PRIMARY KEY,
    rule VARCHAR(255) NOT NULL,
    version VARCHAR(64) NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempt INT NOT NULL,
    totals MEDIUMTEXT,
    started BIGINT NOT NULL,
    ended BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_recon_run_started ON tieout_recon_run (rule, started);

CREATE TABLE tieout_recon_break (
    id BINARY(16) NOT NULL PRIMARY KEY,
    run BINARY(16) NOT NULL,
    attempt INT NOT NULL,
    rule VARCHAR(255) NOT NULL,
    version VARCHAR(64) NOT NULL,
    record_key MEDIUMTEXT NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    detail MEDIUMTEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    closed_at BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_recon_break_run ON tieout_recon_break (run, id);
