CREATE TABLE tieout_mirror (
    id bigint NOT NULL PRIMARY KEY,
    mirror text NOT NULL,
    supplier text NOT NULL,
    layout text NOT NULL,
    paused bigint NOT NULL,
    catalogued bigint NOT NULL
);

CREATE TABLE tieout_mirror_group (
    copy bigint NOT NULL,
    n bigint NOT NULL,
    name bytea NOT NULL,
    zone text,
    rollover bigint,
    checks bytea NOT NULL,
    gone bigint,
    PRIMARY KEY (copy, n)
);

CREATE TABLE tieout_mirror_item (
    copy bigint NOT NULL,
    grp bigint NOT NULL,
    n bigint NOT NULL,
    name bytea NOT NULL,
    cells bytea NOT NULL,
    gone bigint,
    PRIMARY KEY (copy, grp, n)
);

CREATE UNIQUE INDEX tieout_mirror_item_n ON tieout_mirror_item (copy, n);

CREATE TABLE tieout_mirror_word (
    copy bigint NOT NULL,
    n bigint NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (copy, n)
);

CREATE TABLE tieout_mirror_suspect (
    copy bigint NOT NULL,
    item bigint NOT NULL,
    place bigint NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (copy, item, place)
);

CREATE TABLE tieout_mirror_inbox (
    copy bigint NOT NULL,
    id bytea NOT NULL,
    body bytea NOT NULL,
    received bigint NOT NULL,
    PRIMARY KEY (copy, id)
);
