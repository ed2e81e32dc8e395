ALTER TABLE tieout_mirror ADD COLUMN head INTEGER NOT NULL DEFAULT 0;

CREATE TABLE tieout_mirror_doubt (
    copy INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    first INTEGER NOT NULL,
    cells INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (copy, grp, first, cells)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_stream (
    copy INTEGER NOT NULL,
    name BLOB NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (copy, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_sighting (
    copy INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    first INTEGER NOT NULL,
    cells INTEGER NOT NULL,
    cause TEXT NOT NULL,
    start INTEGER NOT NULL,
    took INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    known INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    days BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (copy, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_demand (
    copy INTEGER NOT NULL,
    item INTEGER NOT NULL,
    kind TEXT NOT NULL,
    weight REAL NOT NULL,
    PRIMARY KEY (copy, item, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE tieout_mirror_choice (
    copy INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    kind TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (copy, grp)
) STRICT, WITHOUT ROWID;

CREATE INDEX tieout_mirror_sighting_at ON tieout_mirror_sighting (copy, at);
