ALTER TABLE tieout_mirror ADD COLUMN head bigint NOT NULL DEFAULT 0;

CREATE TABLE tieout_mirror_doubt (
    copy bigint NOT NULL,
    grp bigint NOT NULL,
    first bigint NOT NULL,
    cells bigint NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (copy, grp, first, cells)
);

CREATE TABLE tieout_mirror_stream (
    copy bigint NOT NULL,
    name bytea NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (copy, name)
);

CREATE TABLE tieout_mirror_sighting (
    copy bigint NOT NULL,
    seq bigint NOT NULL,
    grp bigint NOT NULL,
    first bigint NOT NULL,
    cells bigint NOT NULL,
    cause text NOT NULL,
    start bigint NOT NULL,
    took bigint NOT NULL,
    whole bigint NOT NULL,
    known bigint NOT NULL,
    changed bigint NOT NULL,
    days bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (copy, seq)
);

CREATE TABLE tieout_mirror_demand (
    copy bigint NOT NULL,
    item bigint NOT NULL,
    kind text NOT NULL,
    weight double precision NOT NULL,
    PRIMARY KEY (copy, item, kind)
);

CREATE TABLE tieout_mirror_choice (
    copy bigint NOT NULL,
    grp bigint NOT NULL,
    kind text NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (copy, grp)
);

CREATE INDEX tieout_mirror_sighting_at ON tieout_mirror_sighting (copy, at);
