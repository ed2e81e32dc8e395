ALTER TABLE tieout_alarm ADD COLUMN owner text;

ALTER TABLE tieout_alarm ADD COLUMN snoozed_until bigint;

ALTER TABLE tieout_alarm ADD COLUMN escalation bigint NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN opened_at bigint NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN parent bytea;

ALTER TABLE tieout_alarm ADD COLUMN lane text NOT NULL DEFAULT '';

ALTER TABLE tieout_alarm ADD COLUMN attention bigint NOT NULL DEFAULT 0;

CREATE INDEX tieout_alarm_attention ON tieout_alarm (attention);

CREATE INDEX tieout_alarm_parent ON tieout_alarm (parent);

CREATE TABLE tieout_alarm_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alarm bytea NOT NULL REFERENCES tieout_alarm (id) ON DELETE CASCADE,
    at bigint NOT NULL,
    happening text NOT NULL,
    actor text NOT NULL,
    note text NOT NULL,
    told bigint
);

CREATE INDEX tieout_alarm_event_alarm ON tieout_alarm_event (alarm, id);

CREATE INDEX tieout_alarm_event_told ON tieout_alarm_event (told, id);

UPDATE tieout_alarm SET opened_at = first_at WHERE opened_at = 0;

INSERT INTO tieout_alarm_event (alarm, at, happening, actor, note)
SELECT id, first_at, 'opened', 'tieout', '' FROM tieout_alarm WHERE state <> 'resolved';
