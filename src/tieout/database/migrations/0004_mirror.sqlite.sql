CREATE TABLE tieout_mirror (
    id INTEGER NOT NULL PRIMARY KEY,
    mirror TEXT NOT NULL,
    supplier TEXT NOT NULL,
    layout TEXT NOT NULL,
    paused INTEGER NOT NULL,
    catalogued INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_group (
    copy INTEGER NOT NULL,
    n INTEGER NOT NULL,
    name BLOB NOT NULL,
    zone TEXT,
    rollover INTEGER,
    checks BLOB NOT NULL,
    gone INTEGER,
    PRIMARY KEY (copy, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_item (
    copy INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    n INTEGER NOT NULL,
    name BLOB NOT NULL,
    cells BLOB NOT NULL,
    gone INTEGER,
    PRIMARY KEY (copy, grp, n)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tieout_mirror_item_n ON tieout_mirror_item (copy, n);

CREATE TABLE tieout_mirror_word (
    copy INTEGER NOT NULL,
    n INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (copy, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_suspect (
    copy INTEGER NOT NULL,
    item INTEGER NOT NULL,
    place INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (copy, item, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_inbox (
    copy INTEGER NOT NULL,
    id BLOB NOT NULL,
    body BLOB NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (copy, id)
) STRICT, WITHOUT ROWID;
