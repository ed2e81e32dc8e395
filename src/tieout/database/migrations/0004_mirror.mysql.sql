CREATE TABLE tieout_mirror (
    id BIGINT NOT NULL PRIMARY KEY,
    mirror VARCHAR(255) NOT NULL,
    supplier VARCHAR(255) NOT NULL,
    layout LONGTEXT NOT NULL,
    paused BIGINT NOT NULL,
    catalogued BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_group (
    copy BIGINT NOT NULL,
    n BIGINT NOT NULL,
    name VARBINARY(255) NOT NULL,
    zone VARCHAR(255),
    rollover BIGINT,
    checks MEDIUMBLOB NOT NULL,
    gone BIGINT,
    PRIMARY KEY (copy, n)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_item (
    copy BIGINT NOT NULL,
    grp BIGINT NOT NULL,
    n BIGINT NOT NULL,
    name VARBINARY(255) NOT NULL,
    cells MEDIUMBLOB NOT NULL,
    gone BIGINT,
    PRIMARY KEY (copy, grp, n),
    UNIQUE KEY tieout_mirror_item_n (copy, n)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_word (
    copy BIGINT NOT NULL,
    n BIGINT NOT NULL,
    value LONGTEXT NOT NULL,
    PRIMARY KEY (copy, n)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_suspect (
    copy BIGINT NOT NULL,
    item BIGINT NOT NULL,
    place BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (copy, item, place)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_inbox (
    copy BIGINT NOT NULL,
    id VARBINARY(255) NOT NULL,
    body MEDIUMBLOB NOT NULL,
    received BIGINT NOT NULL,
    PRIMARY KEY (copy, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
