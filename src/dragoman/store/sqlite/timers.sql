-- The statements of the timers. Times are epoch seconds on the wall clock.

-- name: timers_due
-- Those that are in time before those that are not: a long outage must not delay what is due now.
SELECT * FROM (
    SELECT CAST(t.timer AS BLOB), t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.name FROM timer t
    LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
    WHERE t.ready_at <= :now AND t.ready_at > :now - :punctual_for ORDER BY t.ready_at LIMIT :punctual
)
UNION ALL
SELECT * FROM (
    SELECT CAST(t.timer AS BLOB), t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.name FROM timer t
    LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
    WHERE t.ready_at <= :now - :punctual_for ORDER BY t.ready_at LIMIT :overdue
);

-- name: timer_names
SELECT CAST(name AS BLOB) FROM timer WHERE ready_at IS NOT NULL;

-- name: rest_unreadable_timer
UPDATE timer SET ready_at = NULL WHERE name = CAST(:name AS TEXT);

-- name: next_timer
SELECT ready_at FROM timer WHERE ready_at > :now ORDER BY ready_at LIMIT 1;

-- name: move_timer
UPDATE timer SET at = :next_at, ready_at = :ready_at, fired = fired + :fired, missed = missed + :missed,
    last_at = coalesce(:last_at, last_at)
WHERE name = :name AND at = :at AND ready_at IS NOT NULL RETURNING 1;

-- name: end_timer
DELETE FROM timer WHERE name = :name AND at = :at AND ready_at IS NOT NULL RETURNING 1;

-- name: note_fire
UPDATE timer SET last_event = :event WHERE name = :name;

-- name: set_timer
INSERT INTO timer (name, person, task, timer, at, ready_at) VALUES (:name, :person, :task, :timer, :at, :ready_at)
ON CONFLICT (name) DO UPDATE SET person = excluded.person, task = excluded.task, timer = excluded.timer,
    at = excluded.at, ready_at = excluded.ready_at;

-- name: cancel_timer
DELETE FROM timer WHERE name = :name RETURNING 1;

-- name: pause_timer
UPDATE timer SET ready_at = NULL WHERE name = :name RETURNING 1;

-- name: put_off_timer
UPDATE timer SET ready_at = :until WHERE name = :name AND ready_at <= :now;

-- name: timers_of_person
SELECT CAST(timer AS BLOB), at FROM timer WHERE person = :person AND person <> '' AND ready_at IS NOT NULL ORDER BY at, name LIMIT :limit;

-- name: timers_of_tasks
SELECT CAST(t.timer AS BLOB), t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.ready_at IS NULL FROM timer t
LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
WHERE t.task <> '' AND (:task = '' OR t.task = :task) ORDER BY t.task, t.name;

-- name: fires_of
-- The newest events of a timer, and of those that came at once beside it (`NAME!command`).
SELECT id FROM inbox WHERE conversation = :conversation AND kind = 'timer'
AND (substr(key, 1, length(:timer) + 1) = :timer || '@' OR substr(key, 1, length(:timer) + 1) = :timer || '!')
ORDER BY id DESC LIMIT :limit;
