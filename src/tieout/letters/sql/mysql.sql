-- name: add_letter
INSERT INTO tieout_letter (
    source, message_id, message_key, topic, headers, body, size, received, due, attempts, code, note
)
VALUES (
    :source, :message_id, :message_key, :topic, :headers, :body, :size, {now},
    CASE WHEN :pause < 0 THEN NULL ELSE {now} + :pause END, 1, :code, :note
)
ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)
