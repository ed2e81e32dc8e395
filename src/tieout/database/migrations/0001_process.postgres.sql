CREATE TABLE tieout_process (
    id bytea NOT NULL PRIMARY KEY,
    type text NOT NULL,
    owner bytea NOT NULL,
    request_key bytea NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'held', 'final', 'retired')),
    fence bigint NOT NULL,
    due bigint,
    lane text,
    params text NOT NULL,
    snapshots text NOT NULL,
    calls text NOT NULL,
    trail text NOT NULL,
    result text,
    note text,
    attempts integer NOT NULL,
    errors integer NOT NULL,
    duplicates integer NOT NULL,
    deadline bigint,
    wish text,
    parent bytea,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    CHECK ((due IS NOT NULL) = (status = 'running'))
);

CREATE INDEX tieout_process_due ON tieout_process (lane, due) WHERE due IS NOT NULL;

CREATE INDEX tieout_process_created ON tieout_process (created);

CREATE TABLE tieout_child (
    parent bytea NOT NULL,
    child bytea NOT NULL,
    n integer NOT NULL,
    type text NOT NULL,
    params text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'started', 'ended')),
    final text,
    result text,
    PRIMARY KEY (parent, child)
);

CREATE TABLE tieout_recall (
    process bytea NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (process, name)
);

CREATE TABLE tieout_stray (
    call_key text NOT NULL,
    digest text NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (call_key, digest)
);

CREATE INDEX tieout_stray_at ON tieout_stray (at);

CREATE TABLE tieout_alarm (
    id bytea NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    object text NOT NULL,
    process bytea,
    severity text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    summary text NOT NULL,
    count integer NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    wish text,
    resolution text,
    note text,
    resolved_by text,
    resolved_at bigint
);

CREATE INDEX tieout_alarm_last ON tieout_alarm (last_at);

CREATE INDEX tieout_alarm_process ON tieout_alarm (process);

CREATE TABLE tieout_evidence (
    alarm bytea NOT NULL REFERENCES tieout_alarm (id) ON DELETE CASCADE,
    digest text NOT NULL,
    at bigint NOT NULL,
    count integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (alarm, digest)
);

CREATE TABLE tieout_audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL
);

CREATE INDEX tieout_audit_object ON tieout_audit (object);
