ALTER TABLE tieout_alarm ADD COLUMN owner VARCHAR(190);

ALTER TABLE tieout_alarm ADD COLUMN snoozed_until BIGINT;

ALTER TABLE tieout_alarm ADD COLUMN escalation BIGINT NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN opened_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE tieout_alarm ADD COLUMN parent VARBINARY(16);

ALTER TABLE tieout_alarm ADD COLUMN lane VARCHAR(190) NOT NULL DEFAULT '';

ALTER TABLE tieout_alarm ADD COLUMN attention BIGINT NOT NULL DEFAULT 0;

CREATE INDEX tieout_alarm_attention ON tieout_alarm (attention);

CREATE INDEX tieout_alarm_parent ON tieout_alarm (parent);

CREATE TABLE tieout_alarm_event (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    alarm VARBINARY(16) NOT NULL,
    at BIGINT NOT NULL,
    happening VARCHAR(190) NOT NULL,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    told BIGINT,
    FOREIGN KEY (alarm) REFERENCES tieout_alarm (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX tieout_alarm_event_alarm ON tieout_alarm_event (alarm, id);

CREATE INDEX tieout_alarm_event_told ON tieout_alarm_event (told, id);

UPDATE tieout_alarm SET opened_at = first_at WHERE opened_at = 0;

INSERT INTO tieout_alarm_event (alarm, at, happening, actor, note)
SELECT id, first_at, 'opened', 'tieout', '' FROM tieout_alarm WHERE state <> 'resolved'
    AND NOT EXISTS (SELECT 1 FROM tieout_alarm_event WHERE tieout_alarm_event.alarm = tieout_alarm.id);
