CREATE TABLE tieout_process (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    type VARCHAR(63) NOT NULL,
    owner VARBINARY(255) NOT NULL,
    request_key VARBINARY(255) NOT NULL,
    version INT NOT NULL,
    state VARCHAR(63) NOT NULL,
    status VARCHAR(15) NOT NULL CHECK (status IN ('running', 'held', 'final', 'retired')),
    fence BIGINT NOT NULL,
    due BIGINT,
    lane VARCHAR(127),
    params LONGTEXT NOT NULL,
    snapshots LONGTEXT NOT NULL,
    calls LONGTEXT NOT NULL,
    trail LONGTEXT NOT NULL,
    result LONGTEXT,
    note TEXT,
    attempts INT NOT NULL,
    errors INT NOT NULL,
    duplicates INT NOT NULL,
    deadline BIGINT,
    wish TEXT,
    parent VARBINARY(16),
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    CHECK ((due IS NOT NULL) = (status = 'running')),
    KEY tieout_process_due (lane, due),
    KEY tieout_process_created (created)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_child (
    parent VARBINARY(16) NOT NULL,
    child VARBINARY(16) NOT NULL,
    n INT NOT NULL,
    type VARCHAR(63) NOT NULL,
    params LONGTEXT NOT NULL,
    state VARCHAR(15) NOT NULL CHECK (state IN ('pending', 'started', 'ended')),
    final VARCHAR(63),
    result LONGTEXT,
    PRIMARY KEY (parent, child)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_recall (
    process VARBINARY(16) NOT NULL,
    name VARBINARY(1024) NOT NULL,
    value LONGTEXT NOT NULL,
    PRIMARY KEY (process, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_stray (
    call_key VARCHAR(63) NOT NULL,
    digest VARCHAR(63) NOT NULL,
    at BIGINT NOT NULL,
    body LONGTEXT NOT NULL,
    PRIMARY KEY (call_key, digest),
    KEY tieout_stray_at (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_alarm (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    kind VARCHAR(63) NOT NULL,
    object TEXT NOT NULL,
    process VARBINARY(16),
    severity VARCHAR(15) NOT NULL,
    state VARCHAR(15) NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    summary TEXT NOT NULL,
    count INT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    wish TEXT,
    resolution VARCHAR(63),
    note TEXT,
    resolved_by TEXT,
    resolved_at BIGINT,
    KEY tieout_alarm_last (last_at),
    KEY tieout_alarm_process (process)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_evidence (
    alarm VARBINARY(16) NOT NULL,
    digest VARCHAR(63) NOT NULL,
    at BIGINT NOT NULL,
    count INT NOT NULL,
    body LONGTEXT NOT NULL,
    PRIMARY KEY (alarm, digest),
    FOREIGN KEY (alarm) REFERENCES tieout_alarm (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_audit (
    seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action VARCHAR(63) NOT NULL,
    object VARCHAR(190) NOT NULL,
    reason TEXT NOT NULL,
    detail LONGTEXT NOT NULL,
    KEY tieout_audit_object (object)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
