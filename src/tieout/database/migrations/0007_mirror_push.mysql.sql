ALTER TABLE tieout_mirror ADD COLUMN head BIGINT NOT NULL DEFAULT 0;

CREATE TABLE tieout_mirror_doubt (
    copy BIGINT NOT NULL,
    grp BIGINT NOT NULL,
    first BIGINT NOT NULL,
    cells BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (copy, grp, first, cells)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_stream (
    copy BIGINT NOT NULL,
    name VARBINARY(255) NOT NULL,
    last BIGINT NOT NULL,
    PRIMARY KEY (copy, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_sighting (
    copy BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    grp BIGINT NOT NULL,
    first BIGINT NOT NULL,
    cells BIGINT NOT NULL,
    cause VARCHAR(255) NOT NULL,
    start BIGINT NOT NULL,
    took BIGINT NOT NULL,
    whole BIGINT NOT NULL,
    known BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    days MEDIUMBLOB NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (copy, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_demand (
    copy BIGINT NOT NULL,
    item BIGINT NOT NULL,
    kind VARCHAR(255) NOT NULL,
    weight DOUBLE NOT NULL,
    PRIMARY KEY (copy, item, kind)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tieout_mirror_choice (
    copy BIGINT NOT NULL,
    grp BIGINT NOT NULL,
    kind VARCHAR(255) NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (copy, grp)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_mirror_sighting_at ON tieout_mirror_sighting (copy, at);
