-- The statements about what was told, by name.

-- name: tell_event
INSERT INTO told (at, inbox) VALUES (:now, :id);

-- name: tell_delivery
INSERT INTO told (at, outbox) VALUES (:now, :id);

-- name: told_last
SELECT coalesce(max(id), 0) FROM told;

-- name: follow
-- Beside what the bot said stands what it answers, and the newest message of its conversation where it answers nobody.
SELECT t.id, t.at, CAST(i.event AS BLOB), CAST(o.key AS BLOB), CAST(o.action AS BLOB), CAST(o.address AS BLOB),
    CAST(o.conversation AS BLOB), CAST(o.ids AS BLOB), CAST(a.event AS BLOB),
    CASE WHEN o.id IS NOT NULL AND (o.inbox = 0 OR a.kind = 'timer') THEN (
        SELECT CAST(w.event AS BLOB) FROM inbox w WHERE w.conversation = o.conversation AND w.kind IN ('message', 'command', 'action')
        ORDER BY w.id DESC LIMIT 1) END
FROM told t LEFT JOIN inbox i ON i.id = t.inbox LEFT JOIN outbox o ON o.id = t.outbox LEFT JOIN inbox a ON a.id = o.inbox
WHERE t.id > :after AND t.id <= :until ORDER BY t.id LIMIT :limit;

-- name: delete_told
-- The newest stays, so that no number is ever given again.
DELETE FROM told WHERE id IN (SELECT id FROM told ORDER BY id LIMIT :limit) AND at < :before
  AND id < (SELECT max(id) FROM told);

-- name: kept_values
SELECT name, value FROM kept WHERE name IN (SELECT value FROM json_each(:names));
