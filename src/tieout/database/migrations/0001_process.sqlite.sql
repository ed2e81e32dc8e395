CREATE TABLE tieout_process (
    id BLOB NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    owner BLOB NOT NULL,
    request_key BLOB NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'held', 'final', 'retired')),
    fence INTEGER NOT NULL,
    due INTEGER,
    lane TEXT,
    params TEXT NOT NULL,
    snapshots TEXT NOT NULL,
    calls TEXT NOT NULL,
    trail TEXT NOT NULL,
    result TEXT,
    note TEXT,
    attempts INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    deadline INTEGER,
    wish TEXT,
    parent BLOB,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    CHECK ((due IS NOT NULL) = (status = 'running'))
) STRICT;

CREATE INDEX tieout_process_due ON tieout_process (lane, due) WHERE due IS NOT NULL;

CREATE INDEX tieout_process_created ON tieout_process (created);

CREATE TABLE tieout_child (
    parent BLOB NOT NULL,
    child BLOB NOT NULL,
    n INTEGER NOT NULL,
    type TEXT NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'started', 'ended')),
    final TEXT,
    result TEXT,
    PRIMARY KEY (parent, child)
) STRICT;

CREATE TABLE tieout_recall (
    process BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (process, name)
) STRICT;

CREATE TABLE tieout_stray (
    call_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (call_key, digest)
) STRICT;

CREATE INDEX tieout_stray_at ON tieout_stray (at);

CREATE TABLE tieout_alarm (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    process BLOB,
    severity TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    summary TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    wish TEXT,
    resolution TEXT,
    note TEXT,
    resolved_by TEXT,
    resolved_at INTEGER
) STRICT;

CREATE INDEX tieout_alarm_last ON tieout_alarm (last_at);

CREATE INDEX tieout_alarm_process ON tieout_alarm (process);

CREATE TABLE tieout_evidence (
    alarm BLOB NOT NULL REFERENCES tieout_alarm (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (alarm, digest)
) STRICT;

CREATE TABLE tieout_audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX tieout_audit_object ON tieout_audit (object);
