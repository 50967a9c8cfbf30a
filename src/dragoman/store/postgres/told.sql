-- The statements about what was told, by name.

-- name: told_last
-- Asked before `told_writers`: who has taken a smaller number by now, and has not ended, is found there.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM told_id_seq;

-- name: told_writers
-- Every transaction that writes into the table has this lock on it, from before it takes a number until its end.
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'told'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: follow
-- Beside what the bot said stands what it answers, and the newest message of its conversation where it answers nobody.
SELECT t.id, t.at, i.event, o.key, o.action, o.address, o.conversation, o.ids, a.event,
    CASE WHEN o.id IS NOT NULL AND (o.inbox = 0 OR a.kind = 'timer') THEN (
        SELECT w.event FROM inbox w WHERE w.conversation = o.conversation AND w.kind IN ('message', 'command', 'action')
        ORDER BY w.id DESC LIMIT 1) END
FROM told t LEFT JOIN inbox i ON i.id = t.inbox LEFT JOIN outbox o ON o.id = t.outbox LEFT JOIN inbox a ON a.id = o.inbox
WHERE t.id > :after AND t.id <= :until ORDER BY t.id LIMIT :limit;

-- name: delete_told
-- The newest stays, so that a copy numbers on after it.
DELETE FROM told WHERE id IN (SELECT id FROM told ORDER BY id LIMIT :limit) AND at < :before
  AND id < (SELECT max(id) FROM told) RETURNING 1;

-- name: kept_values
SELECT name, value FROM kept WHERE name = ANY(:names::text[]);
