ALTER TABLE tieout_alarm ADD COLUMN owner TEXT;

ALTER TABLE tieout_alarm ADD COLUMN snoozed_until INTEGER;

ALTER TABLE tieout_alarm ADD COLUMN escalation INTEGER NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN opened_at INTEGER NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN parent BLOB;

ALTER TABLE tieout_alarm ADD COLUMN lane TEXT NOT NULL DEFAULT '';

ALTER TABLE tieout_alarm ADD COLUMN attention INTEGER NOT NULL DEFAULT 0;

CREATE INDEX tieout_alarm_attention ON tieout_alarm (attention);

CREATE INDEX tieout_alarm_parent ON tieout_alarm (parent);

CREATE TABLE tieout_alarm_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm BLOB NOT NULL REFERENCES tieout_alarm (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    happening TEXT NOT NULL,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    told INTEGER
) STRICT;

CREATE INDEX tieout_alarm_event_alarm ON tieout_alarm_event (alarm, id);

CREATE INDEX tieout_alarm_event_told ON tieout_alarm_event (told, id);

UPDATE tieout_alarm SET opened_at = first_at WHERE opened_at = 0;

INSERT INTO tieout_alarm_event (alarm, at, happening, actor, note)
SELECT id, first_at, 'opened', 'tieout', '' FROM tieout_alarm WHERE state <> 'resolved';
